package sqlstore

import (
	"context"
	"fmt"
	"runtime"
	"sync"
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
	// only if a crowd of items waits for it: a batch of a few costs nearly what one of
	// many does.
	abreast, crowd int

	mu      sync.Mutex
	queue   []*call[T]
	closed  bool
	working int
	workers sync.WaitGroup
}

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
	if b.working == 0 || b.working < b.abreast && len(b.queue) >= b.crowd {
		b.working++
		b.workers.Go(b.work)
	}
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

// close runs what waits already, refuses what comes, and returns when all is done.
func (b *batcher[T]) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.workers.Wait()
}

// work runs batches until nothing waits.
func (b *batcher[T]) work() {
	for batch := b.take(); len(batch) > 0; batch = b.take() {
		b.settle(batch)
		// The callers just told are let run first: what they ask next is then
		// in the next batch, and not alone in a small one before it.
		runtime.Gosched()
	}
}

// take is the next batch. An empty one ends a worker: the next item starts another, or
// the worker that goes on takes what is too little for two.
func (b *batcher[T]) take() (batch []*call[T]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.working > 1 && len(b.queue) < b.crowd {
		b.working--
		return nil
	}
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
	if len(batch) == 0 {
		b.working--
	}
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
				errs[i] = fmt.Errorf("a write panicked: %v", p)
			}
		}
	}()
	return b.run(items)
}
