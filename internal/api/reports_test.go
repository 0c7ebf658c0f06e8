package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/internal/openapi"
	"mayfly/reports/envelope"
	"mayfly/tickets"
)

// Whoever holds a ticket may report, whatever became of the ticket, and the evidence is
// what the sender uploaded.
func TestReport(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(w *world, blob, ticket string){
		"ready":  func(*world, string, string) {},
		"opened": func(w *world, _, ticket string) { w.want(200, "POST /v1/download", ticket) },
		"delivered": func(w *world, _, ticket string) {
			claim := header("Claim-Key", claimKey())
			w.want(200, "POST /v1/download", ticket, claim)
			w.want(204, "POST /v1/download/ack", ticket, claim)
		},
		"revoked": func(w *world, blob, _ string) {
			w.want(204, "DELETE /v1/blobs/"+blob+"/tickets/"+w.status(blob).Tickets[0].ID.String(), w.key)
		},
		"expired": func(w *world, _, _ string) { w.advance(14*24*time.Hour + time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			media := content(70_000)
			blob, tokens := w.store(media, "recipient=alice&context=message-1")
			prepare(w, blob, tokens[0])

			resp, b := w.want(201, "POST /v1/reports", tokens[0], w.filing(blob, media).body())
			created := decode[openapi.CreatedReport](w, b)
			if resp.Header.Get("Location") != path(created, "") || created.State != "copying" || created.MediaUntil != nil || !strings.HasPrefix(created.Token, "mfr_") {
				t.Errorf("%s: %s", resp.Header.Get("Location"), b)
			}
			sum := sha256.Sum256(media)
			status := w.see(created, created.Token)
			if status.State != "copying" || status.Reason != "harassment" || *status.Size != 70_000 || *status.Sha256 != hex.EncodeToString(sum[:]) ||
				*status.OnHold || status.EvidenceExpiresAt != nil || status.Comment != nil || status.BlobID != nil {
				t.Errorf("%+v", status)
			}
			if n := len(w.evidenceKeys()); n != 0 {
				t.Errorf("%d copies before any was made", n)
			}
			w.copyDue(1)
			status = w.see(created, created.Token)
			if status.State != "open" || status.EvidenceExpiresAt == nil || status.EvidenceExpiresAt.Sub(w.now()).Round(time.Hour) != 30*24*time.Hour {
				t.Errorf("%+v", status)
			}
			w.wantActs(created.ID, "filed", "copied")

			// The copy has a life of its own.
			w.want(204, "DELETE /v1/blobs/"+blob, w.key)
			w.purge()
			if keys := w.evidenceKeys(); len(keys) != 1 || !bytes.Equal(w.bytesOf(keys[0]), media) {
				t.Errorf("%d copies, or other bytes", len(keys))
			}
			if view := w.see(created, w.moderator()); view.State != "open" || *view.BlobID != uuid.MustParse(blob) || *view.Context != "message-1" {
				t.Errorf("%+v", view)
			}
		})
	}
}

// evidenceKeys are what the blob store has of evidence.
func (w *world) evidenceKeys() (keys []blobstore.Key) {
	w.Helper()
	for info, err := range w.blobs.Store.All(w.Context()) {
		if err != nil {
			w.Fatal(err)
		}
		if info.Key.IsEvidence() {
			keys = append(keys, info.Key)
		}
	}
	return keys
}

func (w *world) bytesOf(key blobstore.Key) []byte {
	w.Helper()
	f, _, err := w.blobs.Store.Open(w.Context(), key, 0)
	if err != nil {
		w.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		w.Fatal(err)
	}
	return b
}

