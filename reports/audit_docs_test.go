package reports_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/reports"
)

func auditPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "internal", "docs", "audit.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// documented is the text behind <!-- mark --> in internal/docs/audit.md.
func documented(t *testing.T, mark string) string {
	t.Helper()
	_, after, found := strings.Cut(auditPage(t), "<!-- "+mark+" -->\n```")
	_, after, begun := strings.Cut(after, "\n")
	text, _, closed := strings.Cut(after, "\n```")
	if !found || !begun || !closed {
		t.Fatalf("audit.md has no block %q", mark)
	}
	return text
}

// documentedLog is the page's example, as the API answers.
func documentedLog(t *testing.T) (entries []reports.Entry, head reports.Head) {
	t.Helper()
	var answer struct {
		Entries []struct {
			Number         int64
			At             time.Time
			Act            reports.Act
			Actor          string
			Report         uuid.UUID `json:"report_id"`
			Subject        uuid.UUID
			Digest         *blobstore.Digest
			Previous, Hash blobstore.Digest
		}
		Head reports.Head
	}
	d := json.NewDecoder(strings.NewReader(documented(t, "example: audit.json")))
	d.DisallowUnknownFields()
	if err := d.Decode(&answer); err != nil {
		t.Fatal(err)
	}
	for _, e := range answer.Entries {
		entries = append(entries, reports.Entry{
			Number: e.Number, At: e.At, Tenant: answer.Head.Tenant, Actor: e.Actor, Report: e.Report,
			Record: reports.Record{Act: e.Act, Subject: e.Subject, Digest: e.Digest}, Previous: e.Previous, Hash: e.Hash,
		})
	}
	return entries, answer.Head
}

// TestDocumentedChain holds the page against the code: its chain is whole, and what Mayfly
// would write. Its hashes were made with python3, from the page.
func TestDocumentedChain(t *testing.T) {
	t.Parallel()
	entries, head := documentedLog(t)
	if err := verify(reports.Head{Tenant: "acme"}, entries, head); err != nil || len(entries) != 3 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	at := reports.Head{Tenant: "acme"}
	for _, e := range entries {
		if again := at.Next(e.At, e.Actor, e.Report, e.Record); again.Hash != e.Hash || again.Previous != e.Previous || again.Number != e.Number {
			t.Errorf("Mayfly writes now %+v", again)
		}
		at = e.Head()
	}
	if *entries[0].Digest != reports.BuiltinStatement().SHA256() {
		t.Error("the example was filed with another consent")
	}
}

// TestDocumentedBytes: the page's list is what is hashed, byte by byte.
func TestDocumentedBytes(t *testing.T) {
	t.Parallel()
	raw, err := hex.DecodeString(strings.Join(strings.Fields(documented(t, "example: bytes")), ""))
	if err != nil {
		t.Fatal(err)
	}
	entries, _ := documentedLog(t)
	if sum := blobstore.Digest(sha256.Sum256(raw)); sum != entries[0].Hash || len(raw) != 181 {
		t.Errorf("%d bytes have SHA-256 %s, and the entry %s", len(raw), sum, entries[0].Hash)
	}
}

// TestDocumentedDigests: what stands for texts.
func TestDocumentedDigests(t *testing.T) {
	t.Parallel()
	page := auditPage(t)
	for _, texts := range [][]string{{"terms: 4", "Seen; harassment."}, {"legal", "order 7", "2027-11-23T00:00:00Z"}} {
		row := "| `" + strings.Join(texts, "`, `") + "` | `" + said(texts...).String() + "` |"
		if !strings.Contains(page, row) {
			t.Errorf("audit.md does not have %s", row)
		}
	}
}

// And Mayfly makes them so.
func TestDigestsOfTexts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.claimed()
	if _, err := h.Decide(t.Context(), h.ann, id, reports.Verdict{Outcome: reports.StateUpheld, Policy: "terms: 4", Note: "Seen; harassment."}); err != nil {
		t.Fatal(err)
	}
	until := h.clock.Now().Add(400*day + 500*time.Millisecond)
	if _, err := h.PutHold(t.Context(), h.ann, id, reports.NewHold{Class: reports.HoldLegal, Reason: "order 7", Until: until}); err != nil {
		t.Fatal(err)
	}
	log := h.log()
	for i, want := range []blobstore.Digest{
		said("terms: 4", "Seen; harassment."), said("legal", "order 7", until.UTC().Format("2006-01-02T15:04:05")+".5Z"),
	} {
		if e := log[len(log)-2+i]; e.Digest == nil || *e.Digest != want {
			t.Errorf("entry %d, %s, has %v, want %v", e.Number, e.Act, e.Digest, want)
		}
	}
}

// TestDocumentedActs: the page has every act, and every field.
func TestDocumentedActs(t *testing.T) {
	t.Parallel()
	page := auditPage(t)
	for _, act := range allActs {
		if !strings.Contains(page, "`"+string(act)+"`") {
			t.Errorf("audit.md does not have %s", act)
		}
	}
}
