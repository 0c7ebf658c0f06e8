package tickets

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
)

// errUnsent is the cause with which Unsend cancels what is under way.
var errUnsent = errors.New("the blob was unsent during the transfer")

// transfers are the uploads and downloads under way in this process, so that an
// unsend can cut them. The zero value is ready.
type transfers struct {
	mu    sync.Mutex
	began time.Time // the last one
	// live has one transfer of each blob, which leads to the blob's others.
	live map[uuid.UUID]*transfer
}

// transfer is one that is under way.
type transfer struct {
	// ctx ends when the transfer is cut.
	ctx    context.Context
	cancel context.CancelCauseFunc
	of     *transfers
	blob   uuid.UUID

	// What follows is under the lock of all transfers.
	before, behind *transfer // others of the blob
	alarm          *time.Timer
	over           bool
}

// servingFor is how long after the last transfer began it may be that more come.
const servingFor = time.Second

// Serving reports whether media goes in and out at this moment: what can wait, waits.
func (s *Service) Serving() bool {
	s.transfers.mu.Lock()
	defer s.transfers.mu.Unlock()
	return len(s.transfers.live) > 0 || !s.transfers.began.IsZero() && time.Since(s.transfers.began) < servingFor
}

// begin registers a transfer of the blob. Its end must be called when it is over.
func (t *transfers) begin(ctx context.Context, id uuid.UUID) *transfer {
	one := &transfer{of: t, blob: id}
	one.ctx, one.cancel = context.WithCancelCause(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live == nil {
		t.live = make(map[uuid.UUID]*transfer)
	}
	t.began = time.Now()
	if one.behind = t.live[id]; one.behind != nil {
		one.behind.before = one
	}
	t.live[id] = one
	return one
}

// end tells that the transfer is over.
func (one *transfer) end() {
	one.cancel(context.Canceled)
	t := one.of
	t.mu.Lock()
	defer t.mu.Unlock()
	if one.over {
		return
	}
	one.over = true
	if one.alarm != nil {
		one.alarm.Stop()
	}
	if one.behind != nil {
		one.behind.before = one.before
	}
	switch {
	case one.before != nil:
		one.before.behind = one.behind
	case one.behind != nil:
		t.live[one.blob] = one.behind
	default:
		delete(t.live, one.blob)
	}
	one.before, one.behind = nil, nil // whoever holds on to it does not hold the others
}

// after runs do in a while, unless the transfer is over before.
func (one *transfer) after(wait time.Duration, do func()) {
	one.of.mu.Lock()
	defer one.of.mu.Unlock()
	if !one.over {
		one.alarm = time.AfterFunc(wait, do)
	}
}

// A blob whose windows after an open are over is due, though somebody may read it still: a
// large one over a slow line takes hours. So a transfer that goes on keeps its bytes, from
// shortly before their end on, and for two minutes at a time: what is over when they are
// due moves nothing, and a process that dies keeps nothing for longer.
const (
	keepFor    = 2 * time.Minute
	keepEvery  = time.Minute
	keepBefore = 30 * time.Second
)

// keepReading keeps the bytes for as long as the transfer lasts. One that is over before
// they would be due costs a timer that never fires.
func (s *Service) keepReading(d *Download) {
	one, keep := d.transfer, d.Blob.Terms.Keep()
	var renew func()
	renew = func() {
		if one.ctx.Err() != nil {
			return
		}
		bounded, cancel := settle(one.ctx)
		defer cancel()
		// If it cannot be told the purge may come, as for a transfer that nobody knows of.
		_ = s.Store.Keep(bounded, one.blob, s.now().Add(keepFor))
		one.after(keepEvery, renew)
	}
	one.after(keep-min(keep/10, keepBefore), renew)
}

// cut ends every transfer of the blob.
func (t *transfers) cut(id uuid.UUID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for one := t.live[id]; one != nil; one = one.behind {
		one.cancel(errUnsent)
	}
}
