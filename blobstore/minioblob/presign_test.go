package minioblob

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mayfly/blobstore"
)

// presigned is a PUT for body under key.
func presigned(t *testing.T, s blobstore.Presigner, key blobstore.Key, body []byte, valid time.Duration) blobstore.PresignedPut {
	t.Helper()
	put, err := s.PresignPut(t.Context(), key, int64(len(body)), sha256.Sum256(body), valid)
	if err != nil {
		t.Fatal(err)
	}
	return put
}

// send sends a request as a client would that has nothing but the URL.
func send(t *testing.T, method, at string, headers map[string]string, body []byte) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, at, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if len(body) == 0 {
		req.Body = http.NoBody
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func TestPresignedPut(t *testing.T) {
	for server, variable := range servers {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			cfg, keys := newBucket(t, variable, false)
			s := open(t, cfg, keys)
			body := make([]byte, 70_001)
			rand.Read(body)
			const key = blobstore.Key("0123-direct")
			put := presigned(t, s, key, body, time.Minute)
			at := put.URL.Reveal()
			absent := func(what string) {
				t.Helper()
				if r, _, err := s.Open(t.Context(), key, 0); !errors.Is(err, blobstore.ErrNotFound) {
					if err == nil {
						r.Close()
					}
					t.Errorf("after %s there is a blob (%v)", what, err)
				}
			}
			refused := func(what, method, at string, headers map[string]string, body []byte) {
				t.Helper()
				if status, answer := send(t, method, at, headers, body); status < 400 {
					t.Errorf("%s is answered %d: %s", what, status, answer)
				}
			}
			without := func(name string) map[string]string {
				h := maps.Clone(put.Headers)
				delete(h, name)
				return h
			}

			other := bytes.Clone(body)
			other[100] ^= 1
			sum := sha256.Sum256(other)
			forged := maps.Clone(put.Headers)
			forged["X-Amz-Checksum-Sha256"] = fmt.Sprintf("%x", sum)
			refused("other bytes", "PUT", at, put.Headers, other)
			refused("fewer bytes", "PUT", at, put.Headers, body[1:])
			refused("more bytes", "PUT", at, put.Headers, append(bytes.Clone(body), 0))
			refused("no bytes", "PUT", at, put.Headers, nil)
			refused("another checksum", "PUT", at, forged, other)
			refused("no checksum", "PUT", at, without("X-Amz-Checksum-Sha256"), other)
			refused("no If-None-Match", "PUT", at, without("If-None-Match"), body)
			refused("another key", "PUT", strings.Replace(at, string(key), "0123-other", 1), put.Headers, body)
			refused("a later expiry", "PUT", strings.Replace(at, "X-Amz-Expires=60", "X-Amz-Expires=6000", 1), put.Headers, body)
			refused("a DELETE", "DELETE", at, nil, nil)
			refused("a multipart upload", "POST", at+"&uploads=", nil, nil)
			absent("refused requests")

			if status, answer := send(t, "PUT", at, put.Headers, body); status != 200 {
				t.Fatalf("the PUT is answered %d: %s", status, answer)
			}
			got, _, err := s.Open(t.Context(), key, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer got.Close()
			if text, err := io.ReadAll(got); err != nil || !bytes.Equal(text, body) {
				t.Errorf("it reads otherwise than it was sent (%v)", err)
			}
			refused("a second PUT", "PUT", at, put.Headers, body)
			for _, headers := range []map[string]string{nil, put.Headers} {
				refused("a GET", "GET", at, headers, nil)
				refused("a HEAD", "HEAD", at, headers, nil)
			}

			short := presigned(t, s, "0123-expired", body, time.Second)
			time.Sleep(2100 * time.Millisecond) // the server has a clock of its own
			refused("an expired PUT", "PUT", short.URL.Reveal(), short.Headers, body)

			empty := presigned(t, s, "0123-empty", nil, time.Minute)
			if status, answer := send(t, "PUT", empty.URL.Reveal(), empty.Headers, nil); status != 200 {
				t.Errorf("a PUT of nothing is answered %d: %s", status, answer)
			}
		})
	}
}

// TestPresignedCopy shows why the key of a presigned PUT must never be a stored
// blob's: with a header that is not signed its holder replaces what is there.
func TestPresignedCopy(t *testing.T) {
	t.Parallel()
	cfg, keys := newBucket(t, "MAYFLY_TEST_MINIO", false)
	s := open(t, cfg, keys)
	mine, other := []byte("what was announced"), []byte("what was not annou")
	for key, body := range map[blobstore.Key][]byte{"0123-mine": mine, "0123-other": other} {
		put := presigned(t, s, key, body, time.Minute)
		if status, answer := send(t, "PUT", put.URL.Reveal(), put.Headers, body); status != 200 {
			t.Fatalf("%d: %s", status, answer)
		}
	}
	put := presigned(t, s, "0123-mine", mine, time.Minute)
	put.Headers["X-Amz-Copy-Source"] = "/" + cfg.Bucket + "/" + cfg.Prefix + "/0123-other"
	status, answer := send(t, "PUT", put.URL.Reveal(), put.Headers, mine)
	got, _, err := s.Open(t.Context(), "0123-mine", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	text, _ := io.ReadAll(got)
	if status != 200 || !bytes.Equal(text, other) {
		t.Errorf("MinIO has learnt to refuse it (%d, %q): %s", status, text, answer)
	}
}

func TestPresignPublicEndpoint(t *testing.T) {
	t.Parallel()
	cfg, keys := newBucket(t, "MAYFLY_TEST_MINIO", false)
	s := open(t, cfg, keys)
	s.PublicEndpoint = &url.URL{Scheme: "https", Host: "s3.example.org"}
	put := presigned(t, s, "0123-direct", nil, time.Minute)
	want := "https://s3.example.org/" + cfg.Bucket + "/" + cfg.Prefix + "/0123-direct?"
	if !strings.HasPrefix(put.URL.Reveal(), want) {
		t.Errorf("it goes to %s", put.URL.Reveal())
	}
	if signed := "X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bif-none-match%3Bx-amz-checksum-sha256"; !strings.Contains(put.URL.Reveal(), signed) {
		t.Errorf("signed is %s", put.URL.Reveal())
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "put", put, "url", put.URL)
	fmt.Fprintf(&log, "%v %+v %#v %s %q %x", put, put, put, put.URL, put.URL, put.URL)
	if strings.Contains(log.String(), "Signature") || strings.Contains(log.String(), "example") {
		t.Errorf("the URL prints: %s", log.String())
	}
}
