package storetest

import (
	"sync"
	"testing"

	"mayfly/tickets"
)

// Durability: what a call has answered is there after a crash (P1, P2). It is apart
// from Test because a server has to be one's own to be crashed.
func Durability(t *testing.T, open func(*testing.T) Database) {
	t.Run("everything acknowledged", func(t *testing.T) {
		t.Parallel()
		everythingSurvives(t, open(t))
	})
	t.Run("each spend, among many", func(t *testing.T) {
		t.Parallel()
		spendsSurvive(t, open(t))
	})
}

func everythingSurvives(t *testing.T, db Database) {
	p := pending(t, db, viewOnce(), 2, start)
	attempt := newKey(p.ID)
	check(t, db.BeginAttempt(t.Context(), p.ID, attempt, p.UploadUntil, start))
	s := stored(t, db, viewOnce(), 3, start)
	claim := spend(t, db, s.tickets[0], start, true)
	_, err := db.Acknowledge(t.Context(), s.tickets[0].ID, s.tickets[0].Hash, claim, start)
	check(t, err)
	spend(t, db, s.tickets[1], start, true)
	check(t, db.Revoke(t.Context(), tenant, s.ID, s.tickets[2].ID, start))
	_, err = db.AddTickets(t.Context(), tenant, s.ID, newTickets(s.ID, 1, start), 10, start)
	check(t, err)
	tombstone := erased(t, db, 1, start)
	unsent := stored(t, db, viewOnce(), 1, start)
	check(t, db.Unsend(t.Context(), tenant, unsent.ID, start))

	after := db.Crashed(t)
	for _, want := range []sample{p, s, tombstone, unsent} {
		b, ts := look(t, db, want.ID)
		gotB, gotTs := look(t, after, want.ID)
		same(t, "blob", b, gotB)
		same(t, "tickets", ts, gotTs)
	}
	if !owned(t, after, attempt) {
		t.Fatal("the attempt is forgotten, and its bytes with it")
	}
	spend(t, after, s.tickets[0], start, false)
	if due := claimAll(t, after, start); len(due) != 1 || due[0].ID != unsent.ID {
		t.Fatalf("due after the crash: %v", due)
	}
}

// spendsSurvive crashes after each of some spends, while others keep the store busy:
// an answer that comes before its commit shows only then.
func spendsSurvive(t *testing.T, db Database) {
	const crashes, others = 12, 8
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for range others {
		s := stored(t, db, disappearing(), 1, start)
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if won, err := db.Spend(t.Context(), spendOf(s.tickets[0], start)); err != nil || !won {
					t.Errorf("spend: %v, %v", won, err)
					return
				}
			}
		})
	}
	defer busy.Wait()
	defer close(stop)
	for range crashes {
		s := stored(t, db, viewOnce(), 1, start)
		claim := spend(t, db, s.tickets[0], start, true)
		after := db.Crashed(t)
		got, b := find(t, after, s.tickets[0])
		if got.State != tickets.TicketOpened || got.Claim != claim || b.State != tickets.BlobStored {
			t.Fatalf("after the crash the ticket is %s, the blob %s", got.State, b.State)
		}
	}
}
