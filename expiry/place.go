package expiry

import (
	"context"
	"fmt"
	"time"
)

// place is how far a pass has come through the queue. An index may keep for a while what
// was erased: without it each claim of a pass would find its way anew through all that the
// claims before have taken, and a pass of a million would cost more for each blob than one
// of a thousand.
type place struct {
	// began is when the pass did: it takes what was due then.
	began time.Time
	// from is where the next claim begins; all that waited before was claimed.
	from time.Time
	// found says that from was looked for and nothing was claimed since.
	found bool
}

// begin finds where a pass that begins now has to begin. some is false if no blob waits
// that no pass has begun with; then there is nothing to brake for either.
func (p *Purge) begin(ctx context.Context) (at *place, some bool, err error) {
	at = &place{began: p.now()}
	some, err = at.find(ctx, p.Queue)
	return at, some, err
}

// advance is for the next claim.
func (at *place) advance(ctx context.Context, q Queue) error {
	if !at.found {
		if _, err := at.find(ctx, q); err != nil {
			return err
		}
	}
	at.found = false
	return nil
}

// find looks for the first blob from from on. If there is none, from is behind all that was
// due when the pass began.
func (at *place) find(ctx context.Context, q Queue) (some bool, err error) {
	from, some, err := q.Earliest(ctx, at.from, at.began)
	if err != nil {
		return false, fmt.Errorf("find what is due: %w", err)
	}
	if !some {
		from = at.began.Add(time.Microsecond)
	}
	at.from, at.found = from, true
	return some, nil
}
