package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/reports"
)

// testAudit: each tenant's log is a chain without a gap, whoever writes to it at once.
func testAudit(t *testing.T, open func(*testing.T) Database) {
	run := func(name string, test func(*testing.T, []Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			test(t, []Store{db, db.Again(t)})
		})
	}
	run("entries", auditEntries)
	run("pages", auditPages)
	run("many at once", auditTogether)
	run("erased together", auditErased)
}

func auditEntries(t *testing.T, stores []Store) {
	st := stores[0]
	entries, head, err := st.Audit(t.Context(), tenant, 0, 10)
	check(t, err)
	same(t, "entries of an empty log", 0, len(entries))
	same(t, "head", reports.Head{Tenant: tenant}, head)

	f := filingOf(stored(t, st, viewOnce(), 1, start).tickets[0], start)
	r := fileAs(t, st, f, reports.StateCopying)
	copied(t, st, r, start.Add(time.Hour))
	m := moderator(t, st)
	at := start.Add(2 * time.Hour)
	check(t, tell(claimFor(t, st, m, r, at)))
	ticket := pull(t, st, m, r, at)
	won, err := st.Spend(t.Context(), pulled(ticket, at))
	check(t, err)
	same(t, "opened", true, won)
	withdrawn(t, st, r, at)
	check(t, st.Erase(t.Context(), claimAll(t, st, at), at))

	sum, by := r.SHA256, m.Key.String()
	var want []reports.Entry
	next := reports.Head{Tenant: tenant}
	for _, e := range []struct {
		at    time.Time
		actor string
		reports.Record
	}{
		{start, reports.ActorReporter, reports.Record{Act: reports.ActFiled, Subject: r.Blob, Digest: &f.Consent.SHA256}},
		{start.Add(time.Hour), reports.ActorServer, reports.Record{Act: reports.ActCopied, Digest: &sum}},
		{at, by, reports.Record{Act: reports.ActClaimed}},
		{at, by, reports.Record{Act: reports.ActTicketIssued, Subject: ticket.ID}},
		{at, by, reports.Record{Act: reports.ActOpened, Subject: ticket.ID}},
		{at, reports.ActorReporter, reports.Record{Act: reports.ActWithdrawn}},
		{at, reports.ActorServer, reports.Record{Act: reports.ActErased}},
	} {
		entry := next.Next(e.at, e.actor, r.ID, e.Record)
		want, next = append(want, entry), entry.Head()
	}
	entries, head, err = stores[1].Audit(t.Context(), tenant, 0, 10)
	check(t, err)
	same(t, "entries", want, entries)
	same(t, "head", next, head)
	entries, head, err = st.Audit(t.Context(), "stranger", 0, 10)
	check(t, err)
	if len(entries) != 0 || head.Number != 0 {
		t.Fatalf("a stranger sees %v", entries)
	}
}

func auditPages(t *testing.T, stores []Store) {
	st := stores[0]
	for range 10 {
		opened(t, st, start)
	}
	all := logOf(t, st, tenant)
	same(t, "entries", 20, len(all))
	for _, tc := range []struct {
		after int64
		limit int
		want  []reports.Entry
	}{
		{0, 5, all[:5]}, {5, 5, all[5:10]}, {18, 5, all[18:]}, {20, 5, nil}, {99, 5, nil}, {0, 100, all},
	} {
		page, head, err := st.Audit(t.Context(), tenant, tc.after, tc.limit)
		check(t, err)
		same(t, fmt.Sprintf("up to %d after %d", tc.limit, tc.after), tc.want, page)
		same(t, "head", all[19].Head(), head)
	}
}

