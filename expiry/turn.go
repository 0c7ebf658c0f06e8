package expiry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Turns divides among replicas what one of them at a time does for all. It is kept
// where the rows are: no replica is special, and whichever comes first has the turn.
type Turns interface {
	// TakeTurn gives holder the turn at the job until then, unless another has it
	// at now; one's own it makes longer, or begins anew. If it is not taken, held says why.
	TakeTurn(ctx context.Context, job string, holder uuid.UUID, now, until time.Time) (taken bool, held HeldTurn, err error)

	// EndTurn says that the job is done, if holder still has the turn. It stays
	// taken until then.
	EndTurn(ctx context.Context, job string, holder uuid.UUID, until time.Time) error
}

// HeldTurn is a turn that another has.
type HeldTurn struct {
	Until time.Time
	// Done says that the job needs nobody until then.
	Done bool
}

const (
	// turnTime is how long a replica that was killed keeps the others waiting, and
	// turnRenewal how often one that lives says so.
	turnTime    = 5 * time.Minute
	turnRenewal = turnTime / 5
	// turnRest is how long a job that was just done is not done by another: the
	// clocks of the replicas tick at the same minute, but not at the same moment.
	// Who waits looks at least once in that time.
	turnRest = 2 * turnRenewal
)

// errTurnLost ends a pass whose turn another took: this process stood still for so
// long that it was taken for dead.
var errTurnLost = errors.New("another replica took the turn")

// Turn lets one replica at a time run a job. If that one dies, another does it when
// its turn runs out.
type Turn struct {
	Turns Turns
	Job   string
	// Holder is this process: random, and the same for its life.
	Holder uuid.UUID
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Run runs the job, unless another replica has just done it. While another is at it
// Run waits: until that one is done, or its turn has run out.
func (t *Turn) Run(ctx context.Context, job func(context.Context) error) error {
	for {
		now := clock(t.Now)
		taken, held, err := t.Turns.TakeTurn(ctx, t.Job, t.Holder, now, now.Add(turnTime))
		switch {
		case err != nil:
			return fmt.Errorf("take the turn at the %s: %w", t.Job, err)
		case taken:
			return t.run(ctx, job)
		case held.Done:
			return nil
		}
		select {
		case <-time.After(min(max(held.Until.Sub(now), time.Second), turnRenewal)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (t *Turn) run(ctx context.Context, job func(context.Context) error) error {
	working, stop := context.WithCancelCause(ctx)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		t.keep(working, stop)
	}()
	err := caught(func() error { return job(working) })
	stop(nil)
	<-kept
	if lost := context.Cause(working); errors.Is(lost, errTurnLost) {
		return errors.Join(err, lost)
	}
	// Also of a pass that failed: its next time is soon enough. Of one that was cut
	// off the turn ends now, and another replica goes on.
	rest := turnRest
	if ctx.Err() != nil {
		rest = 0
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, t.Turns.EndTurn(ending, t.Job, t.Holder, clock(t.Now).Add(rest)))
}

// keep makes the turn longer until the work is over. That a renewal fails is no
// matter as long as one of the next does not, in time.
func (t *Turn) keep(working context.Context, stop context.CancelCauseFunc) {
	again := time.NewTicker(turnRenewal)
	defer again.Stop()
	renewed := time.Now()
	for {
		select {
		case <-working.Done():
			return
		case <-again.C:
		}
		now := clock(t.Now)
		taken, _, err := t.Turns.TakeTurn(working, t.Job, t.Holder, now, now.Add(turnTime))
		switch {
		case err == nil && taken:
			renewed = time.Now()
		case err == nil, time.Since(renewed) > turnTime-2*turnRenewal:
			stop(errTurnLost)
			return
		}
	}
}
