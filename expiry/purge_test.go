package expiry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly/blobstore"
	"mayfly/blobstore/fsblob"
	"mayfly/expiry"
)

func TestPurgeErasesWhatIsDueAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 7 {
		w.blob(t, -time.Duration(i)*time.Hour)
	}
	w.attempt(t, 0)
	w.add("pending", "not_uploaded", 9, start, 0)
	kept := w.blob(t, time.Microsecond)
	old := w.add("erased", "opened", 1, start.Add(-100*24*time.Hour), 1)
	old.forget = start

	r, err := w.purge().Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := expiry.PurgeResult{
		Erased: 9, Bytes: 7*7 + 9, Forgotten: 1,
		Reasons: map[string]int64{"unopened": 7, "not_uploaded": 2},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
	w.check(t)
	if !w.erased() || kept.state != "stored" || !old.gone {
		t.Errorf("erased %v, the one that is not due is %s, the old tombstone is forgotten: %v", w.erased(), kept.state, old.gone)
	}

	w.now = start.Add(time.Microsecond)
	if r, err := w.purge().Run(t.Context()); err != nil || r.Erased != 1 {
		t.Errorf("at its time: erased %d, %v", r.Erased, err)
	}
}

func TestPurgePreviewChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.blob(t, -time.Hour)
	w.blob(t, 0)
	w.blob(t, time.Hour)
	got, err := w.purge().Preview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []expiry.Preview{{Reason: "unopened", Blobs: 2, Bytes: 14, OldestDueAt: start.Add(-time.Hour)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, r := range w.rows {
		if r.state != "stored" || !w.has(t, r.Keys[0]) {
			t.Errorf("%s is %s", r.ID, r.state)
		}
	}
}

// Whatever step goes wrong, and however: the promises hold at once, and a later
// pass finishes the work.
func TestPurgeStoppedAtEveryStep(t *testing.T) {
	t.Parallel()
	blobs, err := fsblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer blobs.Close()
	for _, mode := range modes {
		for fault := 1; ; fault++ {
			name := fmt.Sprintf("step %d %s", fault, mode)
			reached := false
			t.Run(name, func(t *testing.T) { reached = stopPurge(t, onStore(blobs), fault, mode) })
			if !reached {
				if fault < 15 {
					t.Errorf("a pass has %d steps only: the test looks at too little", fault-1)
				}
				break
			}
		}
	}
}

// stopPurge is false if the pass has no such step.
func stopPurge(t *testing.T, w *world, fault int, mode string) bool {
	w.blob(t, -4*time.Hour)
	w.blob(t, -3*time.Hour)
	w.attempt(t, -2*time.Hour)
	w.add("pending", "not_uploaded", 9, start.Add(-time.Hour), 0)
	stubborn := w.blob(t, -time.Minute)
	twoKeys := w.blob(t, 0)
	twoKeys.Keys = append(twoKeys.Keys, newKey(twoKeys.ID))
	w.put(t, twoKeys.Keys[1], 3)
	kept := w.blob(t, 24*time.Hour)
	old := w.add("erased", "opened", 1, start.Add(-100*24*time.Hour), 1)
	old.forget = start

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &steps{fault: fault, mode: mode, cancel: cancel}
	p := w.purge()
	p.Queue = faultyQueue{w.queue, s}
	p.Blobs = &store{
		Store: w.blobs,
		open:  func(context.Context, blobstore.Key) error { return s.step(func() error { return nil }) },
		delete: func(ctx context.Context, keys []blobstore.Key) error {
			return s.step(func() error {
				i := slices.Index(keys, stubborn.Keys[0])
				if i < 0 {
					return w.blobs.Delete(ctx, keys...)
				}
				err := w.blobs.Delete(ctx, slices.Delete(slices.Clone(keys), i, i+1)...)
				return errors.Join(err, &blobstore.KeyError{Key: keys[i], Err: errFault})
			})
		},
	}
	r, err := surviving(func() (expiry.PurgeResult, error) { return p.Run(ctx) })
	w.check(t)
	if s.n < fault {
		if err != nil || r.Erased != 5 || r.Failed != 1 {
			t.Errorf("without a fault: %+v, %v", r, err)
		}
		return false
	}
	for _, row := range w.rows {
		if strings.HasPrefix(mode, "cancelled") && row != stubborn && row.Failures > 0 {
			t.Error("a pass that was cancelled counts it as a failure of a blob")
		}
	}
	if err == nil && r.Failed == 1 {
		// What is cancelled after the last step has nothing left to stop.
		if mode != "cancelled after" || !w.quiet() {
			t.Errorf("the fault was not told: %+v", r)
		}
	}

	w.now = w.now.Add(2 * time.Hour) // leases run out, delays are over
	if r, err := w.purge().Run(t.Context()); err != nil || r.Failed > 0 {
		t.Errorf("the pass after it: %+v, %v", r, err)
	}
	w.check(t)
	if !w.erased() || !old.gone {
		t.Error("the pass after it left something")
	}
	if kept.state != "stored" {
		t.Errorf("what is not due is %s", kept.state)
	}
	return true
}

// quiet reports whether nothing is due.
func (w *world) quiet() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.due(w.now)) == 0
}