// auditTogether: reports of two tenants go through their lives at once. Whoever reads
// meanwhile sees whole chains, and no act without its entry.
func auditTogether(t *testing.T, stores []Store) {
	const each = 24
	tenants := []string{tenant, "stranger"}
	samples := make([]sample, each*len(tenants))
	moderators := make([]reports.Moderator, len(samples))
	for i := range samples {
		samples[i] = newSample(viewOnce(), 1, start)
		samples[i].Tenant = tenants[i%2]
		moderators[i] = moderatorOf(t, stores[0], tenants[i%2])
	}
	createAll(t, stores[0], samples, start)

	over := make(chan struct{})
	var readers sync.WaitGroup
	for i, name := range tenants {
		readers.Go(func() {
			for reading := true; reading; {
				select {
				case <-over:
					reading = false
				default:
				}
				all, err := stores[i].Reports(t.Context(), name, reports.Query{Limit: 1000, Now: start})
				if err != nil {
					t.Error(err)
				}
				entries, head, err := stores[i].Audit(t.Context(), name, 0, 100_000)
				if err == nil {
					err = verify(name, entries, head)
				}
				if err != nil {
					t.Error(err)
					return
				}
				known := make(map[uuid.UUID]map[reports.Act]bool)
				for _, e := range entries {
					if known[e.Report] == nil {
						known[e.Report] = make(map[reports.Act]bool)
					}
					known[e.Report][e.Act] = true
				}
				for _, r := range all {
					for act, done := range map[reports.Act]bool{
						reports.ActFiled: true, reports.ActCopied: r.Evidence == reports.EvidenceStored,
						reports.ActClaimed: r.Claim.By != uuid.UUID{}, reports.ActUpheld: r.State == reports.StateUpheld,
					} {
						if done && !known[r.ID][act] {
							t.Errorf("%s is %s, and the log does not say %s", r.ID, r.State, act)
						}
					}
				}
			}
		})
	}
	abreast(len(samples), func(i int) {
		st, m := stores[i/2%2], moderators[i]
		r := file(t, st, samples[i].tickets[0], start)
		copied(t, st, r, start)
		decided(t, st, m, r, reports.StateUpheld, start)
	})
	close(over)
	readers.Wait()
	for _, name := range tenants {
		log := logOf(t, stores[0], name)
		same(t, "entries", 4*each, len(log))
		acts := make(map[uuid.UUID][]reports.Act)
		for _, e := range log {
			same(t, "tenant", name, e.Tenant)
			acts[e.Report] = append(acts[e.Report], e.Act)
		}
		for _, of := range acts {
			same(t, "acts", []reports.Act{reports.ActFiled, reports.ActCopied, reports.ActClaimed, reports.ActUpheld}, of)
		}
	}
}

func verify(tenant string, entries []reports.Entry, head reports.Head) error {
	chain := reports.Chain{Head: reports.Head{Tenant: tenant}}
	for _, e := range entries {
		if err := chain.Add(e); err != nil {
			return err
		}
	}
	return chain.End(head)
}

// auditErased: purges that erase evidence of several tenants at once do not wait for each
// other in a circle, and write each end once.
func auditErased(t *testing.T, stores []Store) {
	const blobs = 48
	samples := make([]sample, blobs)
	for i := range samples {
		samples[i] = newSample(viewOnce(), 1, start)
		samples[i].Tenant = fmt.Sprintf("tenant%d", i%3)
	}
	createAll(t, stores[0], samples, start)
	abreast(blobs, func(i int) {
		st := stores[i%2]
		r := file(t, st, samples[i].tickets[0], start)
		check(t, st.BeginEvidence(t.Context(), r.ID, blobstore.NewEvidenceKey(r.ID), start))
		withdrawn(t, st, r, start)
	})
	abreast(8, func(i int) {
		for {
			due, err := stores[i%2].Claim(t.Context(), time.Time{}, start, time.Hour, 5)
			if err == nil {
				err = stores[i%2].Erase(t.Context(), due, start)
			}
			if err != nil {
				t.Error(err)
			}
			if err != nil || len(due) == 0 {
				return
			}
		}
	})
	for i := range 3 {
		log := logOf(t, stores[0], fmt.Sprintf("tenant%d", i))
		same(t, "entries", blobs/3*3, len(log)) // filed, withdrawn, erased
	}
}
