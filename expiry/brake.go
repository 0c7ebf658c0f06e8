package expiry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrBrake ends a pass before it deletes more than it may on its own.
	ErrBrake = errors.New("it stopped itself before deleting anything")
	// ErrStopped ends a pass because somebody has stopped all deletion.
	ErrStopped = errors.New("deletion is stopped")
)

const (
	// purgeMaxShare and purgeAllowed are what a pass of the purge may erase on its
	// own. A clock that jumped, or a policy with a zero too few, makes everything
	// due at once; the days of a busy service do not.
	purgeMaxShare = 0.5
	purgeAllowed  = 1000
)

// Stop is somebody's word that nothing is to be deleted until they say otherwise:
// while an accident is looked into, say. Tickets expire all the same.
type Stop struct {
	Reason string
	// By is who: as they said, nothing that was checked.
	By    string
	Since time.Time
}

// Stops keeps the one Stop that there may be, for all replicas.
type Stops interface {
	// Stopped is the stop that is on; false if none is. A read.
	Stopped(ctx context.Context) (Stop, bool, error)
	// SetStop puts the stop on, in place of another.
	SetStop(ctx context.Context, s Stop) error
	// EndStop takes it off. Idempotent.
	EndStop(ctx context.Context) error
}

// Share is how much of everything is due.
type Share struct {
	// Due counts blobs whose deadline has passed and that no pass has begun with.
	// What a sender unsent is not among them: somebody wants that gone.
	Due int64
	// All counts the blobs that are pending or stored, as far as the caller asked; 0 if
	// Due was not above what he asked about.
	All int64
}

// notStopped is nil if nobody has stopped deletion.
func notStopped(ctx context.Context, stops Stops) error {
	stop, on, err := stops.Stopped(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("ask whether deletion is stopped: %w", err)
	case on:
		return fmt.Errorf("%w since %s by %s: %s", ErrStopped, stop.Since.Format(time.RFC3339), stop.By, stop.Reason)
	}
	return nil
}

// brake is nil if what is due is not too much of everything.
func (p *Purge) brake(ctx context.Context, now time.Time) error {
	if p.Force {
		return nil
	}
	allowed := cmp.Or(p.Allowed, purgeAllowed)
	most := cmp.Or(p.MaxShare, purgeMaxShare)
	share, err := p.Queue.Share(ctx, now, allowed, 1/most)
	if err != nil {
		return fmt.Errorf("count what is due: %w", err)
	}
	if share.Due <= allowed || float64(share.Due) <= most*float64(share.All) {
		return nil
	}
	return fmt.Errorf("%w: %d of %d blobs are due at once: check the clock and the policies, look at them with a dry run, and then force the purge",
		ErrBrake, share.Due, share.All)
}
