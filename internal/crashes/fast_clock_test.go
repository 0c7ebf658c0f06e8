package crashes

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/expiry"
)

// TestBrakeDuringAPass: the brake is asked when a pass begins. Of a clock that jumps
// while it is under way the pass takes nothing.
func TestBrakeDuringAPass(t *testing.T) {
	t.Parallel()
	l := newLife(t, combinations[0].site(t), false)
	l.purge.Allowed, l.purge.MaxBatches = 3, 0
	l.storedFor(time.Hour)
	l.clock.move(2 * time.Hour)
	for range 6 {
		l.stored()
	}
	jumped := false
	l.process.before = func(number int) {
		if number == 3 && !jumped { // behind Stopped and Share
			jumped = true
			l.clock.move(month)
		}
	}
	l.arm(nil)
	r, err := l.purge.Purge.Run(l.ctx)
	if r.Erased > 1 {
		t.Errorf("%+v, %v: a jump during a pass has purged what was not due when the brake was asked", r, err)
	}
}

// TestTurnOfAFastClock: a turn that was taken and ended by a clock that was ahead keeps
// nobody from sweeping.
func TestTurnOfAFastClock(t *testing.T) {
	t.Parallel()
	for _, c := range combinations {
		l := newLife(t, c.site(t), false)
		sweeps := func() (ran bool) {
			turn := expiry.Turn{Turns: l.db, Job: "sweep", Holder: uuid.New(), Now: l.clock.Now}
			l.must("sweep", turn.Run(l.ctx, func(context.Context) error { ran = true; return nil }))
			return ran
		}
		l.clock.move(month)
		if !sweeps() {
			t.Fatal("the first")
		}
		l.clock.move(-month)
		for range 29 {
			l.clock.move(day)
			if sweeps() {
				return
			}
		}
		t.Error("a sweep by a clock a month ahead, and then none for 29 days, without an error")
	}
}

// TestUnsentByAFastClock: what was unsent while the clock was ahead is purged all the
// same once that is right again.
func TestUnsentByAFastClock(t *testing.T) {
	t.Parallel()
	for _, c := range combinations {
		l := newLife(t, c.site(t), false)
		b := l.stored()
		l.clock.move(month)
		l.must("unsend", l.unsends(b))
		l.clock.move(-month)
		for range 29 {
			l.clock.move(day)
			r, err := l.purge.Run(l.ctx)
			l.must("purge", err)
			if r.Erased > 0 {
				return
			}
		}
		t.Error("29 days after it was unsent the bytes are still there, past its deadline too (P4)")
	}
}
