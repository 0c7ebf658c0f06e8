package storetest

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/blobstore"
	"mayfly/reports"
	"mayfly/tickets"
)

// testEvidence: evidence is a blob, and moderators open it as others open theirs; but no
// backend sees it, and each open is in the log (P6).
func testEvidence(t *testing.T, open func(*testing.T) Database) {
	st := open(t)
	run := func(name string, test func(*testing.T, Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, st)
		})
	}
	run("invisible to backends", evidenceInvisible)
	run("stored", evidenceStored)
	run("checksum", evidenceChecksum)
	run("opened once", pullOnce)
	run("not by the way of others", pullOtherwise)
	run("key revoked", pullRevoked)
	run("of a key that is no moderator's", pullNoModerator)
	run("expired ticket", pullExpired)
	run("expired evidence", pullTooLate)
	t.Run("opened, and due as before", func(t *testing.T) {
		t.Parallel()
		pullKeepsDeadline(t, open(t))
	})
	t.Run("two processes", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		racePulls(t, []Store{db, db.Again(t)})
	})
	if tickets.EvidenceTTL != reports.TicketTTL {
		t.Errorf("a moderator's ticket is good for %v, or for %v", tickets.EvidenceTTL, reports.TicketTTL)
	}
}

func evidenceInvisible(t *testing.T, st Store) {
	m := moderator(t, st)
	copying := file(t, st, stored(t, st, viewOnce(), 1, start).tickets[0], start)
	there, key := opened(t, st, start)
	check(t, tell(claimFor(t, st, m, there, start)))
	ticket := pull(t, st, m, there, start)
	for _, r := range []reports.Report{copying, there} {
		_, _, err := st.Blob(t.Context(), tenant, r.ID, 10)
		wantErr(t, err, tickets.ErrUnknownBlob)
		_, err = st.AddTickets(t.Context(), tenant, r.ID, newTickets(r.ID, 1, start), 10, start)
		wantErr(t, err, tickets.ErrUnknownBlob)
		wantErr(t, st.Revoke(t.Context(), tenant, r.ID, ticket.ID, start), tickets.ErrUnknownBlob)
		wantErr(t, st.Unsend(t.Context(), tenant, r.ID, start), tickets.ErrUnknownBlob)
		for _, grant := range []tickets.Hash{{}, newHash(), handleOf(r.ID)} {
			_, err = st.FindGrant(t.Context(), r.ID, grant)
			wantErr(t, err, tickets.ErrUnknownGrant)
		}
		// An upload is no way to bring evidence (reports, 1).
		b := tickets.Blob{ID: r.ID, Terms: viewOnce()}
		other := newKey(r.ID)
		_ = st.BeginAttempt(t.Context(), r.ID, other, start.Add(day), start)
		if st.Commit(t.Context(), commitOf(b, other, start)) == nil {
			t.Error("an upload became evidence")
		}
	}
	same(t, "copying", copying, report(t, st, copying))
	same(t, "state", reports.EvidenceStored, report(t, st, there).Evidence)
	won, err := st.Spend(t.Context(), pulled(ticket, start))
	check(t, err)
	same(t, "opened", true, won)
	if !owned(t, st, key) {
		t.Fatal("the key is nobody's")
	}
}

// evidenceStored: the sweep knows it as what must be there.
func evidenceStored(t *testing.T, st Store) {
	r, key := opened(t, st, start)
	page, err := st.Stored(t.Context(), before(r.ID), 1)
	check(t, err)
	if len(page) != 1 || page[0].ID != r.ID || page[0].Key != key || page[0].SHA256 != r.SHA256 || page[0].Size != r.Size {
		t.Fatalf("stored: %v", page)
	}
}

// evidenceChecksum: the evidence has its own, by which a moderator's open is verified; of a
// second call nothing is taken.
func evidenceChecksum(t *testing.T, st Store) {
	m := moderator(t, st)
	s := stored(t, st, viewOnce(), 1, start)
	r := file(t, st, s.tickets[0], start)
	e := storedEvidence(r, blobstore.NewEvidenceKey(r.ID), start)
	check(t, st.BeginEvidence(t.Context(), r.ID, e.Key, start))
	check(t, st.StoreEvidence(t.Context(), e))
	check(t, st.StoreEvidence(t.Context(), storedEvidence(r, e.Key, start)))
	check(t, tell(claimFor(t, st, m, report(t, st, r), start)))
	ticket := pull(t, st, m, r, start)
	_, b, err := st.FindTicket(t.Context(), ticket.ID, tickets.Hash(ticket.Hash))
	check(t, err)
	if !b.Checksum.Equal(e.Checksum) {
		t.Errorf("another checksum: %v", b.Checksum)
	}
	if b, _ := look(t, st, s.ID); !b.Checksum.Equal(s.Checksum) {
		t.Error("the reported blob's is another now")
	}
}

// before is the id in front of an id.
func before[T ~[16]byte](id T) T {
	for i := len(id) - 1; i >= 0; i-- {
		id[i]--
		if id[i] != 0xff {
			break
		}
	}
	return id
}

func count(acts []reports.Act, act reports.Act) int {
	n := 0
	for _, a := range acts {
		if a == act {
			n++
		}
	}
	return n
}

func pullOnce(t *testing.T, st Store) { racePulls(t, []Store{st, st}) }

