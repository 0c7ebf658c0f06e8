package api

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/internal/keys"
	"mayfly/internal/openapi"
	"mayfly/internal/stamp"
	"mayfly/reports"
)

func (w *world) audit(key, query string) openapi.Audit {
	w.Helper()
	_, b := w.want(200, "GET /v1/audit"+query, key)
	return decode[openapi.Audit](w, b)
}

// entryOf is an entry as a client reads it, for whom the chain has to hold too.
func entryOf(w *world, tenant string, e openapi.AuditEntry) reports.Entry {
	w.Helper()
	digest := func(text string) blobstore.Digest {
		d, err := blobstore.ParseDigest(text)
		if err != nil {
			w.Fatal(err)
		}
		return d
	}
	entry := reports.Entry{
		Number: e.Number, At: e.At, Tenant: tenant, Actor: e.Actor, Report: e.ReportID,
		Record: reports.Record{Act: reports.Act(e.Act)}, Previous: digest(e.Previous), Hash: digest(e.Hash),
	}
	if e.Subject != nil {
		entry.Subject = *e.Subject
	}
	if e.Digest != nil {
		entry.Digest = new(digest(*e.Digest))
	}
	return entry
}

// The log is a chain that still holds after its way through JSON, page by page, and each
// reads only what is his.
func TestAudit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.moderator(), w.moderator()
	operator, stranger := w.newKey(keys.RoleOps, keys.EveryTenant), w.newKey(keys.RoleOps, "others")
	if empty := w.audit(w.ops, ""); len(empty.Entries) != 0 || empty.Head.Number != 0 || empty.Head.Hash != strings.Repeat("0", 64) || empty.Head.Tenant != "acme" {
		t.Errorf("%+v", empty)
	}
	r := w.reported(content(1000))
	w.claim(r, alice)
	w.want(200, "PUT "+path(r, "/hold"), alice, holding("review", w.now().Add(time.Hour)))
	pulled := w.pull(r, alice)
	w.want(200, "POST /v1/download", pulled.Token)
	w.decide(r, alice, "dismissed")
	w.want(200, "POST "+path(r, "/reopen"), bob)
	w.want(202, "DELETE "+path(r, "/hold"), alice)
	w.want(204, "DELETE "+path(r, "/hold"), bob)
	w.want(204, "DELETE "+path(r, ""), r.Token)
	w.purge()

	whole := w.audit(w.ops, "")
	var acts []string
	chain := reports.Chain{Head: reports.Head{Tenant: "acme"}}
	for _, e := range whole.Entries {
		acts = append(acts, e.Act+" "+who(e.Actor, map[string]string{keyUUID(w, alice).String(): "alice", keyUUID(w, bob).String(): "bob"}))
		if err := chain.Add(entryOf(w, "acme", e)); err != nil {
			t.Error(err)
		}
		if e.ReportID != r.ID || e.At.Location() != time.UTC {
			t.Errorf("%+v", e)
		}
	}
	head, err := blobstore.ParseDigest(whole.Head.Hash)
	if err != nil {
		t.Fatal(err)
	}
	if err := chain.End(reports.Head{Tenant: whole.Head.Tenant, Number: whole.Head.Number, Hash: head}); err != nil {
		t.Error(err)
	}
	want := "filed reporter, copied server, claimed alice, held alice, ticket_issued alice, opened alice, dismissed alice, reopened bob, free_asked alice, freed bob, withdrawn reporter, erased server"
	if got := strings.Join(acts, ", "); got != want {
		t.Fatalf("%s\nwant %s", got, want)
	}
	issued, opened := whole.Entries[4], whole.Entries[5]
	if *issued.Subject != pulled.ID || *opened.Subject != pulled.ID || *whole.Entries[0].Digest != hexSum(reports.BuiltinStatement().Text) || *whole.Entries[1].Digest != pulled.Sha256 {
		t.Errorf("%+v", whole.Entries)
	}
	// Microseconds survive.
	micros := false
	for _, e := range whole.Entries {
		micros = micros || e.At.Nanosecond()%1_000_000 != 0
	}
	if !micros {
		t.Error("all times are whole milliseconds")
	}
	// What is changed on the way is seen.
	for name, change := range map[string]func(*openapi.AuditEntry){
		"time":    func(e *openapi.AuditEntry) { e.At = e.At.Add(time.Microsecond) },
		"actor":   func(e *openapi.AuditEntry) { e.Actor = keyUUID(w, bob).String() },
		"act":     func(e *openapi.AuditEntry) { e.Act = "released" },
		"report":  func(e *openapi.AuditEntry) { e.ReportID = uuid.New() },
		"subject": func(e *openapi.AuditEntry) { e.Subject = new(uuid.New()) },
		"digest":  func(e *openapi.AuditEntry) { e.Digest = new(strings.Repeat("0", 64)) },
	} {
		e := whole.Entries[0]
		change(&e)
		fresh := reports.Chain{Head: reports.Head{Tenant: "acme"}}
		if fresh.Add(entryOf(w, "acme", e)) == nil {
			t.Errorf("another %s fits into the chain", name)
		}
	}

	// Page by page.
	paged := reports.Chain{Head: reports.Head{Tenant: "acme"}}
	for after := int64(0); after < whole.Head.Number; {
		page := w.audit(alice, fmt.Sprintf("?after=%d&limit=5", after))
		if len(page.Entries) > 5 || page.Head != whole.Head {
			t.Errorf("%+v", page)
		}
		for _, e := range page.Entries {
			if err := paged.Add(entryOf(w, "acme", e)); err != nil {
				t.Fatal(err)
			}
			after = e.Number
		}
	}
	if behind := w.audit(w.ops, "?after=1000"); len(behind.Entries) != 0 || behind.Head != whole.Head {
		t.Errorf("%+v", behind)
	}

	// By role.
	for _, c := range []struct{ key, query string }{{alice, "?tenant=acme"}, {w.ops, "?tenant=acme"}, {operator, "?tenant=acme"}} {
		if got := w.audit(c.key, c.query); got.Head != whole.Head || len(got.Entries) != len(whole.Entries) {
			t.Errorf("%+v", got)
		}
	}
	if got := w.audit(stranger, ""); got.Head.Tenant != "others" || len(got.Entries) != 0 {
		t.Errorf("%+v", got)
	}
	if got := w.audit(operator, "?tenant=nobody"); got.Head.Tenant != "nobody" || len(got.Entries) != 0 {
		t.Errorf("%+v", got)
	}
	w.refused(403, "forbidden", "GET /v1/audit?tenant=acme", stranger)
	w.refused(403, "forbidden", "GET /v1/audit?tenant=others", alice)
	w.refused(403, "forbidden", "GET /v1/audit", w.key)
	w.refused(401, "malformed_token", "GET /v1/audit", r.Token)
	for query, c := range map[string]struct{ key, fields string }{
		"":                 {operator, "query tenant is required: each tenant has a chain of its own"},
		"?tenant=*":        {operator, "query tenant must match ^[a-z0-9][a-z0-9._-]*$"},
		"?after=-1":        {w.ops, "query after must be at least 0"},
		"?limit=0":         {w.ops, "query limit must be at least 1"},
		"?limit=1001":      {w.ops, "query limit must be at most 1000"},
		"?after=x&x=y":     {w.ops, "query after must be a whole number; query x is not a parameter of this call"},
		"?limit=1&tenant=": {w.ops, "query tenant must match ^[a-z0-9][a-z0-9._-]*$"},
	} {
		_, text := w.want(400, "GET /v1/audit"+query, c.key)
		checkFields(t, text, c.fields)
	}
}

