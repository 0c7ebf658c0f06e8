package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"syscall"
	"testing"
	"time"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
	"mayfly/internal/keys"
	"mayfly/internal/openapi"
	"mayfly/tickets"
)

func jsonUnmarshal(b []byte, v any) error { return json.Unmarshal(b, v) }

// Every row of the table has a code of openapi.yaml, and each code one title.
func TestTableIsTheDocuments(t *testing.T) {
	t.Parallel()
	titles := map[openapi.ProblemCode]string{}
	for _, p := range append(problems[:len(problems):len(problems)], internal) {
		if p.code == clientGone {
			continue
		}
		if !p.code.Valid() {
			t.Errorf("%s is not in openapi.yaml", p.code)
		}
		if old, ok := titles[p.code]; ok && old != p.title {
			t.Errorf("%s has two titles: %q and %q", p.code, old, p.title)
		}
		titles[p.code] = p.title
	}
	for _, code := range documentedCodes() {
		if titles[openapi.ProblemCode(code)] == "" {
			t.Errorf("%s is in openapi.yaml and not in the table", code)
		}
	}
	for name, r := range document().Components.Responses {
		for _, media := range r.Value.Content {
			for _, example := range media.Examples {
				v, ok := example.Value.Value.(map[string]any)
				if ok && v["code"] != nil && titles[openapi.ProblemCode(v["code"].(string))] != v["title"] {
					t.Errorf("%s: the example's title is %q, the table's %q", name, v["title"], titles[openapi.ProblemCode(v["code"].(string))])
				}
			}
		}
	}
}

