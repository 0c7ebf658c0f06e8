package storetest

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/tickets"
)

// rounds is how often a race of two is run. Each round has a blob of its own.
const rounds = 40

// testRaces has callers of two Stores on one database meet.
func testRaces(t *testing.T, open func(*testing.T) Database) {
	db := open(t)
	stores := []Store{db, db.Again(t)}
	run := func(name string, test func(*testing.T, []Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, stores)
		})
	}
	run("one ticket, 64 callers", raceOneTicket)
	run("tickets of one blob", raceSiblings)
	run("spend and unsend", raceSpendUnsend)
	run("spend and revoke", raceSpendRevoke)
	run("spend and acknowledge", raceAcknowledge)
	run("commit and commit", raceCommits)
	run("add and add", raceAdds)
	run("adds and refusals", raceMixedAdds)
	run("contests", raceContests)
}

// raceOneTicket is P2.
func raceOneTicket(t *testing.T, stores []Store) {
	const callers = 64
	s := stored(t, stores[0], viewOnce(), 1, start)
	spends := make([]tickets.Spend, callers)
	var won, winner atomic.Int64
	all := make([]func(), callers)
	for i := range all {
		spends[i] = spendOf(s.tickets[0], start)
		all[i] = func() {
			ok, err := stores[i%2].Spend(t.Context(), spends[i])
			if err != nil {
				t.Error(err)
			}
			if ok {
				won.Add(1)
				winner.Store(int64(i))
			}
		}
	}
	together(all...)
	if won.Load() != 1 {
		t.Fatalf("%d of %d callers opened one ticket", won.Load(), callers)
	}
	got, _ := find(t, stores[1], s.tickets[0])
	if got.State != tickets.TicketOpened || got.Claim != spends[winner.Load()].Claim {
		t.Fatalf("the ticket is %s, by another's claim", got.State)
	}
}

func raceSiblings(t *testing.T, stores []Store) {
	const siblings, callers = 8, 6
	s := stored(t, stores[0], viewOnce(), siblings, start)
	var won [siblings]atomic.Int64
	var all []func()
	for i := range siblings {
		for j := range callers {
			sp := spendOf(s.tickets[i], start.Add(time.Duration(i)*time.Hour))
			all = append(all, func() {
				ok, err := stores[j%2].Spend(t.Context(), sp)
				if err != nil {
					t.Error(err)
				}
				if ok {
					won[i].Add(1)
				}
			})
		}
	}
	together(all...)
	for i := range won {
		if won[i].Load() != 1 {
			t.Errorf("ticket %d was opened %d times", i, won[i].Load())
		}
	}
	want := start.Add((siblings-1)*time.Hour + 72*time.Hour)
	if b, _ := look(t, stores[0], s.ID); !b.PurgeAt.Equal(want) {
		t.Fatalf("all opened, purge at %v, want %v", b.PurgeAt, want)
	}
}

func raceSpendUnsend(t *testing.T, stores []Store) {
	for i := range rounds {
		s := stored(t, stores[0], viewOnce(), 1, start)
		sp := spendOf(s.tickets[0], start)
		var won bool
		var spendErr, unsendErr error
		together(
			func() { won, spendErr = stores[i%2].Spend(t.Context(), sp) },
			func() { unsendErr = stores[i/2%2].Unsend(t.Context(), tenant, s.ID, start) },
		)
		check(t, errors.Join(spendErr, unsendErr))
		got, b := find(t, stores[0], s.tickets[0])
		want := tickets.TicketRevoked
		if won {
			want = tickets.TicketOpened
		}
		if got.State != want || b.State != tickets.BlobPurging || b.Reason != tickets.ReasonUnsent || !b.PurgeAt.Equal(start) {
			t.Fatalf("spend: %v; ticket %s; blob %s, %s, purge at %v", won, got.State, b.State, b.Reason, b.PurgeAt)
		}
	}
}

