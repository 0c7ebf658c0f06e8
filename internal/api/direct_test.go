package api

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
	"mayfly/blobstore/bucket"
	"mayfly/blobstore/minioblob"
	"mayfly/internal/openapi"
	promises "mayfly/internal/world"
)

// presigning is a store that fails where a test wants it, and presigns.
type presigning struct {
	*blobstoretest.Faulty
	blobstore.Presigner
}

// directWorld is a world on a real bucket, where clients may bring bytes themselves.
type directWorld struct {
	*world
	bucket *bucket.Store
	name   string
	// answers are the bodies of all that the API has answered.
	answers *answers
}

type answers struct {
	next http.RoundTripper
	mu   sync.Mutex
	all  []string
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.next.RoundTrip(r)
	if err != nil || resp.Header.Get("Content-Type") == mediaBytes {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, fmt.Sprint(resp.Header)+string(body))
	return resp, err
}

func newDirectWorld(t *testing.T) *directWorld {
	t.Helper()
	address, err := url.Parse(os.Getenv("MAYFLY_TEST_MINIO"))
	if err != nil || address.Host == "" {
		t.Fatal("MAYFLY_TEST_MINIO names no server: run the tests with go run ./internal/testenv go test ./...")
	}
	secret, _ := address.User.Password()
	d := &directWorld{name: "direct-" + strings.ToLower(rand.Text()[:16])}
	d.bucket, err = minioblob.Open(
		minioblob.Config{Host: address.Host, Bucket: d.name, Prefix: "blobs", Region: "us-east-1", Insecure: true, Create: true},
		minioblob.Credentials{AccessKey: address.User.Username(), SecretKey: secret}, bucket.NewBudget(bucket.DefaultBudget))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.bucket.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.world = newWorld(t, func(w *world) {
		w.blobs = &blobstoretest.Faulty{Store: d.bucket}
		w.svc.Blobs, w.svc.Direct = presigning{w.blobs, d.bucket}, true
	})
	d.answers = &answers{next: d.client.Transport}
	d.client.Transport = d.answers
	t.Cleanup(d.noURLLogged)
	return d
}

// noURLLogged is P8 for what is good by itself.
func (d *directWorld) noURLLogged() {
	for line := range strings.SplitSeq(d.log.String(), "\n") {
		if strings.Contains(strings.ToLower(line), "x-amz") {
			d.Errorf("a presigned URL is logged: %s", line)
		}
	}
}

// direct announces body, and returns the answer and the grant.
func (d *directWorld) direct(body []byte) (created openapi.CreatedBlob, grant string) {
	d.Helper()
	_, b := d.want(201, "POST /v1/blobs", d.key, jsonBody(fmt.Sprintf(`{"size":%d,"sha256":"%x","recipients":["a","b"]}`, len(body), sha256.Sum256(body))))
	created = decode[openapi.CreatedBlob](d.world, b)
	if created.Direct == nil || created.Upload == nil {
		d.Fatalf("no direct upload is offered: %s", b)
	}
	return created, strings.TrimPrefix(created.Upload.Headers["Authorization"], "Bearer ")
}