// A moderator sees what was reported, and never who did: neither the recipient's name nor
// the ticket is in any answer, and the sealed key in one only.
func TestModeratorNeverSeesTheReporter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.moderator(), w.moderator()
	media := content(1000)
	blob, tokens := w.store(media, "recipient=the-reporters-name&context=message-1&key_commitment=sha256:00")
	ticket := w.status(blob).Tickets[0].ID.String()
	claim := header("Claim-Key", claimKey())
	w.want(200, "POST /v1/download", tokens[0], claim)
	sealed := w.filing(blob, media)
	created := w.file(tokens[0], sealed, header("Idempotency-Key", "0123456789abcdef"))
	w.copyDue(1)

	var answers [][]byte
	call := func(status int, call, key string, options ...with) []byte {
		t.Helper()
		resp, b := w.want(status, call, key, options...)
		text := append([]byte(resp.Header.Get("Location")+"\n"), b...)
		answers = append(answers, text)
		return b
	}
	until := w.now().Add(366 * 24 * time.Hour).Format(time.RFC3339)
	hold := jsonBody(`{"class":"legal","reason":"case 7","until":"` + until + `"}`)
	call(200, "GET /v1/reports", alice)
	call(200, "GET "+path(created, ""), alice)
	call(200, "POST "+path(created, "/claim"), alice)
	call(204, "POST "+path(created, "/release"), alice)
	call(200, "POST "+path(created, "/claim"), alice)
	call(200, "PUT "+path(created, "/hold"), alice, hold)
	call(200, "POST "+path(created, "/decision"), alice, jsonBody(`{"outcome":"upheld","note":"seen"}`))
	call(200, "POST "+path(created, "/reopen"), bob)
	call(202, "DELETE "+path(created, "/hold"), alice)
	call(204, "DELETE "+path(created, "/hold"), bob)
	call(409, "POST "+path(created, "/claim"), alice)
	view := decode[openapi.Report](w, call(200, "POST "+path(created, "/claim"), bob))
	call(200, "GET /v1/audit", alice)
	call(200, "GET /v1/audit", w.ops)
	withoutKey := slices.Clone(answers)
	pulled := decode[openapi.EvidenceTicket](w, call(201, "POST "+path(created, "/tickets"), bob))
	call(200, "GET /v1/ticket", pulled.Token)

	for _, text := range answers {
		for _, secret := range []string{"the-reporters-name", ticket, tokens[0], created.Token, "0123456789abcdef"} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("a moderator is told %q: %s", secret, text)
			}
		}
		if bytes.Contains(text, []byte(`"ticket`)) && !bytes.Contains(text, []byte("ticket_issued")) {
			t.Errorf("an answer speaks of a ticket: %s", text)
		}
	}
	for _, text := range withoutKey {
		if bytes.Contains(text, []byte("AGE ENCRYPTED")) {
			t.Errorf("the sealed key without a ticket: %s", text)
		}
	}

	// And what is shown is right.
	if *view.Comment != reportersComment || *view.Context != "message-1" || *view.KeyCommitment != "sha256:00" || view.Stamp.Verdict != "valid" ||
		view.Consent.Statement != "mayfly-1" || view.Consent.Locale != "en" || !slices.Equal(view.Consent.Shared, []openapi.ConsentRecordShared{"media", "key", "comment"}) ||
		view.State != "claimed" || *view.ClaimedBy != keyUUID(w, bob) || *view.ReopenedBy != keyUUID(w, bob) || *view.DecidedBy != keyUUID(w, alice) || *view.Note != "seen" {
		t.Errorf("%+v", view)
	}
	if pulled.SealedKey != sealed["sealed_key"] || pulled.BlobID != uuid.MustParse(blob) || pulled.Size != 1000 || *pulled.KeyCommitment != "sha256:00" {
		t.Errorf("%+v", pulled)
	}
	opened, err := envelope.Open(pulled.SealedKey, w.identity)
	if err != nil || opened.BoundTo(pulled.BlobID, sha256.Sum256(media), pulled.Size) != nil || string(opened.Key) != mediaKey {
		t.Errorf("%v, %v", opened, err)
	}
	// The reporter is not told what the moderators do.
	_, b := w.want(200, "GET "+path(created, ""), created.Token)
	for _, secret := range []string{"claimed", keyUUID(w, bob).String(), keyUUID(w, alice).String(), "seen", "case 7", "AGE ENCRYPTED", "context"} {
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("the reporter is told %q: %s", secret, b)
		}
	}
}

func keyUUID(w *world, key string) uuid.UUID {
	w.Helper()
	token, err := tickets.ParseToken(tickets.KindKey, key)
	if err != nil {
		w.Fatal(err)
	}
	return token.ID()
}

// The evidence opens once, byte-identical, and resumes for its claim key only.
func TestPull(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.moderator()
	media := content(3 << 20)
	created := w.reported(media)
	w.refused(409, "not_claimed", "POST "+path(created, "/tickets"), alice)
	w.claim(created, alice)

	first := w.pull(created, alice)
	if ends := first.ExpiresAt.Sub(w.now()).Round(time.Minute); ends != 15*time.Minute {
		t.Errorf("good for %v", ends)
	}
	// Nothing that is safe spends it (P7).
	w.want(200, "GET /v1/ticket", first.Token)
	w.want(200, "HEAD /v1/ticket", first.Token)
	w.refused(409, "not_opened", "GET /v1/download", first.Token)
	resp, got := w.want(200, "POST /v1/download", first.Token)
	if !bytes.Equal(got, media) || resp.Header.Get("Etag") != `"`+first.Sha256+`"` {
		t.Error("the evidence is not what was uploaded")
	}
	w.refused(410, "opened", "POST /v1/download", first.Token)
	w.refused(410, "opened", "GET /v1/download", first.Token, header("Claim-Key", claimKey()))
	w.wantActs(created.ID, "filed", "copied", "claimed", "ticket_issued", "opened")

	second := w.pull(created, alice)
	claim := claimKey()
	resp = w.do("POST /v1/download", second.Token, header("Claim-Key", claim))
	head := make([]byte, 1<<20)
	if _, err := io.ReadFull(resp.Body, head); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close() // the connection breaks
	resp, tail := w.want(206, "GET /v1/download", second.Token, header("Claim-Key", claim), header("Range", "bytes=1048576-"))
	if !bytes.Equal(append(head, tail...), media) || resp.Header.Get("Content-Range") == "" {
		t.Error("the rest is not the rest")
	}
	_, again := w.want(200, "POST /v1/download", second.Token, header("Claim-Key", claim))
	if !bytes.Equal(again, media) {
		t.Error("a repeated open has other bytes")
	}
	w.refused(410, "opened", "GET /v1/download", second.Token, header("Claim-Key", claimKey()), header("Range", "bytes=1-"))
	w.refused(410, "opened", "POST /v1/download", second.Token)
	w.want(204, "POST /v1/download/ack", second.Token, header("Claim-Key", claim))
	w.refused(410, "opened", "GET /v1/download", second.Token, header("Claim-Key", claim))
	// One open is one entry, however often it was resumed.
	w.wantActs(created.ID, "filed", "copied", "claimed", "ticket_issued", "opened", "ticket_issued", "opened")

	// A ticket ends: with its quarter of an hour, and with the key that asked for it.
	third := w.pull(created, alice)
	if err := w.db.RevokeKey(t.Context(), keyUUID(w, alice), w.now()); err != nil {
		t.Fatal(err)
	}
	w.unchanged("a ticket of a revoked key", func() { w.refused(410, "revoked", "POST /v1/download", third.Token) })
	bob := w.moderator()
	w.advance(31 * time.Minute)
	w.refused(410, "expired", "POST /v1/download", third.Token)
	w.refused(401, "unknown_key", "POST "+path(created, "/tickets"), alice)
	w.claim(created, bob)
}

