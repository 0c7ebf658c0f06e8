package expiry

import (
	"cmp"
	"context"
	"time"
)

// A purge is in no hurry: nobody reads what is due, whether its bytes are there or not.
// While people are served it rests for three times as long as it works, so that it takes
// about a quarter of the machine from them.
const (
	restShare = 3
	// longestRest: of a store that is slow, and far away, the machine has no load.
	longestRest = 5 * time.Second
	// late for so long, blobs wait for nobody: people who come all the time must not keep
	// a backlog for ever. The alarm is at an hour.
	late = 30 * time.Minute
)

func (p *Purge) busy() bool { return p.Busy != nil && p.Busy() }

// yields reports whether the pass is to rest after this batch.
func (p *Purge) yields(batch []Due) bool {
	return p.busy() && p.now().Sub(batch[len(batch)/2].At) < late // not by the one that could never be deleted
}

// limit is how many entries the next statement may be about: an open may have to wait
// until it is done.
func (p *Purge) limit() int {
	limit := cmp.Or(p.Batch, purgeBatch)
	if p.busy() {
		limit = min(limit, busyBatch)
	}
	return limit
}

func rest(ctx context.Context, worked time.Duration) {
	t := time.NewTimer(min(restShare*worked, longestRest))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