func who(actor string, names map[string]string) string {
	if name, ok := names[actor]; ok {
		return name
	}
	return actor
}

// A moderator is told what the stamp of the upload is worth.
func TestStampVerdict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.moderator()
	media := content(100)
	blob, tokens := w.store(media, "context=message-1&recipient=a&recipient=b")
	stamped := w.status(blob).Stamp
	if stamped == nil || !strings.HasPrefix(*stamped, "v1.") {
		t.Fatalf("%v", stamped)
	}
	r := w.file(tokens[0], w.filing(blob, media))
	w.copyDue(1)
	verdict := func(want openapi.StampVerdict) {
		t.Helper()
		view := w.see(r, alice)
		if view.Stamp.Verdict != want || want != "none" && *view.Stamp.Stamp != *stamped {
			t.Errorf("%+v, want %s", view.Stamp, want)
		}
		for _, listed := range w.queue(alice, "?limit=1").Reports {
			if listed.Stamp.Verdict != want {
				t.Errorf("in the queue %s, want %s", listed.Stamp.Verdict, want)
			}
		}
	}
	verdict("valid")
	for column, values := range map[string][2]any{
		"context":        {"message-2", "message-1"},
		"key_commitment": {"sha256:00", ""},
		"size":           {int64(101), int64(100)},
	} {
		w.sql(`UPDATE reports SET `+column+` = ? WHERE id = ?`, values[0], r.ID[:])
		verdict("invalid")
		w.sql(`UPDATE reports SET `+column+` = ? WHERE id = ?`, values[1], r.ID[:])
		verdict("valid")
	}
	w.sql(`UPDATE reports SET uploaded_at = uploaded_at + 1 WHERE id = ?`, r.ID[:])
	verdict("invalid")
	w.sql(`UPDATE reports SET uploaded_at = uploaded_at - 1 WHERE id = ?`, r.ID[:])

	// A row that is changed before it is reported is found too.
	w.sql(`UPDATE blobs SET context = 'message-2' WHERE evidence = 0`)
	second := w.file(tokens[1], w.filing(blob, media))
	if got := w.see(second, alice).Stamp.Verdict; got != "invalid" {
		t.Errorf("a forged context: %s", got)
	}

	for want, k := range map[openapi.StampVerdict]*stamp.Keyring{"unknown_key": newStamps(w), "valid": w.stamps} {
		w.api.Reports.Stamps = k
		verdict(want)
	}
	w.api.Reports.Stamps = nil
	verdict("unknown_key")
	w.sql(`UPDATE reports SET stamp = NULL`)
	verdict("none")
}