// P6: the entries are in the log before what they allow leaves.
func TestAuditComesFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.moderator()
	media := content(100_000)
	created := w.reported(media)
	w.claim(created, alice)
	base := []string{"filed", "copied", "claimed"}

	// Issued: seen when the answer's header comes, and no ticket without an entry.
	w.sql(`CREATE TRIGGER no_issue BEFORE INSERT ON audit WHEN NEW.act = 'ticket_issued' BEGIN SELECT RAISE(ABORT, 'no log'); END`)
	w.unchanged("an unlogged pull", func() {
		_, b := w.want(503, "POST "+path(created, "/tickets"), alice)
		if bytes.Contains(b, []byte("AGE ENCRYPTED")) || bytes.Contains(b, []byte("mft_")) {
			t.Errorf("%s", b)
		}
	})
	w.sql(`DROP TRIGGER no_issue`)
	var atHeader []string
	client := &http.Client{Transport: onHeader{w.client.Transport, func() { atHeader = w.acts(created.ID) }}}
	resp, err := client.Do(w.request("POST "+path(created, "/tickets"), alice))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var pulled openapi.EvidenceTicket
	if err := json.NewDecoder(resp.Body).Decode(&pulled); err != nil {
		t.Fatal(err)
	}
	issued := append(base, "ticket_issued")
	if !slices.Equal(atHeader, issued) {
		t.Errorf("the log when the ticket left: %v", atHeader)
	}

	// No bytes without an entry, and no entry without a spend.
	store := w.svc.Blobs
	read := false
	w.svc.Blobs = storeOf{store, func(key blobstore.Key, offset int64) io.ReadCloser {
		f, _, err := store.Open(context.Background(), key, offset)
		if err != nil {
			t.Fatal(err)
		}
		return &firstRead{ReadCloser: f, see: func() {
			read = true
			if got := w.acts(created.ID); !slices.Equal(got, append(issued, "opened")) {
				t.Errorf("the log when the first byte is read: %v", got)
			}
		}}
	}}
	w.sql(`CREATE TRIGGER no_open BEFORE INSERT ON audit WHEN NEW.act = 'opened' BEGIN SELECT RAISE(ABORT, 'no log'); END`)
	w.unchanged("an unlogged open", func() {
		if _, b := w.want(503, "POST /v1/download", pulled.Token); bytes.Contains(b, media[:16]) || read {
			t.Error("bytes without an entry")
		}
	})
	w.sql(`DROP TRIGGER no_open`)
	w.rows.fail(func(method string) error {
		if method == "Spend" {
			return errRows
		}
		return nil
	})
	w.unchanged("a failed spend", func() {
		if w.want(503, "POST /v1/download", pulled.Token); read {
			t.Error("bytes without a spend")
		}
	})
	w.rows.fail(nil)
	if _, got := w.want(200, "POST /v1/download", pulled.Token); !bytes.Equal(got, media) || !read {
		t.Errorf("%d bytes, read %v", len(got), read)
	}
	w.unchanged("a second open", func() { w.refused(410, "opened", "POST /v1/download", pulled.Token) })
}

// onHeader sees the moment when an answer's header has come.
type onHeader struct {
	http.RoundTripper
	see func()
}

func (o onHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := o.RoundTripper.RoundTrip(r)
	o.see()
	return resp, err
}

// firstRead calls see before anything of a body is read.
type firstRead struct {
	io.ReadCloser
	see func()
}

func (f *firstRead) Read(p []byte) (int, error) {
	if f.see != nil {
		f.see()
		f.see = nil
	}
	return f.ReadCloser.Read(p)
}
