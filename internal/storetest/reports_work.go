package storetest

import (
	"context"
	"crypto/sha256"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
	"mayfly/internal/keys"
	"mayfly/reports"
	"mayfly/tickets"
)

// pinTime is for how long a filing pins.
const pinTime = 7 * day

func evidenceTerms() reports.Terms {
	return reports.Terms{
		Policy: "evidence", Keep: 30 * day, ResumeWindow: 15 * time.Minute,
		UploadTTL: day, TombstoneTTL: 90 * day, MaxSize: 2 << 30,
	}
}

// filingOf is a report of the ticket's blob.
func filingOf(ticket tickets.Ticket, now time.Time) reports.Filing {
	id := newID()
	return reports.Filing{
		Report: id, Ticket: ticket.ID, TicketHash: ticket.Hash, Handle: handleOf(id), Body: newHash(),
		Reason: "threat", Comment: "ünwanted", SealedKey: "age-encryption.org/v1 and so on",
		Consent: reports.Consent{
			Statement: "mayfly-1", Locale: "en", SHA256: blobstore.Digest(newHash()), At: now,
			Shared: []string{reports.SharedMedia, reports.SharedKey, reports.SharedComment},
		},
		Terms: evidenceTerms(), Now: now, PinUntil: now.Add(pinTime),
	}
}

// filed is what becomes of a filing whose blob is there.
func filed(b tickets.Blob, f reports.Filing) reports.Report {
	return reports.Report{
		ID: f.Report, Tenant: b.Tenant, State: reports.StateCopying,
		Reported: reports.Reported{
			Blob: b.ID, SHA256: *b.SHA256, Size: b.Size, KeyCommitment: b.KeyCommitment, Context: b.Context,
			Stamp: b.Stamp, UploadedAt: b.StoredAt,
		},
		Reason: f.Reason, Comment: f.Comment, Consent: f.Consent, SealedKey: f.SealedKey, FiledAt: f.Now,
		MediaUntil: f.PinUntil.Add(f.Terms.UploadTTL), Evidence: reports.EvidenceNone,
	}
}

// fileAs files, and has the report in the state that is wanted.
func fileAs(t *testing.T, st Store, f reports.Filing, want reports.State) reports.Report {
	t.Helper()
	r, replayed, err := st.File(t.Context(), f)
	check(t, err)
	if replayed || r.ID != f.Report || r.State != want {
		t.Fatalf("report %s is %s, replayed: %v; want %s, %s", r.ID, r.State, replayed, f.Report, want)
	}
	return r
}

// file reports the ticket's blob, whose bytes are there.
func file(t *testing.T, st Store, ticket tickets.Ticket, now time.Time) reports.Report {
	t.Helper()
	return fileAs(t, st, filingOf(ticket, now), reports.StateCopying)
}

// copied makes the evidence of a report.
func copied(t *testing.T, st Store, r reports.Report, now time.Time) blobstore.Key {
	t.Helper()
	key := blobstore.NewEvidenceKey(r.ID)
	check(t, st.BeginEvidence(t.Context(), r.ID, key, now))
	check(t, st.StoreEvidence(t.Context(), storedEvidence(r, key, now)))
	return key
}

func storedEvidence(r reports.Report, key blobstore.Key, now time.Time) reports.StoredEvidence {
	return reports.StoredEvidence{Report: r.ID, Key: key, SHA256: r.SHA256, Checksum: newChecksum(), Now: now, Act: reports.ActCopied}
}

// opened is a report of a fresh blob that waits for a moderator.
func opened(t *testing.T, st Store, now time.Time) (reports.Report, blobstore.Key) {
	t.Helper()
	r := file(t, st, stored(t, st, viewOnce(), 1, now).tickets[0], now)
	key := copied(t, st, r, now)
	return report(t, st, r), key
}

