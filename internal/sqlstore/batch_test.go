package sqlstore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is a run that notes its batches, and waits for each to be let go.
type recorder struct {
	batches [][]int
	letGo   chan struct{}
	errs    map[int]error
}

func newRecorder() *recorder { return &recorder{letGo: make(chan struct{}), errs: make(map[int]error)} }

func (r *recorder) run(batch []int) []error {
	r.batches = append(r.batches, batch)
	<-r.letGo
	errs := make([]error, len(batch))
	for i, n := range batch {
		errs[i] = r.errs[n]
	}
	return errs
}

func itself(n int) int { return n }

// send has n done in the background and hands out its outcome.
func send(ctx context.Context, b *batcher[int], n int) <-chan error {
	out := make(chan error, 1)
	go func() { out <- b.do(ctx, n) }()
	synctest.Wait()
	return out
}

func TestBatchFormsDuringACommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		failed := errors.New("failed")
		r.errs[3] = failed
		b := newBatcher(r.run, itself, 100, 1)
		outs := make(map[int]<-chan error)
		for n := 1; n <= 4; n++ { // the first finds it idle, the others its commit under way
			outs[n] = send(t.Context(), b, n)
		}
		if len(r.batches) != 1 || len(outs[1]) != 0 {
			t.Fatalf("batches %v, %d answers before the end of the first", r.batches, len(outs[1]))
		}
		r.letGo <- struct{}{}
		synctest.Wait()
		if err := <-outs[1]; err != nil || len(outs[2]) != 0 {
			t.Fatal("the second batch answered before its end", err)
		}
		r.letGo <- struct{}{}
		if err := errors.Join(<-outs[2], <-outs[4]); err != nil {
			t.Fatal(err)
		}
		if err := <-outs[3]; !errors.Is(err, failed) {
			t.Fatalf("the third got %v", err)
		}
		if want := [][]int{{1}, {2, 3, 4}}; !slices.EqualFunc(r.batches, want, slices.Equal) {
			t.Fatalf("batches %v, want %v", r.batches, want)
		}
		b.close()
	})
}

func TestBatchIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		b := newBatcher(r.run, itself, 10, 1)
		outs := []<-chan error{send(t.Context(), b, 1)}
		for _, n := range []int{4, 6, 3, 50, 2} {
			outs = append(outs, send(t.Context(), b, n))
		}
		close(r.letGo)
		for _, out := range outs {
			if err := <-out; err != nil {
				t.Fatal(err)
			}
		}
		want := [][]int{{1}, {4, 6}, {3}, {50}, {2}}
		if !slices.EqualFunc(r.batches, want, slices.Equal) {
			t.Fatalf("batches %v, want %v", r.batches, want)
		}
		b.close()
	})
}

// TestBatchCancel: a cancel before an item is taken withdraws it; afterwards its
// outcome is told, whatever it is.
func TestBatchCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		b := newBatcher(r.run, itself, 100, 1)
		ctx, cancel := context.WithCancel(t.Context())
		taken := send(ctx, b, 1)
		waiting := send(ctx, b, 2)
		other := send(t.Context(), b, 3)
		cancel()
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Fatalf("the waiting one got %v", err)
		}
		synctest.Wait()
		if len(taken) != 0 {
			t.Fatalf("the taken one was told %v before its outcome was known", <-taken)
		}
		r.letGo <- struct{}{}
		if err := <-taken; err != nil {
			t.Fatalf("the taken one succeeded and was told %v", err)
		}
		r.letGo <- struct{}{}
		if err := <-other; err != nil {
			t.Fatal(err)
		}
		if err := <-send(ctx, b, 4); !errors.Is(err, context.Canceled) {
			t.Fatalf("with an ended context: %v", err)
		}
		if want := [][]int{{1}, {3}}; !slices.EqualFunc(r.batches, want, slices.Equal) {
			t.Fatalf("batches %v, want %v", r.batches, want)
		}
		b.close()
	})
}

func TestBatchClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		b := newBatcher(r.run, itself, 100, 1)
		outs := []<-chan error{send(t.Context(), b, 1), send(t.Context(), b, 2)}
		closed := make(chan struct{})
		go func() {
			b.close()
			close(closed)
		}()
		synctest.Wait()
		if err := <-send(t.Context(), b, 3); !errors.Is(err, ErrClosed) {
			t.Fatalf("after close: %v", err)
		}
		r.letGo <- struct{}{}
		r.letGo <- struct{}{}
		<-closed
		for _, out := range outs {
			if err := <-out; err != nil {
				t.Fatalf("what waited at close got %v", err)
			}
		}
		b.close()
	})
}

func TestBatchPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBatcher(func(batch []int) []error {
			if batch[0] == 1 {
				panic("of the run")
			}
			return make([]error, len(batch))
		}, itself, 100, 1)
		if err := b.do(t.Context(), 1); err == nil {
			t.Fatal("a panic was told as success")
		}
		if err := b.do(t.Context(), 2); err != nil {
			t.Fatalf("after a panic: %v", err)
		}
		b.close()
	})
}

// TestBatchBesideAnother begins when a crowd waits, and not for fewer; what is too little
// for two batches when one ends is one's.
func TestBatchBesideAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var batches [][]int
		letGo := map[int]chan struct{}{1: make(chan struct{}), 2: make(chan struct{}), 5: make(chan struct{})}
		b := newBatcher(func(batch []int) []error {
			mu.Lock()
			batches = append(batches, batch)
			mu.Unlock()
			if wait, ok := letGo[batch[0]]; ok {
				<-wait
			}
			return make([]error, len(batch))
		}, itself, 100, 2)
		b.crowd = 3
		seen := func(want ...[]int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.EqualFunc(batches, want, slices.Equal) {
				t.Errorf("batches %v, want %v", batches, want)
			}
		}
		var outs []<-chan error
		for _, n := range []int{1, 2, 3} {
			outs = append(outs, send(t.Context(), b, n))
		}
		seen([]int{1}) // two that wait are no crowd
		outs = append(outs, send(t.Context(), b, 4))
		seen([]int{1}, []int{2, 3, 4})
		outs = append(outs, send(t.Context(), b, 5))
		close(letGo[1]) // 5 alone is the other's, when that is done
		seen([]int{1}, []int{2, 3, 4})
		close(letGo[2])
		seen([]int{1}, []int{2, 3, 4}, []int{5})
		close(letGo[5])
		for i, out := range outs {
			if err := <-out; err != nil {
				t.Errorf("%d: %v", i+1, err)
			}
		}
		b.close()
	})
}

// TestBatchBesideASlowOne: what waits for a batch that is held up does not wait for long,
// also if nobody else comes.
func TestBatchBesideASlowOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		held := make(chan struct{})
		b := newBatcher(func(batch []int) []error {
			if batch[0] == 1 {
				<-held
			}
			return make([]error, len(batch))
		}, itself, 100, 2)
		b.crowd = 10
		slow := send(t.Context(), b, 1)
		for n := range 3 {
			began := time.Now()
			if err := b.do(t.Context(), 2+n); err != nil {
				t.Fatal(err)
			}
			// The first sees that it is slow; those behind it know.
			if waited := time.Since(began); n == 0 && waited != slowBatch || n > 0 && waited != 0 {
				t.Errorf("the item %d behind a slow batch waited for %v", n, waited)
			}
		}
		close(held)
		if err := <-slow; err != nil {
			t.Fatal(err)
		}
		b.close()
	})
}
