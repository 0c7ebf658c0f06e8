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
	next  uint64
	began time.Time // the last one
	live  map[uuid.UUID]map[uint64]context.CancelCauseFunc
}

// servingFor is how long after the last transfer began it may be that more come.
const servingFor = time.Second

// Serving reports whether media goes in and out at this moment: what can wait, waits.
func (s *Service) Serving() bool {
	s.transfers.mu.Lock()
	defer s.transfers.mu.Unlock()
	return len(s.transfers.live) > 0 || !s.transfers.began.IsZero() && time.Since(s.transfers.began) < servingFor
}

// begin registers a transfer of the blob. The context ends when the transfer is
// cut; done must be called when it is over.
func (t *transfers) begin(ctx context.Context, id uuid.UUID) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live == nil {
		t.live = make(map[uuid.UUID]map[uint64]context.CancelCauseFunc)
	}
	if t.live[id] == nil {
		t.live[id] = make(map[uint64]context.CancelCauseFunc)
	}
	t.next++
	t.began = time.Now()
	n := t.next
	t.live[id][n] = cancel
	return ctx, func() {
		cancel(context.Canceled)
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.live[id], n)
		if len(t.live[id]) == 0 {
			delete(t.live, id)
		}
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
	ctx, blob, keep := d.ctx, d.Blob.ID, d.Blob.Terms.Keep()
	var renew func()
	renew = func() {
		if ctx.Err() != nil {
			return
		}
		bounded, cancel := settle(ctx)
		defer cancel()
		// If it cannot be told the purge may come, as for a transfer that nobody knows of.
		_ = s.Store.Keep(bounded, blob, s.now().Add(keepFor))
		s.afterTransfer(ctx, keepEvery, renew)
	}
	s.afterTransfer(ctx, keep-min(keep/10, keepBefore), renew)
}

// afterTransfer runs do after a while, unless the transfer is over before.
func (s *Service) afterTransfer(ctx context.Context, wait time.Duration, do func()) {
	timer := time.AfterFunc(wait, do)
	context.AfterFunc(ctx, func() { timer.Stop() })
}

// cut ends every transfer of the blob.
func (t *transfers) cut(id uuid.UUID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, cancel := range t.live[id] {
		cancel(errUnsent)
	}
}
