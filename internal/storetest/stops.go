package storetest

import (
	"testing"
	"time"

	"mayfly/expiry"
)

// testStops: what one replica stops is stopped for all, and what is due is counted.
func testStops(t *testing.T, open func(*testing.T) Database) {
	t.Run("on and off", func(t *testing.T) {
		t.Parallel()
		onAndOff(t, open(t))
	})
	t.Run("share", func(t *testing.T) {
		t.Parallel()
		shareOfAll(t, open(t))
	})
}

func onAndOff(t *testing.T, db Database) {
	other := db.Again(t)
	look := func(want *expiry.Stop) {
		t.Helper()
		for _, st := range []Store{db, other} {
			got, on, err := st.Stopped(t.Context())
			check(t, err)
			if on != (want != nil) {
				t.Fatalf("stopped: %v", on)
			}
			if want != nil {
				same(t, "stop", *want, got)
			}
		}
	}
	look(nil)
	first := expiry.Stop{Reason: "an accident", By: "eve", Since: start}
	second := expiry.Stop{Reason: "another", By: "mallory", Since: start.Add(time.Hour)}
	check(t, db.SetStop(t.Context(), first))
	look(&first)
	check(t, other.SetStop(t.Context(), second))
	look(&second)
	for range 2 {
		check(t, db.EndStop(t.Context()))
		look(nil)
	}
}

func shareOfAll(t *testing.T, db Database) {
	now := start.Add(14 * day)
	stored(t, db, viewOnce(), 1, start)                // due
	stored(t, db, viewOnce(), 1, start)                // due
	pending(t, db, viewOnce(), 1, start)               // due
	stored(t, db, viewOnce(), 1, start.Add(time.Hour)) // not yet
	pending(t, db, viewOnce(), 1, start.Add(14*day))   // not yet
	erased(t, db, 1, start)                            // neither
	unsent := stored(t, db, viewOnce(), 1, start)      // wanted
	check(t, db.Unsend(t.Context(), tenant, unsent.ID, start))
	for _, c := range []struct {
		above int64
		times float64
		want  expiry.Share
	}{
		{3, 2, expiry.Share{Due: 3}},
		{2, 2, expiry.Share{Due: 3, All: 5}},
		{0, 2, expiry.Share{Due: 3, All: 5}},
		{0, 1.4, expiry.Share{Due: 3, All: 5}},
		{0, 1.3, expiry.Share{Due: 3, All: 4}}, // enough to know
		{0, 1, expiry.Share{Due: 3, All: 4}},
	} {
		got, err := db.Share(t.Context(), now, c.above, c.times)
		check(t, err)
		same(t, "share", c.want, got)
	}
	got, err := db.Share(t.Context(), start, 0, 2)
	check(t, err)
	same(t, "share before", expiry.Share{}, got)
}
