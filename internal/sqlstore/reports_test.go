package sqlstore

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
	"mayfly/internal/keys"
	"mayfly/reports"
	"mayfly/tickets"
)

const (
	benchDay = 24 * time.Hour
	benchPin = 7 * benchDay
)

// filingFor is a report of the ticket's blob.
func filingFor(t tickets.Ticket, now time.Time) reports.Filing {
	id := uuid.Must(uuid.NewV7())
	return reports.Filing{
		Report: id, Ticket: t.ID, TicketHash: t.Hash, Handle: hashOf(id), Body: hashOf(id),
		Reason: "threat", Comment: "unwanted", SealedKey: "sealed",
		Consent: reports.Consent{Statement: "mayfly-1", Locale: "en", At: now, Shared: []string{reports.SharedMedia}},
		Terms: reports.Terms{
			Policy: "evidence", Keep: 30 * benchDay, ResumeWindow: 15 * time.Minute, UploadTTL: benchDay, TombstoneTTL: 90 * benchDay, MaxSize: 1 << 30,
		},
		Now: now, PinUntil: now.Add(benchPin),
	}
}

func fileOf(t *testing.T, st *Store, ticket tickets.Ticket, now time.Time) reports.Report {
	t.Helper()
	r, _, err := st.File(t.Context(), filingFor(ticket, now))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// evidenceOfReport copies what is reported.
func evidenceOfReport(t *testing.T, st *Store, r reports.Report, now time.Time) {
	t.Helper()
	key := blobstore.NewEvidenceKey(r.ID)
	if err := st.BeginEvidence(t.Context(), r.ID, key, now); err != nil {
		t.Fatal(err)
	}
	e := reports.StoredEvidence{Report: r.ID, Key: key, SHA256: r.SHA256, Now: now, Act: reports.ActCopied}
	if err := st.StoreEvidence(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

func moderators(st *Store, now time.Time) *reports.Service {
	return &reports.Service{Store: st, Now: func() time.Time { return now }}
}

func newModerator(t *testing.T, st *Store) reports.Moderator {
	t.Helper()
	k := keys.Key{ID: uuid.Must(uuid.NewV7()), Tenant: "acme", Role: keys.RoleModerator, Hash: hashOf(uuid.New()), CreatedAt: benchStart}
	if err := st.CreateKey(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	return reports.Moderator{Tenant: "acme", Key: k.ID}
}

// TestRestoredEvidence: a restore makes tickets void, not evidence; what a report pins
// stays pinned, and what a hold keeps is kept.
func TestRestoredEvidence(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		st := openAny(t, url)
		ts := storeMany(t, st, 3)
		held := fileOf(t, st, ts[0], benchStart)
		evidenceOfReport(t, st, held, benchStart)
		undecided := fileOf(t, st, ts[1], benchStart)
		evidenceOfReport(t, st, undecided, benchStart)
		copying := fileOf(t, st, ts[2], benchStart)
		m := newModerator(t, st)
		until := benchStart.Add(100 * benchDay)
		if _, err := moderators(st, benchStart).PutHold(t.Context(), m, held.ID, reports.NewHold{Class: reports.HoldReview, Reason: "why", Until: until}); err != nil {
			t.Fatal(err)
		}
		token := hashOf(uuid.New())
		if _, err := moderators(st, benchStart).Claim(t.Context(), m, undecided.ID); err != nil {
			t.Fatal(err)
		}
		pulled, err := moderators(st, benchStart).Pull(t.Context(), m, undecided.ID, func(uuid.UUID) reports.Hash { return token })
		if err != nil {
			t.Fatal(err)
		}
		var before []reports.Report
		for _, r := range []reports.Report{held, undecided, copying} {
			x, err := st.Report(t.Context(), "acme", r.ID)
			if err != nil {
				t.Fatal(err)
			}
			before = append(before, x)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}

		now := benchStart.Add(time.Hour)
		if blobs, err := Restored(t.Context(), Config{URL: url}, now); err != nil || blobs != 3 {
			t.Fatalf("%d blobs, %v", blobs, err)
		}
		st = openAny(t, url)
		for _, want := range before {
			got, err := st.Report(t.Context(), "acme", want.ID)
			if err != nil || got.State != want.State || got.Evidence != want.Evidence || !got.ExpiresAt.Equal(want.ExpiresAt) || !got.MediaUntil.Equal(want.MediaUntil) {
				t.Fatalf("%+v, %v; want %+v", got, err, want)
			}
		}
		sp := tickets.Spend{Ticket: pulled.Ticket.ID, Blob: undecided.ID, Hash: token, Claim: token, Now: benchStart.Add(time.Minute), Evidence: true}
		if won, err := st.Spend(t.Context(), sp); err != nil || won {
			t.Fatalf("a moderator's ticket from before the restore opens: %v, %v", won, err)
		}
		// Of the reported blobs, those may go that are copied.
		if due := dueAt(t, st, now); len(due) != 2 || due[copying.Blob] {
			t.Fatalf("due: %v", due)
		}
		if due := dueAt(t, st, benchStart.Add(benchPin)); !due[copying.Blob] {
			t.Fatalf("not due: %v", due)
		}
		if due := dueAt(t, st, benchStart.Add(30*benchDay)); !due[undecided.ID] || due[held.ID] {
			t.Fatalf("due: %v", due)
		}
		if due := dueAt(t, st, until.Add(-time.Microsecond)); due[held.ID] {
			t.Fatalf("on hold, and due: %v", due)
		}
		if due := dueAt(t, st, until); !due[held.ID] {
			t.Fatalf("not due: %v", due)
		}
	})
}

// dueAt claims what is due.
func dueAt(t *testing.T, st *Store, now time.Time) map[uuid.UUID]bool {
	t.Helper()
	due, err := st.Claim(t.Context(), time.Time{}, now, 1000*time.Hour, 1000)
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[uuid.UUID]bool)
	for _, d := range due {
		ids[d.ID] = true
	}
	return ids
}

// TestActAndEntry: an act that cannot be written to the audit log does not happen (reports,
// 5; P6).
func TestActAndEntry(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		st := openAny(t, url)
		ts := storeMany(t, st, 5)
		m := newModerator(t, st)
		copying, awaiting := fileOf(t, st, ts[0], benchStart), fileOf(t, st, ts[1], benchStart)
		key := blobstore.NewEvidenceKey(copying.ID)
		if err := st.BeginEvidence(t.Context(), copying.ID, key, benchStart); err != nil {
			t.Fatal(err)
		}
		there := fileOf(t, st, ts[2], benchStart)
		evidenceOfReport(t, st, there, benchStart)
		if _, err := moderators(st, benchStart).Claim(t.Context(), m, there.ID); err != nil {
			t.Fatal(err)
		}
		token := hashOf(uuid.New())
		pulled, err := moderators(st, benchStart).Pull(t.Context(), m, there.ID, func(uuid.UUID) reports.Hash { return token })
		if err != nil {
			t.Fatal(err)
		}
		gone := fileOf(t, st, ts[3], benchStart)
		if err := moderators(st, benchStart).Withdraw(t.Context(), gone.ID, hashOf(gone.ID)); err != nil {
			t.Fatal(err)
		}
		due, err := st.Claim(t.Context(), time.Time{}, benchStart, time.Hour, 10)
		if err != nil || len(due) == 0 {
			t.Fatal(due, err)
		}
		look := func() (all []reports.Report) {
			for _, r := range []reports.Report{copying, awaiting, there, gone} {
				x, err := st.Report(t.Context(), "acme", r.ID)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, x)
			}
			return all
		}
		before := look()

		rename := func(from, to string) {
			must(t, st, func(c *conn) error {
				_, err := c.exec(`ALTER TABLE ` + from + ` RENAME TO ` + to)
				return err
			})
		}
		rename("audit", "audit_lost")
		var won bool
		for act, do := range map[string]func() error{
			"file": func() error {
				_, _, err := st.File(t.Context(), filingFor(ts[4], benchStart))
				return err
			},
			"copy": func() error {
				return st.StoreEvidence(t.Context(), reports.StoredEvidence{Report: copying.ID, Key: key, SHA256: copying.SHA256, Now: benchStart, Act: reports.ActCopied})
			},
			"await": func() error { return st.AwaitMedia(t.Context(), awaiting.ID, benchStart) },
			"pull": func() error {
				_, err := moderators(st, benchStart).Pull(t.Context(), m, there.ID, func(uuid.UUID) reports.Hash { return hashOf(uuid.New()) })
				return err
			},
			"open": func() (err error) {
				won, err = st.Spend(t.Context(), tickets.Spend{
					Ticket: pulled.Ticket.ID, Blob: there.ID, Hash: token, Claim: token, Now: benchStart, Evidence: true,
				})
				return err
			},
			"decide": func() error {
				_, err := moderators(st, benchStart).Decide(t.Context(), m, there.ID, reports.Verdict{Outcome: reports.StateUpheld})
				return err
			},
			"withdraw": func() error { return moderators(st, benchStart).Withdraw(t.Context(), there.ID, hashOf(there.ID)) },
			"erase":    func() error { return st.Erase(t.Context(), due, benchStart) },
		} {
			if err := do(); err == nil || won {
				t.Errorf("%s: done, and not in the log", act)
			}
		}
		rename("audit_lost", "audit")
		for i, got := range look() {
			if fmt.Sprint(got) != fmt.Sprint(before[i]) {
				t.Errorf("%+v, was %+v", got, before[i])
			}
		}
		if _, _, err := st.Reported(t.Context(), ts[4].ID, ts[4].Hash); err != nil {
			t.Fatal(err)
		}
		fileOf(t, st, ts[4], benchStart)
		if got, _, err := st.FindTicket(t.Context(), pulled.Ticket.ID, token); err != nil || got.State != tickets.TicketReady {
			t.Fatalf("the ticket is %s, %v", got.State, err)
		}
		chain := reports.Chain{Head: reports.Head{Tenant: "acme"}}
		entries, head, err := st.Audit(t.Context(), "acme", 0, 1000)
		for _, e := range entries {
			err = errors.Join(err, chain.Add(e))
		}
		if err = errors.Join(err, chain.End(head)); err != nil {
			t.Fatal(err)
		}
	})
}

// TestMigrateReports: blobs of the schema before reports are nobody's evidence and pinned
// by nobody, and can be reported.
func TestMigrateReports(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		b, ts, expires := oldBlob(t, url, 6, sha256.Sum256(nil), 100)
		if _, err := Open(t.Context(), Config{URL: url}); !errors.Is(err, ErrSchemaOld) {
			t.Fatalf("%v, want %v", err, ErrSchemaOld)
		}

		st := openAny(t, url)
		got, _, err := st.Blob(t.Context(), "acme", b.ID, 10)
		if err != nil || got.State != tickets.BlobStored || got.Stamp != "" || !got.PurgeAt.Equal(expires) {
			t.Fatalf("%+v, %v", got, err)
		}
		r := fileOf(t, st, ts[0], expires)
		if due := dueAt(t, st, expires); len(due) != 0 {
			t.Fatalf("due: %v", due)
		}
		evidenceOfReport(t, st, r, expires)
		preview, err := st.Preview(t.Context(), expires)
		if err != nil || len(preview) != 1 || preview[0] != (expiry.Preview{Reason: "unopened", Blobs: 1, Bytes: 100, OldestDueAt: expires}) {
			t.Fatalf("preview: %v, %v", preview, err)
		}
	})
}
