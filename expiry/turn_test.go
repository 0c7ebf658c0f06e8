package expiry

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

// oneTurn is Turns for one job, in memory.
type oneTurn struct {
	mu     sync.Mutex
	holder uuid.UUID
	until  time.Time
	done   bool
}

func (o *oneTurn) TakeTurn(_ context.Context, _ string, holder uuid.UUID, now, until time.Time) (bool, HeldTurn, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.until.After(now) && o.holder != holder {
		return false, HeldTurn{Until: o.until, Done: o.done}, nil
	}
	o.holder, o.until, o.done = holder, until, false
	return true, HeldTurn{}, nil
}

func (o *oneTurn) EndTurn(_ context.Context, _ string, holder uuid.UUID, until time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.holder == holder {
		o.until, o.done = until, true
	}
	return nil
}

func replica(turns Turns) *Turn { return &Turn{Turns: turns, Job: "sweep", Holder: uuid.New()} }

// TestTurnIsTakenOnce: of replicas whose clocks tick together one does the job, also
// if it takes far longer than a turn.
func TestTurnIsTakenOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var turns oneTurn
		var mu sync.Mutex
		at, most, runs := 0, 0, 0
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				err := replica(&turns).Run(t.Context(), func(context.Context) error {
					mu.Lock()
					at, runs = at+1, runs+1
					most = max(most, at)
					mu.Unlock()
					time.Sleep(10 * turnTime)
					mu.Lock()
					at--
					mu.Unlock()
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if runs != 1 || most != 1 {
			t.Errorf("the job ran %d times, %d at once", runs, most)
		}
		time.Sleep(2 * turnRest)
		ran := false
		if err := replica(&turns).Run(t.Context(), func(context.Context) error { ran = true; return nil }); err != nil || !ran {
			t.Errorf("the next time: %v, %v", ran, err)
		}
	})
}

// TestTurnOfTheDead: what a replica that was killed was at, another does when its turn
// has run out, and not before.
func TestTurnOfTheDead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var turns oneTurn
		began := time.Now()
		if taken, _, _ := turns.TakeTurn(t.Context(), "sweep", uuid.New(), began, began.Add(turnTime)); !taken {
			t.Fatal("not taken")
		}
		err := replica(&turns).Run(t.Context(), func(context.Context) error { return nil })
		if waited := time.Since(began); err != nil || waited < turnTime || waited > turnTime+turnRenewal {
			t.Errorf("%v after %v", err, waited)
		}
	})
}

// TestTurnEnds: a shutdown hands the turn on at once, and a turn that was lost ends
// the pass.
func TestTurnEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var turns oneTurn
		ctx, cancel := context.WithCancel(t.Context())
		err := replica(&turns).Run(ctx, func(ctx context.Context) error {
			cancel()
			return ctx.Err()
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cut off: %v", err)
		}
		ran := false
		err = replica(&turns).Run(t.Context(), func(ctx context.Context) error {
			ran = true
			turns.mu.Lock()
			turns.holder = uuid.New() // as if this one had stood still
			turns.mu.Unlock()
			<-ctx.Done()
			return ctx.Err()
		})
		if !ran || !errors.Is(err, errTurnLost) {
			t.Errorf("ran: %v, lost: %v", ran, err)
		}
	})
}
