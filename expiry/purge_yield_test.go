package expiry_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/blobstore"
	"mayfly/expiry"
)

// watched is a queue that tells of each claim.
type watched struct {
	expiry.Queue
	claims chan time.Time
}

func (q watched) Claim(ctx context.Context, from, now time.Time, lease time.Duration, limit int) ([]expiry.Due, error) {
	q.claims <- time.Now()
	return q.Queue.Claim(ctx, from, now, lease, limit)
}

// dueBlobs stores so many blobs that are due.
func (w *world) dueBlobs(t *testing.T, n int) {
	t.Helper()
	for range n {
		w.blob(t, 0)
	}
}

// TestPurgeClaimsAhead: the next batch is claimed before the bytes of this one are gone.
func TestPurgeClaimsAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.dueBlobs(t, 9)
	synctest.Test(t, func(t *testing.T) { // where all would wait for ever it fails
		p := w.purge()
		claims := make(chan time.Time)
		p.Queue = watched{w.queue, claims}
		go func() { <-claims }() // the first
		batch := 0
		p.Blobs = &store{Store: w.blobs, delete: func(ctx context.Context, keys []blobstore.Key) error {
			if batch++; batch <= 3 {
				<-claims
			}
			return w.blobs.Delete(ctx, keys...)
		}}
		if r, err := p.Run(t.Context()); err != nil || r.Erased != 9 {
			t.Errorf("%+v, %v", r, err)
		}
	})
	w.check(t)
}

// TestPurgeYields: to people who are served it leaves three quarters of the time, and not
// for ever.
func TestPurgeYields(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		busy      bool
		late      time.Duration
		work, all time.Duration // of a batch, of three of them
	}{
		"nobody is served":          {false, 0, 100 * time.Millisecond, 300 * time.Millisecond},
		"people are served":         {true, 0, 100 * time.Millisecond, 900 * time.Millisecond},
		"by a slow store":           {true, 0, 10 * time.Second, 40 * time.Second},
		"late for half an hour":     {true, 30 * time.Minute, 100 * time.Millisecond, 300 * time.Millisecond},
		"not late for half an hour": {true, 30*time.Minute - time.Second, 100 * time.Millisecond, 900 * time.Millisecond},
		"for a millisecond":         {true, time.Minute, time.Millisecond, 9 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.dueBlobs(t, 8)
			w.now = w.now.Add(c.late)
			synctest.Test(t, func(t *testing.T) {
				p := w.purge()
				p.Busy = func() bool { return c.busy }
				p.Blobs = &store{Store: w.blobs, delete: func(ctx context.Context, keys []blobstore.Key) error {
					time.Sleep(c.work)
					return w.blobs.Delete(ctx, keys...)
				}}
				began := time.Now()
				if r, err := p.Run(t.Context()); err != nil || r.Erased != 8 {
					t.Errorf("%+v, %v", r, err)
				}
				// By the clock of the bubble, which only sleeps move.
				if took := time.Since(began); took != c.all {
					t.Errorf("took %s, not %s", took, c.all)
				}
			})
			w.check(t)
		})
	}
}

// TestPurgeRestEnds with its context.
func TestPurgeRestEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.dueBlobs(t, 8)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		p := w.purge()
		p.Busy = func() bool { return true }
		p.Blobs = &store{Store: w.blobs, delete: func(ctx context.Context, keys []blobstore.Key) error {
			time.Sleep(time.Second)
			return w.blobs.Delete(ctx, keys...)
		}}
		began := time.Now()
		r, err := p.Run(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || r.Erased != 3 || time.Since(began) != 1500*time.Millisecond {
			t.Errorf("%+v, %v, after %s", r, err, time.Since(began))
		}
	})
}

// TestPurgeFollowsThePace of the store: what it does quickly doubles, and what takes it
// long is halved.
func TestPurgeFollowsThePace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		work time.Duration // of a batch, by a lease of 5 minutes
		busy bool          // for the first four
		want []int
	}{
		"small ones were quick": {0, true, []int{200, 200, 200, 200, 400, 400}},

		"quick": {0, false, []int{250, 250, 500, 500, 1000}},
		"slow":  {20 * time.Second, false, []int{250, 250, 250, 250, 250}},
		"late":  {55 * time.Second, false, []int{250, 250, 125, 125, 62}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for range 3000 {
				w.add("stored", "unopened", 1, start, 1)
			}
			synctest.Test(t, func(t *testing.T) {
				var got []int
				p := w.purge()
				p.Batch, p.MaxBatches, p.Force = 4000, len(c.want), true
				var batches atomic.Int32
				p.Busy = func() bool { return c.busy && batches.Load() < 4 }
				p.Blobs = &store{Store: w.blobs, delete: func(_ context.Context, keys []blobstore.Key) error {
					got = append(got, len(keys))
					batches.Add(1)
					time.Sleep(c.work)
					return nil
				}}
				if _, err := p.Run(t.Context()); err != nil || !slices.Equal(got, c.want) {
					t.Errorf("%v, %v, want %v", got, err, c.want)
				}
			})
		})
	}
}