// surviving catches the panics that stand for the death of the process.
func surviving[T any](run func() (T, error)) (r T, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("died: %v", v)
		}
	}()
	return run()
}

func TestPurgePutsOffWhatCannotBeDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad := make(map[blobstore.Key]bool)
	for i := range 12 {
		r := w.blob(t, -time.Hour)
		bad[r.Keys[0]] = i%2 == 0
	}
	p := w.purge()
	p.Blobs = &store{Store: w.blobs, delete: func(ctx context.Context, keys []blobstore.Key) error {
		var errs []error
		for _, key := range keys {
			if bad[key] {
				errs = append(errs, &blobstore.KeyError{Key: key, Err: errFault})
				continue
			}
			errs = append(errs, w.blobs.Delete(ctx, key))
		}
		return fmt.Errorf("delete: %w", errors.Join(errs...))
	}}
	r, err := p.Run(t.Context())
	if err != nil || r.Erased != 6 || r.Failed != 6 || len(r.Failures) != 6 || r.Stages[expiry.StageDelete] != 6 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, f := range r.Failures {
		if key := new(blobstore.KeyError); !errors.As(f.Err, &key) || !bad[key.Key] || !errors.Is(f.Err, errFault) {
			t.Errorf("%s: %v", f.ID, f.Err)
		}
	}
	w.check(t)

	// They come back later and later, each at its own moment, an hour at the most.
	seen := make(map[time.Time]bool)
	for _, row := range w.rows {
		if row.state == "erased" {
			continue
		}
		delay := row.free.Sub(w.now)
		if row.Failures != 1 || delay < 30*time.Second || delay >= time.Minute {
			t.Errorf("put off %d times, by %s", row.Failures, delay)
		}
		seen[row.free] = true
		row.Failures, row.free = 40, w.now
	}
	if len(seen) < 2 {
		t.Error("all come back at the same moment")
	}
	if r, err := p.Run(t.Context()); !errors.Is(err, nil) || r.Failed != 6 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, row := range w.rows {
		if delay := row.free.Sub(w.now); row.state == "purging" && (delay < 30*time.Minute || delay >= time.Hour) {
			t.Errorf("after 40 failures put off by %s", delay)
		}
	}
}

// P5: the store's word is not enough.
func TestPurgeVerifies(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*store{
		"deletion that did nothing": {delete: func(context.Context, []blobstore.Key) error { return nil }},
		"store that cannot tell":    {open: func(context.Context, blobstore.Key) error { return errFault }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			row := w.blob(t, 0)
			s.Store = w.blobs
			p := w.purge()
			p.Blobs = s
			r, err := p.Run(t.Context())
			if err != nil || r.Erased != 0 || r.Failed != 1 || r.Stages[expiry.StageVerify] != 1 || r.Failures[0].Stage != expiry.StageVerify || row.state != "purging" {
				t.Errorf("%+v, %v: %s", r, err, row.state)
			}
			if err := r.Failures[0].Err; !errors.Is(err, expiry.ErrRemains) && !errors.Is(err, errFault) {
				t.Error(err)
			}
			w.check(t)
		})
	}
}