// What is not in the table is a 500 that tells nothing.
func TestUnknownErrorIsInternal(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		errors.New("boom"),
		fmt.Errorf("wrapped: %w", io.ErrUnexpectedEOF),
		// A live ticket without its blob is a broken promise, not a passing failure.
		&tickets.StoreError{Op: "open the blob", Err: blobstore.ErrNotFound},
	} {
		if p := problemOf(err); p.status != 500 || p.code != "internal" {
			t.Errorf("%v: %d %s", err, p.status, p.code)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blob := content(1000)
	id, ready := w.store(blob, "recipient=a&recipient=b&recipient=c")
	pendingID, pendingGrant, pending := w.announce(`{"size":10}`)
	claim := claimKey()
	w.want(200, "POST /v1/download", ready[0], header("Claim-Key", claim))
	stranger := w.newKey(keys.RoleBackend, "others")
	nobody := "00000000-0000-7000-8000-000000000000"
	forged := func(kind tickets.Kind) string { return tickets.NewToken(kind, [16]byte{1}).Reveal() }
	digest := strings.Repeat("0", 64)

	t.Run("tokens", func(t *testing.T) {
		w := w.in(t)
		w.refused(401, "token_required", "POST /v1/download", "")
		w.refused(401, "token_required", "POST /v1/download", "", header("Authorization", "Basic bWF5Zmx5"))
		// Nothing is said of the form of a request to who may not make it.
		w.refused(401, "token_required", "POST /v1/blobs?nonsense=1", "", sending("text/nonsense", strings.NewReader("{"), 1))
		w.refused(401, "token_required", "GET /v1/blobs/nonsense", "")
		w.refused(403, "forbidden", "GET /v1/blobs/nonsense", w.ops)
		w.refused(401, "malformed_token", "POST /v1/download", "mft_short")
		w.refused(401, "malformed_token", "POST /v1/download", w.key)
		w.refused(401, "malformed_token", "POST /v1/download", mistyped(ready[1]))
		w.refused(401, "malformed_token", "PUT /v1/uploads", ready[1], bytesBody(blob))
		w.refused(401, "malformed_token", "GET /v1/blobs/"+id, ready[1])
		w.refused(401, "unknown_key", "GET /v1/blobs/"+id, forged(tickets.KindKey))
		p, _ := w.refused(403, "forbidden", "GET /v1/blobs/"+id, w.ops)
		if *p.Detail != "The call needs a key with the role backend." {
			t.Error(*p.Detail)
		}
		w.refused(404, "unknown_ticket", "POST /v1/download", forged(tickets.KindTicket))
		w.refused(404, "unknown_ticket", "GET /v1/ticket", forged(tickets.KindTicket))
		w.want(404, "HEAD /v1/ticket", forged(tickets.KindTicket))
		w.refused(404, "unknown_grant", "PUT /v1/uploads", forged(tickets.KindGrant), bytesBody(blob))
	})
	t.Run("paths", func(t *testing.T) {
		w := w.in(t)
		w.refused(404, "not_found", "GET /v1/nothing", "")
		w.refused(404, "not_found", "GET /v1/blobs/", w.key)
		_, resp := w.refused(405, "method_not_allowed", "GET /v1/uploads", "")
		if got := resp.Header.Get("Allow"); got != "PUT" {
			t.Errorf("Allow: %q", got)
		}
		_, resp = w.refused(405, "method_not_allowed", "PATCH /v1/blobs/"+id, w.key)
		if got := resp.Header.Get("Allow"); got != "GET, DELETE" {
			t.Errorf("Allow: %q", got)
		}
		w.want(405, "HEAD /v1/download", ready[1])
		w.refused(405, "method_not_allowed", "OPTIONS /v1/download", "")
	})
	t.Run("tenants", func(t *testing.T) {
		w := w.in(t)
		for _, call := range []string{
			"GET /v1/blobs/" + id, "DELETE /v1/blobs/" + id, "DELETE /v1/blobs/" + id + "/tickets/" + nobody,
		} {
			w.refused(404, "unknown_blob", call, stranger)
		}
		w.refused(404, "unknown_blob", "POST /v1/blobs/"+id+"/tickets", stranger, jsonBody(`{"recipients":["x"]}`))
		w.refused(404, "unknown_blob", "GET /v1/blobs/"+nobody, w.key)
		w.refused(404, "unknown_ticket", "DELETE /v1/blobs/"+id+"/tickets/"+nobody, w.key)
	})
	t.Run("states", func(t *testing.T) {
		w := w.in(t)
		w.refused(410, "opened", "POST /v1/download", ready[0])
		w.refused(410, "opened", "POST /v1/download", ready[0], header("Claim-Key", claimKey()))
		w.refused(410, "opened", "GET /v1/download", ready[0])
		w.refused(409, "not_opened", "GET /v1/download", ready[1])
		w.refused(409, "not_opened", "POST /v1/download/ack", ready[1], header("Claim-Key", claim))
		w.refused(410, "opened", "POST /v1/download/ack", ready[0], header("Claim-Key", claimKey()))
		_, resp := w.refused(409, "not_uploaded", "POST /v1/download", pending[0])
		if resp.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		list := w.status(id).Tickets
		w.refused(409, "opened", "DELETE /v1/blobs/"+id+"/tickets/"+list[0].ID.String(), w.key)
		w.want(204, "DELETE /v1/blobs/"+id+"/tickets/"+list[2].ID.String(), w.key)
		w.refused(410, "revoked", "POST /v1/download", ready[2])
		w.refused(409, "already_stored", "PUT /v1/uploads", w.uploaded(), bytesBody([]byte("0123456789")))
	})
	t.Run("bodies", func(t *testing.T) {
		w := w.in(t)
		w.refused(411, "length_required", "PUT /v1/uploads", pendingGrant, sending(mediaBytes, bytes.NewReader(blob), -1))
		w.refused(411, "length_required", "POST /v1/blobs", w.key, sending(mediaBytes, bytes.NewReader(blob), -1))
		p, _ := w.refused(413, "too_large", "PUT /v1/uploads", pendingGrant, bytesBody([]byte("0123456789x")))
		if *p.Detail != "11 bytes are more than the 10 allowed" {
			t.Error(*p.Detail)
		}
		w.refused(413, "too_large", "POST /v1/blobs", w.key, jsonBody(`{"size":3000000000}`))
		w.refused(413, "too_large", "POST /v1/blobs", w.key, jsonBody(`{"context":"`+strings.Repeat("x", maxJSON)+`"}`))
		w.refused(413, "too_large", "POST /v1/blobs", w.key,
			sending(mediaJSON, io.LimitReader(repeat(' '), maxJSON+1), -1))
		w.refused(415, "unsupported_media_type", "POST /v1/blobs", w.key, sending("text/plain", strings.NewReader("{}"), 2))
		w.refused(415, "unsupported_media_type", "POST /v1/blobs", w.key)
		w.refused(415, "unsupported_media_type", "PUT /v1/uploads", pendingGrant, jsonBody("{}"))
		w.refused(415, "unsupported_media_type", "PUT /v1/uploads", pendingGrant, bytesBody(blob[:10]), header("Content-Encoding", "gzip"))
		w.refused(415, "unsupported_media_type", "POST /v1/blobs/"+id+"/tickets", w.key, bytesBody(blob))
		w.refused(422, "size_mismatch", "PUT /v1/uploads", pendingGrant, bytesBody(blob[:9]))
		w.refused(422, "digest_mismatch", "POST /v1/blobs?sha256="+digest, w.key, bytesBody(blob))
	})
	t.Run("too many tickets", func(t *testing.T) {
		w := w.in(t)
		names, _ := json.Marshal(map[string][]string{"recipients": make([]string, 1024)})
		for range 7 {
			w.want(201, "POST /v1/blobs/"+pendingID+"/tickets", w.key, jsonBody(string(names)))
		}
		w.refused(409, "too_many_tickets", "POST /v1/blobs/"+pendingID+"/tickets", w.key, jsonBody(string(names)))
	})
	t.Run("too late", func(t *testing.T) {
		w := newWorld(t)
		id, tokens := w.store(blob, "")
		_, grant, announced := w.announce(`{"size":10}`)
		w.advance(25 * time.Hour)
		w.refused(410, "too_late", "PUT /v1/uploads", grant, bytesBody(blob[:10]))
		w.refused(410, "expired", "POST /v1/download", announced[0])
		w.advance(14 * 24 * time.Hour)
		w.refused(410, "expired", "POST /v1/download", tokens[0])
		w.refused(410, "expired", "POST /v1/blobs/"+id+"/tickets", w.key, jsonBody(`{"recipients":["x"]}`))
		w.purge()
		tombstone := w.status(id)
		if tombstone.State != "erased" || tombstone.Sha256 == nil || *tombstone.Reason != "unopened" {
			t.Errorf("%+v", tombstone)
		}
		w.refused(410, "expired", "POST /v1/download", tokens[0])
	})
	t.Run("unsent", func(t *testing.T) {
		w := w.in(t)
		id, tokens := w.store(blob, "")
		w.want(204, "DELETE /v1/blobs/"+id, w.key)
		w.want(204, "DELETE /v1/blobs/"+id, w.key)
		w.refused(410, "revoked", "POST /v1/download", tokens[0])
		w.refused(410, "erased", "POST /v1/blobs/"+id+"/tickets", w.key, jsonBody(`{"recipients":["x"]}`))
		_, grant, _ := w.announce(`{"size":10}`)
		w.want(204, "DELETE /v1/blobs/"+grantOf(w, grant), w.key)
		w.refused(410, "too_late", "PUT /v1/uploads", grant, bytesBody(blob[:10]))
	})
}

// The stores fail: nothing of the reason reaches the client, and no ticket is spent.
func TestStoreFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blob := content(1000)
	_, tokens := w.store(blob, "recipient=a&recipient=b")

	t.Run("blob store down", func(t *testing.T) {
		w := w.in(t)
		w.blobs.Fail(blobstoretest.Always(blobstoretest.Open, blobstoretest.Failed))
		defer w.blobs.Fail(nil)
		p, resp := w.refused(503, "unavailable", "POST /v1/download", tokens[0])
		if resp.Header.Get("Retry-After") == "" || p.Detail != nil {
			t.Errorf("%+v %v", p, resp.Header)
		}
		if line := w.lines(p.RequestID); len(line) != 1 || !strings.Contains(fmt.Sprint(line[0]["error"]), "injected fault") || line[0]["level"] != "ERROR" {
			t.Errorf("the log has %v", line)
		}
	})
	t.Run("database down", func(t *testing.T) {
		w := w.in(t)
		w.rows.fail(func(string) error { return errRows })
		defer w.rows.fail(nil)
		_, text := w.want(503, "POST /v1/download", tokens[0])
		if bytes.Contains(text, []byte("10.1.2.3")) {
			t.Errorf("the reason leaks: %s", text)
		}
	})
	t.Run("blob lost", func(t *testing.T) {
		w := w.in(t)
		old := w.svc.Blobs
		w.svc.Blobs = lostStore{old}
		defer func() { w.svc.Blobs = old }()
		p, _ := w.refused(500, "internal", "POST /v1/download", tokens[0])
		if line := w.lines(p.RequestID); len(line) != 1 || line[0]["level"] != "ERROR" || line[0]["error"] == nil {
			t.Errorf("the log has %v", line)
		}
	})
	t.Run("store full", func(t *testing.T) {
		w := w.in(t)
		old := w.svc.Blobs
		w.svc.Blobs = fullStore{old}
		defer func() { w.svc.Blobs = old }()
		_, resp := w.refused(507, "insufficient_storage", "POST /v1/blobs", w.key, bytesBody(blob))
		if resp.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	})
	t.Run("panic", func(t *testing.T) {
		w := w.in(t)
		w.rows.fail(func(string) error { panic("secret in a panic") })
		defer w.rows.fail(nil)
		p, _ := w.refused(500, "internal", "POST /v1/download", tokens[0])
		if line := w.lines(p.RequestID); len(line) != 1 || !strings.Contains(fmt.Sprint(line[0]["error"]), "(*Service).Open (open.go") {
			t.Errorf("the log has no stack: %v", line)
		}
	})
	t.Run("all is well again", func(t *testing.T) {
		w := w.in(t)
		for _, token := range tokens {
			if _, got := w.want(200, "POST /v1/download", token); !bytes.Equal(got, blob) {
				t.Error("other bytes")
			}
		}
	})
}

