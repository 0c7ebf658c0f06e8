package storetest

import (
	"sync/atomic"
	"testing"
	"time"

	"mayfly/expiry"
)

// testTurns: one replica at a time has the turn at a job.
func testTurns(t *testing.T, open func(*testing.T) Database) {
	t.Run("one at a time", func(t *testing.T) {
		t.Parallel()
		oneAtATime(t, open(t))
	})
	t.Run("race", func(t *testing.T) {
		t.Parallel()
		raceTurns(t, open(t))
	})
}

func oneAtATime(t *testing.T, db Database) {
	a, b := newID(), newID()
	take := func(st expiry.Turns, job string, holder [16]byte, now, until time.Time, want bool, wantHeld expiry.HeldTurn) {
		t.Helper()
		taken, held, err := st.TakeTurn(t.Context(), job, holder, now, until)
		check(t, err)
		if taken != want {
			t.Fatalf("taken: %v, want %v", taken, want)
		}
		same(t, "held", wantHeld, held)
	}
	other, none := db.Again(t), expiry.HeldTurn{}
	later := start.Add(time.Minute)
	take(db, "sweep", a, start, later, true, none)
	take(other, "sweep", b, start, later, false, expiry.HeldTurn{Until: later})
	take(other, "another job", b, start, later, true, none)
	longer := later.Add(time.Minute)
	take(db, "sweep", a, start, longer, true, none)
	take(other, "sweep", b, later, longer, false, expiry.HeldTurn{Until: longer})
	take(other, "sweep", b, longer, longer.Add(time.Hour), true, none) // a has died
	check(t, db.EndTurn(t.Context(), "sweep", a, longer))              // and comes back: it has nothing to end
	take(db, "sweep", a, longer, longer.Add(day), false, expiry.HeldTurn{Until: longer.Add(time.Hour)})
	rest := longer.Add(time.Minute)
	check(t, other.EndTurn(t.Context(), "sweep", b, rest))
	take(db, "sweep", a, longer, rest, false, expiry.HeldTurn{Until: rest, Done: true})
	take(db, "sweep", a, rest, longer, true, none)

	// A holder whose clock was a year ahead, and who died, keeps nobody waiting.
	ahead := rest.AddDate(1, 0, 0)
	take(other, "sweep", b, ahead, ahead.Add(time.Minute), true, none)
	take(db, "sweep", a, rest, rest.Add(time.Minute), true, none)
}

func raceTurns(t *testing.T, db Database) {
	stores := []Store{db, db.Again(t)}
	for round := range rounds {
		now := start.Add(time.Duration(round) * time.Hour)
		var taken atomic.Int64
		all := make([]func(), 8)
		for i := range all {
			holder := newID()
			all[i] = func() {
				ok, _, err := stores[i%2].TakeTurn(t.Context(), "sweep", holder, now, now.Add(time.Minute))
				if err != nil {
					t.Error(err)
				}
				if ok {
					taken.Add(1)
				}
			}
		}
		together(all...)
		if taken.Load() != 1 {
			t.Fatalf("%d had the turn at once", taken.Load())
		}
	}
}
