package tickets

import (
	"context"
	"errors"
	"sync"

	"github.com/google/uuid"
)

// errUnsent is the cause with which Unsend cancels what is under way.
var errUnsent = errors.New("the blob was unsent during the transfer")

// transfers are the uploads and downloads under way in this process, so that an
// unsend can cut them. The zero value is ready.
type transfers struct {
	mu   sync.Mutex
	next uint64
	live map[uuid.UUID]map[uint64]context.CancelCauseFunc
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

// cut ends every transfer of the blob.
func (t *transfers) cut(id uuid.UUID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, cancel := range t.live[id] {
		cancel(errUnsent)
	}
}