// alone is opened, with nothing else in the database that could come to be due.
func alone(t *testing.T, st Store) reports.Report {
	t.Helper()
	r, _ := opened(t, st, start)
	check(t, st.Unsend(t.Context(), tenant, r.Blob, start))
	check(t, st.Erase(t.Context(), claimAll(t, st, start), start))
	return r
}

// report is the report as it is now.
func report(t *testing.T, st Store, r reports.Report) reports.Report {
	t.Helper()
	r, err := st.Report(t.Context(), r.Tenant, r.ID)
	check(t, err)
	return r
}

// service is what moderators work with, over the store, at that time.
func service(st reports.Store, now time.Time) *reports.Service {
	return &reports.Service{
		Store: st, Now: func() time.Time { return now },
		Terms: func(context.Context, string) (reports.Terms, error) { return evidenceTerms(), nil },
	}
}

// moderator is a new one of the tenant.
func moderator(t *testing.T, st Store) reports.Moderator {
	t.Helper()
	return moderatorOf(t, st, tenant)
}

func moderatorOf(t *testing.T, st Store, tenant string) reports.Moderator {
	t.Helper()
	k := keys.Key{ID: newID(), Tenant: tenant, Role: keys.RoleModerator, Hash: newHash(), CreatedAt: start}
	check(t, st.CreateKey(t.Context(), k))
	return reports.Moderator{Tenant: tenant, Key: k.ID}
}

func claimFor(t *testing.T, st Store, m reports.Moderator, r reports.Report, now time.Time) (reports.Report, error) {
	return service(st, now).Claim(t.Context(), m, r.ID)
}

// decided is a report after the moderator's decision.
func decided(t *testing.T, st Store, m reports.Moderator, r reports.Report, outcome reports.State, now time.Time) reports.Report {
	t.Helper()
	check(t, tell(claimFor(t, st, m, r, now)))
	r, err := service(st, now).Decide(t.Context(), m, r.ID, reports.Verdict{Outcome: outcome, Policy: "rule 7", Note: "a note"})
	check(t, err)
	return r
}

// held is a report whose evidence is on hold.
func held(t *testing.T, st Store, m reports.Moderator, r reports.Report, until, now time.Time) reports.Report {
	t.Helper()
	r, err := service(st, now).PutHold(t.Context(), m, r.ID, reports.NewHold{Class: reports.HoldReview, Reason: "why", Until: until})
	check(t, err)
	return r
}

// freed ends a hold, by two moderators.
func freed(t *testing.T, st Store, r reports.Report, now time.Time) reports.Report {
	t.Helper()
	for range 2 {
		var err error
		r, _, err = service(st, now).Free(t.Context(), moderatorOf(t, st, r.Tenant), r.ID)
		check(t, err)
	}
	return r
}

func withdrawn(t *testing.T, st Store, r reports.Report, now time.Time) {
	t.Helper()
	check(t, service(st, now).Withdraw(t.Context(), r.ID, handleOf(r.ID)))
}

// tell is what a call says besides what it gives.
func tell(_ reports.Report, err error) error { return err }

// handleOf is the hash of a report's handle.
func handleOf(report uuid.UUID) reports.Hash { return sha256.Sum256(report[:]) }

// pull is a ticket for the evidence of a report.
func pull(t *testing.T, st Store, m reports.Moderator, r reports.Report, now time.Time) tickets.Ticket {
	t.Helper()
	h := newHash()
	p, err := service(st, now).Pull(t.Context(), m, r.ID, func(uuid.UUID) reports.Hash { return h })
	check(t, err)
	return tickets.Ticket{ID: p.Ticket.ID, BlobID: r.ID, Hash: h, Recipient: m.Key.String(), State: tickets.TicketReady, CreatedAt: now}
}

// pulled is an open of evidence.
func pulled(ticket tickets.Ticket, now time.Time) tickets.Spend {
	sp := spendOf(ticket, now)
	sp.Evidence = true
	return sp
}

