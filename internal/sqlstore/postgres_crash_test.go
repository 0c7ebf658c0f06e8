package sqlstore

import (
	"sync"
	"testing"

	"github.com/google/uuid"

	"mayfly/internal/storetest"
	"mayfly/internal/testenv/postgres"
	"mayfly/tickets"
)

// ownServer is a PostgreSQL for this test alone, which it may crash.
func ownServer(t *testing.T, settings ...string) *postgres.Server {
	t.Helper()
	s, err := postgres.Start(t.Context(), t.TempDir(), settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopServer(t, s) })
	return s
}

func stopServer(t *testing.T, s *postgres.Server) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

func TestPostgresDurability(t *testing.T) {
	t.Parallel()
	storetest.Durability(t, func(t *testing.T) storetest.Database {
		server := ownServer(t)
		u := newSchema(t, server.URL())
		db := postgresAt(t, u)
		db.Crashed = func(t *testing.T) storetest.Store {
			crashed, err := server.Copy(t.Context(), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { stopServer(t, crashed) })
			there := crashed.URL()
			there.RawQuery = u.RawQuery
			return openURL(t, there)
		}
		return db
	})
}

// TestPostgresCrashes: the server dies under 64 callers and comes back. What they were
// told is so, what they were not told is one or the other and can be read, and the
// store goes on by itself.
func TestPostgresCrashes(t *testing.T) {
	t.Parallel()
	const tickets = 3000
	server := ownServer(t)
	st := openURL(t, newSchema(t, server.URL()))
	ts := storeMany(t, st, tickets)
	outcomes := make([]spendOutcome, tickets)
	begun, half := make(chan int, tickets), make(chan struct{})
	var callers sync.WaitGroup
	var told sync.Once
	for range 64 {
		callers.Go(func() {
			for i := range begun {
				if i == tickets/2 {
					told.Do(func() { close(half) })
				}
				outcomes[i].won, outcomes[i].err = st.Spend(t.Context(), spendFor(ts[i], ts[i].Hash))
			}
		})
	}
	go func() {
		defer close(begun)
		for i := range tickets {
			begun <- i
		}
	}()
	<-half
	if err := server.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	callers.Wait()
	var won, failed int
	for i, o := range outcomes {
		after, _, err := st.FindTicket(t.Context(), ts[i].ID, ts[i].Hash)
		switch {
		case err != nil:
			t.Fatal("after the crash:", err)
		case o.won:
			won++
			if after.Claim != ts[i].Hash {
				t.Fatalf("ticket %d was told to be opened and is %s", i, after.State)
			}
		case o.err == nil:
			t.Fatalf("ticket %d was refused, and nobody else had it", i)
		default:
			failed++
			again, err := st.Spend(t.Context(), spendFor(ts[i], hashOf(uuid.New())))
			if err != nil || again == (after.Claim == ts[i].Hash) {
				t.Fatalf("ticket %d: %v, then %s; opened by another: %v, %v", i, o.err, after.State, again, err)
			}
		}
	}
	if won == 0 || failed == 0 {
		t.Fatalf("%d won, %d failed: the crash hit nobody, or all", won, failed)
	}
}

type spendOutcome struct {
	won bool
	err error
}

func spendFor(t tickets.Ticket, claim tickets.Hash) tickets.Spend {
	return tickets.Spend{Ticket: t.ID, Blob: t.BlobID, Hash: t.Hash, Claim: claim, Now: benchStart}
}
