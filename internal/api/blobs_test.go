package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly/internal/openapi"
)

// One blob from its announcement to its tombstone.
func TestLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blob := content(300_000)
	sum := sha256.Sum256(blob)
	digest := hex.EncodeToString(sum[:])

	resp, b := w.want(201, "POST /v1/blobs", w.key, jsonBody(`{"size":300000,"sha256":"`+digest+`","recipients":["alice","bob"],
		"expires_in":3600,"key_commitment":"kc","context":"chat"}`))
	created := decode[openapi.CreatedBlob](w, b)
	id := created.ID.String()
	if got := resp.Header.Get("Location"); got != "/v1/blobs/"+id {
		t.Errorf("Location: %s", got)
	}
	up := created.Upload
	if created.State != "pending" || up == nil || up.Method != "PUT" || up.URL != w.server.URL+"/v1/uploads" || len(created.Tickets) != 2 {
		t.Fatalf("%s", b)
	}
	pending := w.status(id)
	if pending.State != "pending" || pending.UploadUntil == nil || pending.ExpiresAt != nil || pending.Sha256 != nil || *pending.Context != "chat" || *pending.KeyCommitment != "kc" {
		t.Errorf("%+v", pending)
	}
	alice, bob := created.Tickets[0].Token, created.Tickets[1].Token

	// The client uploads as it is told to.
	req := w.request("PUT /v1/uploads", "", bytesBody(blob))
	for name, value := range up.Headers {
		req.Header.Set(name, value)
	}
	resp, err := w.client.Do(req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	resp.Body.Close()

	_, b = w.want(200, "GET /v1/ticket", alice)
	view := decode[openapi.TicketView](w, b)
	if view.State != "ready" || view.Size != 300_000 || *view.Sha256 != digest || time.Until(view.ExpiresAt) > time.Hour {
		t.Errorf("%s", b)
	}
	w.want(200, "HEAD /v1/ticket", alice)

	claim := claimKey()
	resp, b = w.want(200, "POST /v1/download", alice, header("Claim-Key", claim))
	if !bytes.Equal(b, blob) {
		t.Error("other bytes")
	}
	for name, want := range map[string]string{
		"Content-Type": mediaBytes, "Content-Length": "300000", "ETag": `"` + digest + `"`, "Accept-Ranges": "bytes",
		"Repr-Digest":   "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":",
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	w.want(204, "POST /v1/download/ack", alice, header("Claim-Key", claim))

	_, b = w.want(201, "POST /v1/blobs/"+id+"/tickets", w.key, jsonBody(`{"recipients":["carol"]}`))
	carol := decode[openapi.AddedTickets](w, b).Tickets[0]
	w.want(204, "DELETE /v1/blobs/"+id+"/tickets/"+carol.ID.String(), w.key)
	w.refused(410, "revoked", "POST /v1/download", carol.Token)

	// Somebody else tries Alice's ticket, which her backend hears of.
	w.refused(410, "opened", "POST /v1/download", alice)
	if err := w.svc.FlushContests(t.Context()); err != nil {
		t.Fatal(err)
	}
	stored := w.status(id)
	states := map[string]string{}
	for _, ticket := range stored.Tickets {
		states[ticket.Recipient] = string(ticket.State)
	}
	if stored.State != "stored" || states["alice"] != "delivered" || states["bob"] != "ready" || states["carol"] != "revoked" || stored.Tickets[0].Contested != 1 {
		t.Errorf("%+v", stored)
	}

	w.advance(time.Hour)
	w.refused(410, "expired", "POST /v1/download", bob)
	w.advance(80 * time.Hour)
	w.purge()
	tombstone := w.status(id)
	if tombstone.State != "erased" || *tombstone.Sha256 != digest || tombstone.ErasedAt == nil || tombstone.Reason == nil {
		t.Errorf("%+v", tombstone)
	}
	w.want(204, "DELETE /v1/blobs/"+id, w.key)
}

func TestUploadInOneCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blob := content(70_000)
	sum := sha256.Sum256(blob)
	digest := hex.EncodeToString(sum[:])
	resp, b := w.want(201, "POST /v1/blobs?policy=disappearing-7d&recipient=a%26b&recipient=%C3%A4&expires_in=60&sha256="+digest+"&context=c&key_commitment=k", w.key, bytesBody(blob))
	created := decode[openapi.CreatedBlob](w, b)
	if created.State != "stored" || *created.Size != 70_000 || *created.Sha256 != digest || created.Upload != nil ||
		created.Tickets[0].Recipient != "a&b" || created.Tickets[1].Recipient != "ä" || resp.Header.Get("Location") == "" {
		t.Errorf("%s", b)
	}
	if s := w.status(created.ID.String()); s.Policy != "disappearing-7d" || *s.Context != "c" || *s.KeyCommitment != "k" || s.ExpiresAt.Sub(*s.StoredAt) != time.Minute {
		t.Errorf("%+v", s)
	}
	// curl -T sends no Content-Type.
	_, grant, _ := w.announce(`{"size":70000}`)
	w.want(200, "PUT /v1/uploads", grant, bytesBody(blob), func(r *http.Request) { r.Header.Del("Content-Type") })
	// Media types have no case, and may have parameters.
	w.want(201, "POST /v1/blobs", w.key, sending("Application/JSON; charset=utf-8", strings.NewReader(`{"size":1}`), -1))
	w.want(201, "POST /v1/blobs", w.key, sending("APPLICATION/octet-stream", bytes.NewReader(blob), 70_000))
	// Of a key that is given twice the last one counts, for everybody.
	id, _, _ := w.announce(`{"size":1,"size":2}`)
	if got := w.status(id).Size; got != 2 {
		t.Errorf("size %d", got)
	}
	// Who sends no body sends an empty one only if he says so.
	conn, answers := w.dial()
	fmt.Fprintf(conn, "POST /v1/blobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/octet-stream\r\n\r\n", w.key)
	if line, _ := answers.ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 411 ") {
		t.Errorf("%q", line)
	}
}

func TestUploadURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, public string
		behindProxy  bool
		host, proto  string
		want         string // empty: refused
		location     string
	}{
		{"of the request", "", false, "media.example.org", "", "http://media.example.org/v1/uploads", ""},
		{"with a port", "", false, "[::1]:8484", "", "http://[::1]:8484/v1/uploads", ""},
		{"a stranger's proto", "", false, "media.example.org", "https", "http://media.example.org/v1/uploads", ""},
		{"the proxy's proto", "", true, "media.example.org", "https", "https://media.example.org/v1/uploads", ""},
		{"nonsense of the proxy", "", true, "media.example.org", "javascript", "http://media.example.org/v1/uploads", ""},
		{"public", "https://m.example.org", false, "evil.example.org", "", "https://m.example.org/v1/uploads", ""},
		{"public with a path", "https://example.org/media/", true, "x", "", "https://example.org/media/v1/uploads", "/media"},
		{"strange host", "", false, "evil.example.org,x", "", "", ""},
		{"host with user", "", false, "a@b", "", "", ""},
		{"bad port", "", false, "a:99999", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) { w.api.PublicURL, w.api.BehindProxy = c.public, c.behindProxy })
			options := []with{jsonBody(`{"size":1}`), func(r *http.Request) { r.Host = c.host }}
			if c.proto != "" {
				options = append(options, header("X-Forwarded-Proto", c.proto))
			}
			if c.want == "" {
				w.refused(400, "invalid_request", "POST /v1/blobs", w.key, options...)
				return
			}
			resp, b := w.want(201, "POST /v1/blobs", w.key, options...)
			if got := decode[openapi.CreatedBlob](w, b).Upload.URL; got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if got := resp.Header.Get("Location"); !strings.HasPrefix(got, c.location+"/v1/blobs/") {
				t.Errorf("Location: %s", got)
			}
		})
	}
	for _, bad := range []string{"media.example.org", "ftp://x", "https://", "https://u:p@x", "https://x?y=1", "https://x#y", "://"} {
		if _, err := (&Server{Tickets: newService(), Keys: noKeys{}, PublicURL: bad}).Handler(); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := (&Server{}).Handler(); err == nil {
		t.Error("a Server of nothing")
	}
}

func TestServicePages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		_, b := w.want(200, "GET "+path, "")
		if !json.Valid(b) || !bytes.Contains(b, []byte(`"ok"`)) {
			t.Errorf("%s: %s", path, b)
		}
	}
	_, b := w.want(200, "GET /openapi.yaml", "")
	if !bytes.Equal(b, openapi.Document) {
		t.Error("another document")
	}
	resp, b := w.want(200, "GET /", "")
	if resp.Header.Get("Content-Security-Policy") != "default-src 'none'" || !bytes.Contains(b, []byte("mayfly open 'LINK'")) {
		t.Errorf("%v\n%s", resp.Header, b)
	}
	for _, path := range []string{"/", "/healthz", "/readyz", "/openapi.yaml"} {
		if _, b := w.want(200, "HEAD "+path, ""); len(b) > 0 {
			t.Errorf("HEAD %s has a body", path)
		}
	}
	w.want(200, "GET /?utm_source=a", "")
	w.want(200, "GET /readyz?probe=1", "")
	w.refused(405, "method_not_allowed", "POST /healthz", "")

	w.api.Drain()
	_, resp = w.refused(503, "unavailable", "GET /readyz", "")
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	w.want(200, "GET /healthz", "")
	w.store(content(10), "") // what comes nevertheless is served
}