// send sends a presigned request as a client would, and returns its status.
func (d *directWorld) send(method string, to *openapi.DirectUpload, extra map[string]string, body []byte) int {
	d.Helper()
	r, err := http.NewRequestWithContext(d.Context(), method, to.URL, bytes.NewReader(body))
	if err != nil {
		d.Fatal(err)
	}
	headers := maps.Clone(to.Headers)
	maps.Copy(headers, extra)
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		d.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func (d *directWorld) put(to *openapi.DirectUpload, body []byte) {
	d.Helper()
	if status := d.send("PUT", to, nil, body); status != 200 {
		d.Fatalf("the PUT is answered %d", status)
	}
}

// objectOf is what a presigned URL names in the bucket.
func (d *directWorld) objectOf(to *openapi.DirectUpload) (path string, key blobstore.Key) {
	d.Helper()
	u, err := url.Parse(to.URL)
	if err != nil {
		d.Fatal(err)
	}
	return u.Path, blobstore.Key(u.Path[strings.LastIndexByte(u.Path, '/')+1:])
}

// absent fails if what the URL names is in the bucket.
func (d *directWorld) absent(to *openapi.DirectUpload, what string) {
	d.Helper()
	_, key := d.objectOf(to)
	body, _, err := d.bucket.Open(d.Context(), key, 0)
	if err == nil {
		body.Close()
	}
	if !errors.Is(err, blobstore.ErrNotFound) {
		d.Errorf("%s remains (%v)", what, err)
	}
}

const complete = "POST /v1/uploads/complete"

func (d *directWorld) opens(token string, want []byte) {
	d.Helper()
	if _, got := d.want(200, "POST /v1/download", token); !bytes.Equal(got, want) {
		d.Error("other bytes are served than were announced (P1)")
	}
}

func (d *directWorld) keepsPromises() {
	d.Helper()
	if err := promises.Check(d.Context(), d.db, d.bucket); err != nil {
		d.Error(err)
	}
}

// leavesNothing lets all time pass.
func (d *directWorld) leavesNothing() {
	d.Helper()
	d.advance(20 * 24 * time.Hour)
	d.purge()
	d.advance(25 * time.Hour)
	d.purge()
	if err := promises.Empty(d.Context(), d.bucket); err != nil {
		d.Error(err)
	}
}

func TestDirectUpload(t *testing.T) {
	t.Parallel()
	d := newDirectWorld(t)
	body := content(3 << 20)
	created, grant := d.direct(body)
	id, tokens := issued(created)
	to := created.Direct
	if valid := to.ExpiresAt.Sub(d.now()); valid > time.Hour || valid < 59*time.Minute {
		t.Errorf("it is good for %v", valid)
	}
	_, key := d.objectOf(to)
	if owned, err := d.db.Owned(t.Context(), []blobstore.Key{key}); err != nil || !owned[0] {
		t.Errorf("the URL has left before its key was on record: %v", err)
	}

	d.refused(409, "not_uploaded", complete, grant)
	other := bytes.Clone(body)
	other[0] ^= 1
	for what, wrong := range map[string][]byte{"other bytes": other, "fewer": body[1:], "more": append(other, 0)} {
		if status := d.send("PUT", to, nil, wrong); status < 400 {
			t.Errorf("%s: %d", what, status)
		}
	}
	d.refused(409, "not_uploaded", complete, grant)
	d.put(to, body)
	if status := d.send("PUT", to, nil, body); status < 400 {
		t.Errorf("a second PUT: %d", status)
	}
	d.refused(409, "not_uploaded", "POST /v1/download", tokens[0])
	d.keepsPromises()

	_, answer := d.want(200, complete, grant)
	up := decode[openapi.Uploaded](d.world, answer)
	if up.ID.String() != id || up.State != openapi.BlobStateStored || up.Size != int64(len(body)) || up.Sha256 != fmt.Sprintf("%x", sha256.Sum256(body)) {
		t.Errorf("completed: %s", answer)
	}
	d.refused(409, "already_stored", complete, grant)
	d.refused(409, "already_stored", "PUT /v1/uploads", grant, bytesBody(body))
	d.opens(tokens[0], body)
	d.absent(to, "what was copied")

	// The URL is good for some time yet. It reaches nothing that is stored, and what it
	// brings is on record.
	d.put(to, body)
	d.refused(409, "already_stored", complete, grant)
	d.opens(tokens[1], body)
	d.keepsPromises()
	d.advance(25 * time.Hour)
	d.purge()
	d.absent(to, "what was put after all")
	d.leavesNothing()
}

// TestDirectReplaced: the holder of the URL can replace what it has put by a copy of
// something else, which MinIO does not hold against what was signed.
func TestDirectReplaced(t *testing.T) {
	t.Parallel()
	d := newDirectWorld(t)
	body, sameSize, longer := content(70_000), content(70_000), content(70_001)
	created, grant := d.direct(body)
	replace := func(by []byte) {
		t.Helper()
		other, _ := d.direct(by)
		d.put(other.Direct, by)
		source, _ := d.objectOf(other.Direct)
		if status := d.send("PUT", created.Direct, map[string]string{"X-Amz-Copy-Source": source}, body); status != 200 {
			t.Fatalf("MinIO has learnt to refuse it: %d", status)
		}
	}
	_, tokens := issued(created)
	for code, by := range map[openapi.ProblemCode][]byte{"digest_mismatch": sameSize, "size_mismatch": longer} {
		replace(by)
		d.refused(422, code, complete, grant)
		d.refused(409, "not_uploaded", "POST /v1/download", tokens[0])
		d.refused(409, "not_uploaded", complete, grant) // nothing was kept
		d.keepsPromises()
	}
	d.put(created.Direct, body)
	d.want(200, complete, grant)
	replace(sameSize)
	for _, token := range tokens {
		d.opens(token, body)
	}
	d.keepsPromises()
	d.leavesNothing()
}

// TestDirectOrThrough: the grant is good for both ways, until one of them is through.
func TestDirectOrThrough(t *testing.T) {
	t.Parallel()
	d := newDirectWorld(t)
	body := content(70_000)
	created, grant := d.direct(body)
	d.put(created.Direct, body)
	d.want(200, "PUT /v1/uploads", grant, bytesBody(body))
	d.refused(409, "already_stored", complete, grant)
	_, tokens := issued(created)
	d.opens(tokens[0], body)

	created, grant = d.direct(body)
	d.put(created.Direct, body)
	id, _ := issued(created)
	d.want(204, "DELETE /v1/blobs/"+id, d.key)
	d.refused(410, "too_late", complete, grant)
	d.purge()
	d.absent(created.Direct, "what was put for an unsent blob")

	created, grant = d.direct(body)
	d.put(created.Direct, body)
	d.advance(25 * time.Hour)
	d.refused(410, "too_late", complete, grant)
	d.purge() // abandoned
	d.absent(created.Direct, "an abandoned upload")

	_, other, _ := d.announce(`{"size":3}`)
	d.refused(409, "not_uploaded", complete, other)
	d.refused(401, "malformed_token", complete, tokens[0])
	d.refused(401, "token_required", complete, "")
	d.leavesNothing()
}

// TestDirectNotOffered: without a digest, and without being allowed.
func TestDirectNotOffered(t *testing.T) {
	t.Parallel()
	d := newDirectWorld(t)
	offered := func(json string) bool {
		t.Helper()
		_, b := d.want(201, "POST /v1/blobs", d.key, jsonBody(json))
		return decode[openapi.CreatedBlob](d.world, b).Direct != nil
	}
	with := fmt.Sprintf(`{"size":3,"sha256":"%x"}`, sha256.Sum256([]byte("abc")))
	if offered(`{"size":3}`) || !offered(with) {
		t.Error("a direct upload is for blobs whose digest is announced, and for all of those")
	}
	d.svc.Direct = false
	if offered(with) {
		t.Error("a direct upload is offered, and not allowed")
	}
}

func TestDirectFaults(t *testing.T) {
	t.Parallel()
	for _, method := range []blobstoretest.Method{blobstoretest.Open, blobstoretest.Copy, blobstoretest.Delete} {
		for name, mode := range map[string]blobstoretest.Mode{
			"failed": blobstoretest.Failed, "failed but applied": blobstoretest.FailedButApplied, "broken": blobstoretest.BreakAfter(1000),
		} {
			for nth := 1; nth <= 2; nth++ {
				t.Run(fmt.Sprintf("%s %s %d", method, name, nth), func(t *testing.T) {
					t.Parallel()
					d := newDirectWorld(t)
					body := content(70_000)
					created, grant := d.direct(body)
					_, tokens := issued(created)
					d.put(created.Direct, body)
					d.blobs.Fail(func(c blobstoretest.Call) blobstoretest.Mode {
						if c.Method == method && c.N == nth {
							return mode
						}
						return blobstoretest.Pass
					})
					if resp := d.do(complete, grant); resp.StatusCode != 200 {
						if resp.StatusCode != 503 {
							t.Errorf("completed: %d", resp.StatusCode)
						}
						d.refused(409, "not_uploaded", "POST /v1/download", tokens[0])
						d.keepsPromises()
						d.blobs.Fail(nil)
						d.want(200, complete, grant)
					}
					d.blobs.Fail(nil)
					d.opens(tokens[0], body)
					d.keepsPromises()
					d.leavesNothing()
				})
			}
		}
	}
	t.Run("Commit", func(t *testing.T) {
		t.Parallel()
		d := newDirectWorld(t)
		body := content(70_000)
		created, grant := d.direct(body)
		_, tokens := issued(created)
		d.put(created.Direct, body)
		d.rows.fail(func(method string) error {
			if method == "Commit" {
				return errRows
			}
			return nil
		})
		d.refused(503, "unavailable", complete, grant)
		d.keepsPromises()
		d.rows.fail(nil)
		d.want(200, complete, grant)
		d.opens(tokens[0], body)
		d.leavesNothing()
	})
}

// TestDirectRace: of callers that complete at the same time one does the work.
func TestDirectRace(t *testing.T) {
	t.Parallel()
	d := newDirectWorld(t)
	body := content(1 << 20)
	created, grant := d.direct(body)
	d.put(created.Direct, body)
	var copies, done, refused atomic.Int64
	d.blobs.Fail(func(c blobstoretest.Call) blobstoretest.Mode {
		if c.Method == blobstoretest.Copy {
			copies.Add(1)
		}
		return blobstoretest.Pass
	})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			resp, err := d.client.Do(d.request(complete, grant))
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			switch resp.StatusCode {
			case 200:
				done.Add(1)
			case 409:
				refused.Add(1)
			}
		})
	}
	all.Wait()
	if done.Load() != 1 || refused.Load() != 7 || copies.Load() != 1 {
		t.Errorf("%d completed, %d refused, %d copies", done.Load(), refused.Load(), copies.Load())
	}
	_, tokens := issued(created)
	d.opens(tokens[0], body)
	d.keepsPromises()
	d.leavesNothing()
}