func raceSpendRevoke(t *testing.T, stores []Store) {
	for i := range rounds {
		s := stored(t, stores[0], viewOnce(), 1, start)
		sp := spendOf(s.tickets[0], start)
		var won bool
		var spendErr, revokeErr error
		together(
			func() { won, spendErr = stores[i%2].Spend(t.Context(), sp) },
			func() { revokeErr = stores[i/2%2].Revoke(t.Context(), tenant, s.ID, s.tickets[0].ID, start) },
		)
		check(t, spendErr)
		if won != errors.Is(revokeErr, tickets.ErrOpened) || won != (revokeErr != nil) {
			t.Fatalf("spend: %v, revoke: %v", won, revokeErr)
		}
		b, ts := look(t, stores[1], s.ID)
		purge := s.ExpiresAt
		if won {
			purge = start.Add(72 * time.Hour)
		}
		if (ts[0].State == tickets.TicketOpened) != won || !b.PurgeAt.Equal(purge) {
			t.Fatalf("spend: %v; ticket %s, purge at %v", won, ts[0].State, b.PurgeAt)
		}
	}
}

func raceAcknowledge(t *testing.T, stores []Store) {
	s := stored(t, stores[0], viewOnce(), 1, start)
	claim := spend(t, stores[0], s.tickets[0], start, true)
	var changed atomic.Int64
	all := make([]func(), 16)
	for i := range all {
		all[i] = func() {
			ok, err := stores[i%2].Acknowledge(t.Context(), s.tickets[0].ID, s.tickets[0].Hash, claim, start)
			if err != nil {
				t.Error(err)
			}
			if ok {
				changed.Add(1)
			}
		}
	}
	together(all...)
	if changed.Load() != 1 {
		t.Fatalf("delivered %d times", changed.Load())
	}
}

func raceCommits(t *testing.T, stores []Store) {
	for range rounds {
		s := pending(t, stores[0], viewOnce(), 1, start)
		commits := make([]tickets.Commit, 3)
		errs := make([]error, len(commits))
		var all []func()
		for i := range commits {
			key := newKey(s.ID)
			check(t, stores[0].BeginAttempt(t.Context(), s.ID, key, s.UploadUntil, start))
			commits[i] = commitOf(s.Blob, key, start)
			all = append(all, func() { errs[i] = stores[i%2].Commit(t.Context(), commits[i]) })
		}
		together(all...)
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner >= 0:
				t.Fatal("two commits of one blob")
			case err == nil:
				winner = i
			default:
				wantErr(t, err, tickets.ErrAlreadyStored)
			}
		}
		b, _ := look(t, stores[0], s.ID)
		if winner < 0 || b.Key != commits[winner].Key || !b.Checksum.Equal(commits[winner].Checksum) || *b.SHA256 != commits[winner].SHA256 {
			t.Fatalf("commit %d won, the blob has key %s", winner, b.Key)
		}
	}
}

func raceAdds(t *testing.T, stores []Store) {
	const callers, limit = 8, 5
	s := stored(t, stores[0], viewOnce(), 1, start)
	errs := make([]error, callers)
	var all []func()
	for i := range errs {
		ts := newTickets(s.ID, 2, start)
		all = append(all, func() {
			_, errs[i] = stores[i%2].AddTickets(t.Context(), tenant, s.ID, ts, limit, start)
		})
	}
	together(all...)
	added := 0
	for _, err := range errs {
		if err == nil {
			added++
		} else {
			wantErr(t, err, tickets.ErrTooManyTickets)
		}
	}
	_, ts := look(t, stores[0], s.ID)
	if added != 2 || len(ts) != limit {
		t.Fatalf("%d calls added, %d tickets", added, len(ts))
	}
	for _, ticket := range ts { // the count of ready tickets is right: only the last open lets go of the deadline
		b, _ := look(t, stores[0], s.ID)
		if !b.PurgeAt.Equal(s.ExpiresAt) {
			t.Fatalf("purge at %v although tickets are ready", b.PurgeAt)
		}
		spend(t, stores[1], ticket, start, true)
	}
	if b, _ := look(t, stores[0], s.ID); !b.PurgeAt.Equal(start.Add(72 * time.Hour)) {
		t.Fatalf("purge at %v although no ticket is ready", b.PurgeAt)
	}
}

func raceContests(t *testing.T, stores []Store) {
	s := stored(t, stores[0], viewOnce(), 2, start)
	all := make([]func(), 16)
	for i := range all {
		all[i] = func() {
			err := stores[i%2].Contest(t.Context(), map[uuid.UUID]int64{s.tickets[0].ID: 1, s.tickets[1].ID: 2})
			if err != nil {
				t.Error(err)
			}
		}
	}
	together(all...)
	_, ts := look(t, stores[0], s.ID)
	if ts[0].Contested != 16 || ts[1].Contested != 32 {
		t.Fatalf("contested %d and %d", ts[0].Contested, ts[1].Contested)
	}
}