func TestPurgeDoesNotHammerAStoreThatIsDown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		delete  func(context.Context, []blobstore.Key) error
		batches int
	}{
		"no key named": {func(context.Context, []blobstore.Key) error { return errFault }, 1},
		"every key named": {func(_ context.Context, keys []blobstore.Key) error {
			var errs []error
			for _, key := range keys {
				errs = append(errs, &blobstore.KeyError{Key: key, Err: errFault})
			}
			return errors.Join(errs...)
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for range 30 {
				w.add("stored", "unopened", 1, start, 1)
			}
			old := w.add("erased", "opened", 1, start, 1)
			old.forget = start
			calls := 0
			p := w.purge()
			p.Blobs = &store{Store: w.blobs, delete: func(ctx context.Context, keys []blobstore.Key) error {
				calls++
				return c.delete(ctx, keys)
			}}
			r, err := p.Run(t.Context())
			if !errors.Is(err, expiry.ErrStoreDown) || calls != c.batches || r.Failed != int64(3*c.batches) {
				t.Errorf("%d calls, %+v, %v", calls, r, err)
			}
			untried := 0
			for _, row := range w.rows {
				if row.state == "purging" && row.Failures != 1 {
					untried++
				}
			}
			if untried > 3 {
				t.Errorf("%d are claimed and not put off: more than the batch ahead", untried)
			}
			if r.Forgotten != 1 {
				t.Error("tombstones do not need the blob store")
			}
		})
	}
}

// A store that hangs is a store that is down: two ninths of a lease are enough.
func TestPurgeEndsAStoreThatHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	row := w.blob(t, 0)
	synctest.Test(t, func(t *testing.T) {
		p := w.purge()
		p.Lease = time.Hour
		p.Blobs = &store{Store: w.blobs, delete: func(ctx context.Context, keys []blobstore.Key) error {
			<-ctx.Done()
			return &blobstore.KeyError{Key: keys[0], Err: ctx.Err()}
		}}
		began := time.Now()
		r, err := p.Run(t.Context())
		if !errors.Is(err, expiry.ErrStoreDown) || r.Failed != 1 || row.Failures != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		if took := time.Since(began); took != time.Hour*2/9 {
			t.Errorf("took %s", took)
		}
	})
	w.check(t)
}

func TestPurgesDivideTheWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 60 {
		w.blob(t, 0)
	}
	deletions := make(map[blobstore.Key]int)
	var mu sync.Mutex
	shared := &store{Store: w.blobs, delete: func(ctx context.Context, keys []blobstore.Key) error {
		mu.Lock()
		for _, key := range keys {
			deletions[key]++
		}
		mu.Unlock()
		return w.blobs.Delete(ctx, keys...)
	}}
	var wg sync.WaitGroup
	var erased [3]int64
	for i := range erased {
		wg.Go(func() {
			p := w.purge()
			p.Blobs = shared
			r, err := p.Run(t.Context())
			if err != nil {
				t.Error(err)
			}
			erased[i] = r.Erased
		})
	}
	wg.Wait()
	if sum := erased[0] + erased[1] + erased[2]; sum != 60 {
		t.Errorf("erased %v", erased)
	}
	for key, n := range deletions {
		if n != 1 {
			t.Errorf("%s was deleted %d times", key, n)
		}
	}
	w.check(t)
}

// A lease that runs out too early costs work, not blobs.
func TestPurgeTwiceAtOnceOverOneEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	row := w.blob(t, 0)
	slow := w.purge()
	slow.Blobs = &store{Store: w.blobs, delete: func(ctx context.Context, keys []blobstore.Key) error {
		w.now = w.now.Add(time.Hour)
		if r, err := w.purge().Run(ctx); err != nil || r.Erased != 1 {
			t.Errorf("the other: %+v, %v", r, err)
		}
		return w.blobs.Delete(ctx, keys...)
	}}
	if _, err := slow.Run(t.Context()); err != nil {
		t.Error(err)
	}
	if w.check(t); row.state != "erased" {
		t.Error(row.state)
	}
}

func TestPurgePassEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 7 {
		w.add("pending", "not_uploaded", 1, start, 0)
	}
	p := w.purge()
	p.MaxBatches = 2
	if r, err := p.Run(t.Context()); err != nil || r.Erased != 6 || !r.More {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := p.Run(t.Context()); err != nil || r.Erased != 1 || r.More {
		t.Errorf("%+v, %v", r, err)
	}
}