// uploaded is a grant that was used.
func (w *world) uploaded() string {
	_, grant, _ := w.announce(`{"size":10}`)
	w.want(200, "PUT /v1/uploads", grant, bytesBody([]byte("0123456789")))
	return grant
}

// grantOf is the blob that a grant is for.
func grantOf(w *world, grant string) string {
	token, err := tickets.ParseToken(tickets.KindGrant, grant)
	if err != nil {
		w.Fatal(err)
	}
	return token.ID().String()
}

// mistyped changes the last digit.
func mistyped(token string) string {
	n, _ := new(big.Int).SetString(token[4:], 62)
	text := n.Add(n, big.NewInt(1)).Text(62)
	return token[:4] + strings.Repeat("0", len(token)-4-len(text)) + text
}

type lostStore struct{ blobstore.Store }

func (lostStore) Open(context.Context, blobstore.Key, int64) (io.ReadCloser, blobstore.Info, error) {
	return nil, blobstore.Info{}, blobstore.ErrNotFound
}

type fullStore struct{ blobstore.Store }

func (fullStore) Put(context.Context, blobstore.Key, io.Reader, int64) error {
	return fmt.Errorf("write /var/lib/secret/path: %w: %w", blobstore.ErrNoSpace, syscall.ENOSPC)
}

type repeat byte

func (r repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}