// logOf is a tenant's whole log, which must be a whole chain, read a few entries at a time.
func logOf(t *testing.T, st Store, tenant string) []reports.Entry {
	t.Helper()
	const page = 7
	chain := reports.Chain{Head: reports.Head{Tenant: tenant}}
	var all []reports.Entry
	for {
		entries, head, err := st.Audit(t.Context(), tenant, chain.Head.Number, page)
		check(t, err)
		for _, e := range entries {
			check(t, chain.Add(e))
		}
		all = append(all, entries...)
		if len(entries) < page {
			check(t, chain.End(head))
			return all
		}
	}
}

// actsOf are the acts of a report, by the log.
func actsOf(t *testing.T, st Store, r reports.Report) []reports.Act {
	t.Helper()
	// Others may be writing to the log, so that its end moves: only what is there counts.
	entries, _, err := st.Audit(t.Context(), r.Tenant, 0, 1_000_000)
	check(t, err)
	var acts []reports.Act
	for _, e := range entries {
		if e.Report == r.ID {
			acts = append(acts, e.Act)
		}
	}
	return acts
}

// dueAt is what waits for the purge at that time.
func dueAt(t *testing.T, st Store, now time.Time) expiry.Backlog {
	t.Helper()
	b, err := st.Backlog(t.Context(), now)
	check(t, err)
	return b
}

// notDue: nothing is due at now, however one asks.
func notDue(t *testing.T, st Store, now time.Time) {
	t.Helper()
	same(t, "backlog", expiry.Backlog{}, dueAt(t, st, now))
	preview, err := st.Preview(t.Context(), now)
	check(t, err)
	same(t, "preview", 0, len(preview))
	share, err := st.Share(t.Context(), now, 0, 2)
	check(t, err)
	same(t, "share", int64(0), share.Due)
	same(t, "claimed", 0, len(claimAll(t, st, now)))
}

// dueFrom: the blob is due from that moment, and nothing is before.
func dueFrom(t *testing.T, st Store, id uuid.UUID, at time.Time) expiry.Due {
	t.Helper()
	notDue(t, st, at.Add(-time.Microsecond))
	return dueSince(t, st, id, at)
}

// dueSince: the blob, and no other, is due at that moment, and since then.
func dueSince(t *testing.T, st Store, id uuid.UUID, at time.Time) expiry.Due {
	t.Helper()
	same(t, "backlog", expiry.Backlog{Due: 1, OldestDueAt: at}, dueAt(t, st, at))
	preview, err := st.Preview(t.Context(), at)
	check(t, err)
	due := claimAll(t, st, at)
	if len(due) != 1 || due[0].ID != id {
		t.Fatalf("claimed: %v", due)
	}
	same(t, "due at", at, due[0].At)
	same(t, "preview", sumUp(due), preview)
	return due[0]
}

// createAll stores samples, many at once.
func createAll(t *testing.T, st Store, samples []sample, now time.Time) {
	t.Helper()
	attempts := make([]tickets.Attempt, len(samples))
	for i := range samples {
		s := &samples[i]
		sum := blobstore.Digest(newHash())
		s.State, s.Key, s.SHA256, s.Checksum = tickets.BlobStored, newKey(s.ID), &sum, newChecksum()
		s.StoredAt, s.ExpiresAt, s.PurgeAt = now, now.Add(s.Terms.UnopenedTTL), now.Add(s.Terms.UnopenedTTL)
		attempts[i] = tickets.Attempt{ID: s.ID, Key: s.Key, Due: now.Add(s.Terms.UploadTTL)}
	}
	check(t, st.Reserve(t.Context(), attempts))
	abreast(len(samples), func(i int) {
		if err := st.Create(t.Context(), samples[i].Blob, samples[i].tickets); err != nil {
			t.Error(err)
		}
	})
}

// abreast calls do for each of n, many at a time.
func abreast(n int, do func(i int)) {
	const callers = 48
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for i := c; i < n; i += callers {
				do(i)
			}
		})
	}
	all.Wait()
}