// TestNoURLReadsABlob follows every URL that any answer of the API holds, with the
// headers that came with it, and looks for the blob behind it (P2).
func TestNoURLReadsABlob(t *testing.T) {
	t.Parallel()
	d := newDirectWorld(t)
	body := content(70_000)
	created, _ := d.direct(body)
	id, tokens := issued(created)
	d.put(created.Direct, body) // and it stays there: it must not be read either
	again, secondGrant := d.direct(body)
	d.put(again.Direct, body)
	d.refused(401, "malformed_token", complete, tokens[0])
	d.want(200, complete, secondGrant)
	d.refused(409, "already_stored", complete, secondGrant)
	_, more := issued(again)
	d.want(200, "GET /v1/blobs/"+again.ID.String(), d.key)
	d.want(200, "GET /v1/blobs/"+id, d.key)
	d.want(200, "GET /v1/ticket", more[0])
	d.want(200, "HEAD /v1/ticket", more[0])
	d.want(201, "POST /v1/blobs/"+id+"/tickets", d.key, jsonBody(`{"recipients":["c"]}`))
	claim := header("Claim-Key", claimKey())
	d.want(200, "POST /v1/download", more[0], claim)
	d.want(200, "GET /v1/download", more[0], claim)
	d.want(204, "POST /v1/download/ack", more[0], claim)
	d.refused(410, "opened", "POST /v1/download", more[0])
	d.refused(409, "not_uploaded", "POST /v1/download", tokens[0])
	d.store(body, "recipient=z")
	d.want(200, "GET /healthz", "")
	d.want(200, "GET /readyz", "")

	signed := 0
	found := map[string]bool{}
	for _, answer := range d.answers.all {
		// JSON writes & as \u0026.
		text := strings.ReplaceAll(answer, `\u0026`, "&")
		signed += strings.Count(text, "X-Amz-Signature")
		for _, u := range regexp.MustCompile(`https?://[^"\s\]]+`).FindAllString(text, -1) {
			found[u] = true
		}
	}
	if signed != 2 {
		t.Errorf("%d signatures in answers, want the two of direct.url", signed)
	}
	if !found[created.Direct.URL] || len(found) < 4 {
		t.Fatalf("found only %d URLs", len(found))
	}
	for u := range found {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			for _, headers := range []map[string]string{{}, created.Direct.Headers, created.Upload.Headers, {"Range": "bytes=0-10"}} {
				r, err := http.NewRequestWithContext(t.Context(), method, u, nil)
				if err != nil {
					t.Fatal(err)
				}
				for name, value := range headers {
					r.Header.Set(name, value)
				}
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				got, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				completed := resp.StatusCode == 200 && method == "POST" && u == created.Direct.CompleteURL
				if resp.StatusCode < 400 && !completed || bytes.Contains(got, body[:10]) {
					t.Errorf("%s %s…: %d", method, u[:40], resp.StatusCode)
				}
			}
		}
	}
	d.leavesNothing()
}