// racePulls: of many who open evidence with one ticket one does, and is in the log.
func racePulls(t *testing.T, stores []Store) {
	const callers = 24
	m := moderator(t, stores[0])
	r, _ := opened(t, stores[0], start)
	check(t, tell(claimFor(t, stores[0], m, r, start)))
	for n := range 5 {
		ticket := pull(t, stores[0], m, r, start)
		same(t, "opened before", n, count(actsOf(t, stores[0], r), reports.ActOpened))
		var won atomic.Int64
		var claim tickets.Hash
		abreast(callers, func(i int) {
			sp := pulled(ticket, start.Add(time.Minute))
			ok, err := stores[i%2].Spend(t.Context(), sp)
			if err != nil {
				t.Error(err)
			}
			if ok {
				won.Add(1)
				claim = sp.Claim
			}
		})
		same(t, "opened", int64(1), won.Load())
		same(t, "in the log", n+1, count(actsOf(t, stores[0], r), reports.ActOpened))
		got, _, err := stores[1].FindTicket(t.Context(), ticket.ID, ticket.Hash)
		check(t, err)
		if got.State != tickets.TicketOpened || got.Claim != claim {
			t.Fatalf("the ticket is %s, by another's claim", got.State)
		}
		changed, err := stores[0].Acknowledge(t.Context(), ticket.ID, ticket.Hash, claim, start.Add(time.Hour))
		check(t, err)
		same(t, "acknowledged", true, changed)
		entries, _, err := stores[0].Audit(t.Context(), tenant, 0, 1_000_000)
		check(t, err)
		i := slices.IndexFunc(entries, func(e reports.Entry) bool { return e.Act == reports.ActOpened && e.Subject == ticket.ID })
		if i < 0 || entries[i].Actor != m.Key.String() || entries[i].Report != r.ID {
			t.Fatalf("in the log: %v", entries)
		}
	}
}

// refusedPull: nothing is spent, and nothing in the log.
func refusedPull(t *testing.T, st Store, sp tickets.Spend, want error) {
	t.Helper()
	r := reports.Report{ID: sp.Blob, Tenant: tenant}
	acts := actsOf(t, st, r)
	won, err := st.Spend(t.Context(), sp)
	if won || !errors.Is(err, want) {
		t.Fatalf("opened: %v, %v; want %v", won, err, want)
	}
	same(t, "acts", acts, actsOf(t, st, r))
	if got, _, err := st.FindTicket(t.Context(), sp.Ticket, sp.Hash); err == nil && got.State != tickets.TicketReady {
		t.Fatalf("the ticket is %s", got.State)
	}
}

func pullable(t *testing.T, st Store) (reports.Moderator, reports.Report, tickets.Ticket) {
	t.Helper()
	r, _ := opened(t, st, start)
	m := moderator(t, st)
	check(t, tell(claimFor(t, st, m, r, start)))
	return m, r, pull(t, st, m, r, start)
}

func pullOtherwise(t *testing.T, st Store) {
	_, _, ticket := pullable(t, st)
	refusedPull(t, st, spendOf(ticket, start), nil) // not by the hot way, which no log sees
	foreign := pulled(ticket, start)
	foreign.Hash = newHash()
	refusedPull(t, st, foreign, nil)
	s := stored(t, st, viewOnce(), 1, start)
	refusedPull(t, st, pulled(s.tickets[0], start), nil) // and no recipient's by the moderators'
	elsewhere := pulled(ticket, start)
	elsewhere.Blob = s.ID
	refusedPull(t, st, elsewhere, nil)
	won, err := st.Spend(t.Context(), pulled(ticket, start))
	check(t, err)
	same(t, "opened", true, won)
}

func pullRevoked(t *testing.T, st Store) {
	m, _, ticket := pullable(t, st)
	check(t, st.RevokeKey(t.Context(), m.Key, start))
	refusedPull(t, st, pulled(ticket, start), tickets.ErrRevoked)
}

func pullNoModerator(t *testing.T, st Store) {
	r, _ := opened(t, st, start)
	stranger := moderatorOf(t, st, "stranger")
	stranger.Tenant = tenant
	for _, m := range []reports.Moderator{stranger, {Tenant: tenant, Key: newID()}} {
		now := start
		if m != stranger {
			now = now.Add(time.Hour)
		}
		check(t, tell(claimFor(t, st, m, r, now)))
		refusedPull(t, st, pulled(pull(t, st, m, r, now), now), tickets.ErrRevoked)
	}
}

func pullExpired(t *testing.T, st Store) {
	_, r, ticket := pullable(t, st)
	refusedPull(t, st, pulled(ticket, start.Add(tickets.EvidenceTTL)), tickets.ErrExpired)
	won, err := st.Spend(t.Context(), pulled(ticket, start.Add(tickets.EvidenceTTL-time.Microsecond)))
	check(t, err)
	same(t, "opened in time", true, won)
	same(t, "acts", 1, count(actsOf(t, st, r), reports.ActOpened))
}

func pullTooLate(t *testing.T, st Store) {
	r, _ := opened(t, st, start)
	m := moderator(t, st)
	r = decided(t, st, m, r, reports.StateDismissed, start)
	ticket := pull(t, st, m, r, r.ExpiresAt.Add(-time.Minute))
	refusedPull(t, st, pulled(ticket, r.ExpiresAt), nil)
}

func pullKeepsDeadline(t *testing.T, st Store) {
	r, m := alone(t, st), moderator(t, st)
	check(t, tell(claimFor(t, st, m, r, start)))
	for range 3 {
		won, err := st.Spend(t.Context(), pulled(pull(t, st, m, r, start), start))
		check(t, err)
		same(t, "opened", true, won)
		same(t, "expires at", r.ExpiresAt, report(t, st, r).ExpiresAt)
	}
	due := dueFrom(t, st, r.ID, r.ExpiresAt)
	same(t, "reason", "retention", due.Reason)
}