// P7: GET and HEAD change nothing of reports, with whatever token, and say nothing that a
// moderator could not be told.
func TestSafeMethodsOfReports(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.moderator()
	media := content(1000)
	blob, tokens := w.store(media, "recipient=a&recipient=b&recipient=c")
	open, copying := w.file(tokens[0], w.filing(blob, media)), openapi.CreatedReport{}
	w.copyDue(1)
	w.claim(open, alice)
	ready, opened := w.pull(open, alice), w.pull(open, alice)
	claim := claimKey()
	w.want(200, "POST /v1/download", opened.Token, header("Claim-Key", claim))
	w.want(200, "PUT "+path(open, "/hold"), alice, holding("legal", w.now().Add(400*24*time.Hour)))
	copying = w.file(tokens[1], w.filing(blob, media))
	awaiting := w.erased(content(10))
	operator := w.newKey(keys.RoleOps, keys.EveryTenant)

	paths := []string{"/v1/reports?state=open&limit=1", "/v1/reports?held=true", "/v1/audit?after=1&limit=1", "/v1/audit?tenant=acme"}
	for path := range document().Paths.Map() {
		for _, id := range []string{open.ID.String(), copying.ID.String(), awaiting.ID.String()} {
			paths = append(paths, strings.NewReplacer("{id}", id, "{ticket_id}", ready.ID.String()).Replace(path))
		}
	}
	raw := w.server.Client()
	w.unchanged("a safe method", func() {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for _, path := range paths {
				for _, token := range []string{"", w.key, w.ops, operator, alice, tokens[0], tokens[2], ready.Token, opened.Token, open.Token, copying.Token, awaiting.Token} {
					resp, err := raw.Do(w.request(method+" "+path, token, header("Claim-Key", claim), header("Range", "bytes=1-")))
					if err != nil {
						t.Fatal(err)
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if resp.StatusCode >= 500 {
						t.Errorf("%s %s: %d", method, path, resp.StatusCode)
					}
				}
			}
		}
	})
	w.want(200, "POST /v1/download", ready.Token)
}
