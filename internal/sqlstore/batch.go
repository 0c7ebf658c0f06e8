package sqlstore

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

// batcher lets many callers share one commit. A batch forms only while as many as
// may be under way are: an idle batcher runs what comes at once, alone, so that
// sharing adds no delay; a busy one gathers what arrives during a commit.
//
// do returns only after the batch with its item was run: what a caller is told is
// done is durable if run made it so. Items are taken in the order in which they came.
type batcher[T any] struct {
	// run does all items of a batch and says for each how it went.
	run func([]T) []error
	// weigh is the work that an item makes. A batch ends when the next item would
	// bring it above limit; an item that is heavier than that runs alone.
	weigh func(T) int
	limit int
	// abreast is how many batches may be under way at a time. One begins beside another
	// only if a crowd of items waits for it, since a batch of a few costs nearly what one
	// of many does, or if the other one is slow: it may wait for a row that somebody holds.
	abreast, crowd int

	// gather lets whoever is ready to run do so before a batch begins that takes less time
	// than they take to come: of calls that never wait for a disk few would meet.
	gather bool

	mu      sync.Mutex
	queue   []*call[T]
	closed  bool
	working int
	begun   []time.Time // of the batches under way
	watched bool        // somebody looks again whether the one under way is slow
	workers sync.WaitGroup
}

// slowBatch is when others no longer wait for a batch: several times what one takes.
const slowBatch = 20 * time.Millisecond

// call is one item and the caller that waits for it.
type call[T any] struct {
	item T
	// taken and withdrawn exclude each other, under the batcher's lock.
	taken, withdrawn bool
	done             chan error
}

func newBatcher[T any](run func([]T) []error, weigh func(T) int, limit, abreast int) *batcher[T] {
	return &batcher[T]{run: run, weigh: weigh, limit: limit, abreast: abreast}
}

// do has item run and returns its outcome. If ctx ends before the item is taken
// into a batch, the item is withdrawn and never runs. Afterwards the outcome is
// waited for: a caller is never told of a cancel for what then happened.
func (b *batcher[T]) do(ctx context.Context, item T) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &call[T]{item: item, done: make(chan error, 1)}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	b.queue = append(b.queue, c)
	b.staff()
	b.mu.Unlock()

	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
	}
	b.mu.Lock()
	c.withdrawn = !c.taken
	b.mu.Unlock()
	if c.withdrawn {
		return ctx.Err()
	}
	return <-c.done
}

// staff starts a worker for what waits, if it needs one, or sees to it that somebody looks
// again. The caller holds the lock.
func (b *batcher[T]) staff() {
	switch {
	case len(b.queue) == 0 || b.working >= b.abreast:
	case b.working == 0 || b.worthwhile():
		b.working++
		b.workers.Go(b.work)
	case !b.watched:
		b.watched = true
		time.AfterFunc(slowBatch, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.watched = false
			b.staff()
		})
	}
}

// worthwhile: what waits is worth a batch beside those under way. The caller holds the lock.
func (b *batcher[T]) worthwhile() bool {
	return len(b.queue) >= b.crowd || slices.ContainsFunc(b.begun, func(at time.Time) bool { return time.Since(at) >= slowBatch })
}

// close runs what waits already, refuses what comes, and returns when all is done.
func (b *batcher[T]) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.workers.Wait()
}

// work runs batches until nothing waits.
func (b *batcher[T]) work() {
	if b.gather {
		runtime.Gosched()
	}
	for batch, begun := b.take(); len(batch) > 0; batch, begun = b.take() {
		b.settle(batch)
		b.ended(begun)
		// The callers just told are let run first: what they ask next is then
		// in the next batch, and not alone in a small one before it.
		runtime.Gosched()
	}
}

// ended forgets that a batch is under way.
func (b *batcher[T]) ended(begun time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.begun, begun)
	b.begun = slices.Delete(b.begun, i, i+1)
}

// take is the next batch, and when it begins. An empty one ends a worker: the next item
// starts another, or the worker that goes on takes what is too little for two.
func (b *batcher[T]) take() (batch []*call[T], begun time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.working == 1 || b.worthwhile() {
		batch = b.next()
	}
	if len(batch) == 0 {
		b.working--
	} else {
		begun = time.Now()
		b.begun = append(b.begun, begun)
	}
	b.staff()
	return batch, begun
}

// next are the items of a batch. The caller holds the lock.
func (b *batcher[T]) next() (batch []*call[T]) {
	weight := 0
	for len(b.queue) > 0 {
		c := b.queue[0]
		if !c.withdrawn {
			weight += b.weigh(c.item)
			if len(batch) > 0 && weight > b.limit {
				return batch
			}
			c.taken = true
			batch = append(batch, c)
		}
		b.queue[0] = nil // it must not stay reachable through the array
		b.queue = b.queue[1:]
	}
	b.queue = nil
	return batch
}

// settle runs a batch and tells each caller.
func (b *batcher[T]) settle(batch []*call[T]) {
	items := make([]T, len(batch))
	for i, c := range batch {
		items[i] = c.item
	}
	for i, err := range b.contain(items) {
		batch[i].done <- err
	}
}

// contain keeps a panic of run from ending the loop, and with it every later write.
func (b *batcher[T]) contain(items []T) (errs []error) {
	defer func() {
		if p := recover(); p != nil {
			errs = make([]error, len(items))
			for i := range errs {
				errs[i] = fmt.Errorf("a batch panicked: %v", p)
			}
		}
	}()
	return b.run(items)
}
