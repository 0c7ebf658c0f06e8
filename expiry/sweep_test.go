package expiry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/fsblob"
	"mayfly/expiry"
)

// sweep is a sweep of the world in which bytes are 72 hours old, unless ages says
// otherwise: what a real store's clock would take that long to say.
func (w *world) sweep(ages map[blobstore.Key]time.Duration) (*expiry.Sweep, *store) {
	s := &store{Store: w.blobs}
	s.all = func(ctx context.Context) iter.Seq2[blobstore.Info, error] {
		return func(yield func(blobstore.Info, error) bool) {
			for info, err := range w.blobs.All(ctx) {
				if err == nil && !w.mine[info.Key] {
					continue // of another world in this folder
				}
				age, ok := ages[info.Key]
				if !ok {
					age = 72 * time.Hour
				}
				if info.ModifiedAt = start.Add(-age); age < 0 {
					info.ModifiedAt = time.Time{}
				}
				if !yield(info, err) {
					return
				}
			}
		}
	}
	return &expiry.Sweep{Queue: w.queue, Blobs: s, Now: w.clock}, s
}

// orphan puts bytes that have no row.
func (w *world) orphan(t *testing.T) blobstore.Key {
	t.Helper()
	key := newKey(uuid.New())
	w.put(t, key, 11)
	return key
}

// upload begins an upload that does not end before the test.
func (w *world) upload(t *testing.T) blobstore.Key {
	t.Helper()
	key := newKey(uuid.New())
	w.mine[key] = true
	body, client := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.blobs.Put(context.Background(), key, body, 100)
	}()
	if _, err := client.Write(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.CloseWithError(errFault)
		<-done
	})
	return key
}

// partials are the keys of the unfinished uploads in the store.
func (w *world) partials(t *testing.T) []blobstore.Key {
	t.Helper()
	var keys []blobstore.Key
	for info, err := range w.blobs.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if info.Partial && w.mine[info.Key] {
			keys = append(keys, info.Key)
		}
	}
	return keys
}

func TestSweepRemovesWhatHasNoOwnerAndIsOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stored, purging := w.blob(t, time.Hour), w.blob(t, 0)
	purging.state = "purging"
	orphan, young, undated := w.orphan(t), w.orphan(t), w.orphan(t)
	stale, fresh := w.upload(t), w.upload(t)
	ages := map[blobstore.Key]time.Duration{young: 48 * time.Hour, fresh: 48 * time.Hour, undated: -1}

	s, _ := w.sweep(ages)
	s.DryRun = true
	for _, dry := range []bool{true, false} {
		s.DryRun = dry
		r, err := s.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.Listed != 5 || r.ListedBytes != 7+7+3*11 || r.Orphans != 1 || r.OrphanBytes != 11 || r.Stale != 1 ||
			len(r.Examples) != 1 || r.Examples[0].Key != orphan || r.Failed != 0 || r.Missing != 0 || r.More || r.Braked {
			t.Errorf("dry run %v: %+v", dry, r)
		}
		if dry {
			if r.Deleted != 0 || r.Discarded != 0 || !w.has(t, orphan) || len(w.partials(t)) != 2 {
				t.Errorf("a dry run removed something: %+v", r)
			}
			continue
		}
		if r.Deleted != 1 || r.DeletedBytes != 11 || r.Discarded != 1 || w.has(t, orphan) {
			t.Errorf("%+v", r)
		}
	}
	for _, key := range []blobstore.Key{stored.Keys[0], purging.Keys[0], young, undated} {
		if !w.has(t, key) {
			t.Errorf("%s is gone", key)
		}
	}
	if left := w.partials(t); !slices.Equal(left, []blobstore.Key{fresh}) || slices.Contains(left, stale) {
		t.Errorf("unfinished uploads left: %v", left)
	}
}

// listed is a store that lists n blobs without having them, and notes deletions.
func listed(w *world, n int) (s *store, deleted *int) {
	deleted = new(int)
	return &store{
		Store: w.blobs,
		all: func(context.Context) iter.Seq2[blobstore.Info, error] {
			return func(yield func(blobstore.Info, error) bool) {
				for i := range n {
					key := blobstore.Key(fmt.Sprintf("orphan-%04d", i))
					if !yield(blobstore.Info{Key: key, Size: 1, ModifiedAt: start.Add(-72 * time.Hour)}, nil) {
						return
					}
				}
				for _, r := range w.rows {
					if !yield(blobstore.Info{Key: r.Keys[0], Size: r.Size, ModifiedAt: start.Add(-72 * time.Hour)}, nil) {
						return
					}
				}
			}
		},
		delete: func(_ context.Context, keys []blobstore.Key) error {
			*deleted += len(keys)
			return nil
		},
	}, deleted
}

func TestSweepBrake(t *testing.T) {
	t.Parallel()
	blobs := newWorld(t).blobs
	for _, c := range []struct {
		name           string
		owned, orphans int
		share          float64
		braked         bool
	}{
		{"a few are always allowed", 1, 100, 0, false},
		{"more than a few and more than a tenth", 1, 101, 0, true},
		{"a tenth of many", 990, 110, 0, false},
		{"more than a tenth of many", 989, 111, 0, true},
		{"another share", 900, 450, 0.5, false},
		{"remains of a store that is empty otherwise", 0, 10, 0, false},
		{"a database that knows nothing", 0, 11, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := onStore(blobs)
			for range c.owned {
				w.add("stored", "unopened", 1, start.Add(time.Hour), 1)
			}
			listed, deleted := listed(w, c.orphans)
			s := expiry.Sweep{Queue: w.queue, Blobs: listed, Now: w.clock, MaxShare: c.share}
			r, err := s.Run(t.Context())
			if c.braked != errors.Is(err, expiry.ErrBrake) || c.braked != r.Braked || c.braked != (*deleted == 0) {
				t.Errorf("%+v, %v, %d deleted", r, err, *deleted)
			}
			s.DryRun = true
			if r, err := s.Run(t.Context()); err != nil || r.Braked != c.braked {
				t.Errorf("dry run: %+v, %v", r, err)
			}
			*deleted = 0
			s.DryRun, s.Force = false, true
			if r, err := s.Run(t.Context()); err != nil || *deleted != c.orphans || r.Braked {
				t.Errorf("by force: %+v, %v, %d deleted", r, err, *deleted)
			}
		})
	}
}

func TestSweepBoundsItsMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("stored", "unopened", 1, start.Add(time.Hour), 1)
	blobs, deleted := listed(w, 60)
	s := expiry.Sweep{Queue: w.queue, Blobs: blobs, Now: w.clock, Collect: 25}
	if r, err := s.Run(t.Context()); err != nil || *deleted != 25 || r.Orphans != 60 || !r.More {
		t.Errorf("%+v, %v, %d deleted", r, err, *deleted)
	}
}

// Doubt keeps: a step that fails deletes nothing of what it was about, and one
// that fails before the end of the walk nothing at all.
func TestSweepStoppedAtEveryStep(t *testing.T) {
	t.Parallel()
	blobs, err := fsblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer blobs.Close()
	for _, mode := range modes {
		for fault := 1; ; fault++ {
			reached := false
			t.Run(fmt.Sprintf("step %d %s", fault, mode), func(t *testing.T) {
				reached = stopSweep(t, onStore(blobs), fault, mode)
			})
			if !reached {
				if fault < 8 {
					t.Errorf("a pass has %d steps only: the test looks at too little", fault-1)
				}
				break
			}
		}
	}
}

func stopSweep(t *testing.T, w *world, fault int, mode string) bool {
	stored := w.blob(t, time.Hour)
	unlisted := w.blob(t, time.Hour)
	orphans := []blobstore.Key{w.orphan(t), w.orphan(t)}
	w.upload(t)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	steps := &steps{fault: fault, mode: mode, cancel: cancel}
	s, st := w.sweep(nil)
	s.Queue = faultyQueue{w.queue, steps}
	all, walked := st.all, 0
	st.all = func(ctx context.Context) iter.Seq2[blobstore.Info, error] {
		return func(yield func(blobstore.Info, error) bool) {
			for info, err := range all(ctx) {
				if info.Key == unlisted.Keys[0] {
					continue // so that it is asked for by Open
				}
				if stepErr := steps.step(func() error { return nil }); stepErr != nil {
					yield(blobstore.Info{}, stepErr)
					break
				}
				if !yield(info, err) {
					return
				}
			}
			walked = steps.n
		}
	}
	st.open = func(context.Context, blobstore.Key) error { return steps.step(func() error { return nil }) }
	st.delete = func(ctx context.Context, keys []blobstore.Key) error {
		return steps.step(func() error { return w.blobs.Delete(ctx, keys...) })
	}
	st.discard = func(info blobstore.Info) error {
		return steps.step(func() error { return w.blobs.Discard(ctx, info) })
	}
	r, err := surviving(func() (expiry.SweepResult, error) { return s.Run(ctx) })

	if !w.has(t, stored.Keys[0]) || !w.has(t, unlisted.Keys[0]) || r.Missing > 0 {
		t.Fatalf("what has an owner is gone, or said to be: %+v, %v", r, err)
	}
	if steps.n < fault {
		if err != nil || r.Deleted != 2 || r.Discarded != 1 {
			t.Errorf("without a fault: %+v, %v", r, err)
		}
		return false
	}
	// One look-up ends the walk (walked+1), one comes right before the deletion.
	if deleted := !w.has(t, orphans[0]) || !w.has(t, orphans[1]); deleted && (walked == 0 || fault <= walked+2) {
		t.Errorf("deleted although the look-up did not succeed: %v", err)
	}
	if err == nil && r.Failed == 0 && mode != "cancelled after" {
		t.Errorf("the fault was not told: %+v", r)
	}

	again, _ := w.sweep(nil)
	if r, err := again.Run(t.Context()); err != nil || r.Failed > 0 {
		t.Errorf("the pass after it: %+v, %v", r, err)
	}
	for _, key := range orphans {
		if w.has(t, key) {
			t.Error("the pass after it left an orphan")
		}
	}
	if len(w.partials(t)) > 0 {
		t.Error("the pass after it left an unfinished upload")
	}
	return true
}

// lateOwner is a queue that at first does not know an owner.
type lateOwner struct {
	*queue
	asked int
}

func (q *lateOwner) Owned(ctx context.Context, keys []blobstore.Key) ([]bool, error) {
	if q.asked++; q.asked == 1 {
		return make([]bool, len(keys)), nil
	}
	return q.queue.Owned(ctx, keys)
}

func TestSweepAsksAgainBeforeItDeletes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stored, orphan := w.blob(t, time.Hour), w.orphan(t)
	s, _ := w.sweep(nil)
	s.Queue = &lateOwner{queue: w.queue}
	r, err := s.Run(t.Context())
	if err != nil || r.Deleted != 1 || r.DeletedBytes != 11 || !w.has(t, stored.Keys[0]) || w.has(t, orphan) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestSweepCountsWhatCannotBeRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.blob(t, time.Hour)
	bad, good := w.orphan(t), w.orphan(t)
	w.upload(t)
	s, st := w.sweep(nil)
	st.delete = func(ctx context.Context, keys []blobstore.Key) error {
		keys = slices.DeleteFunc(slices.Clone(keys), func(k blobstore.Key) bool { return k == bad })
		return errors.Join(w.blobs.Delete(ctx, keys...), &blobstore.KeyError{Key: bad, Err: errFault})
	}
	st.discard = func(blobstore.Info) error { return errFault }
	r, err := s.Run(t.Context())
	if err != nil || r.Deleted != 1 || r.Discarded != 0 || r.Failed != 2 || len(r.Failures) != 2 || w.has(t, good) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestSweepStopsAtAStoreThatIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	calls := 0
	down := func() error { calls++; return errFault }
	orphans, _ := listed(w, 5)
	partials := func(ctx context.Context) iter.Seq2[blobstore.Info, error] {
		return func(yield func(blobstore.Info, error) bool) {
			for info, err := range orphans.all(ctx) {
				info.Partial = true
				if !yield(info, err) {
					return
				}
			}
		}
	}
	nothing := func(context.Context) iter.Seq2[blobstore.Info, error] {
		return func(func(blobstore.Info, error) bool) {}
	}
	for _, c := range []struct {
		name        string
		rows, calls int
		blobs       store
	}{
		{"orphans", 0, 1, store{all: orphans.all, delete: func(context.Context, []blobstore.Key) error { return down() }}},
		{"orphans, each by name", 0, 5, store{all: orphans.all, delete: func(_ context.Context, keys []blobstore.Key) error {
			var errs []error
			for _, key := range keys {
				errs = append(errs, &blobstore.KeyError{Key: key, Err: down()})
			}
			return errors.Join(errs...)
		}}},
		{"unfinished uploads", 0, 3, store{all: partials, discard: func(blobstore.Info) error { return down() }}},
		{"rows", 5, 0, store{all: nothing, open: func(context.Context, blobstore.Key) error { return errFault }}},
	} {
		q := new(queue)
		for range c.rows {
			q.add("stored", "unopened", 1, start.Add(time.Hour), 1)
		}
		calls = 0
		s := expiry.Sweep{Queue: q, Blobs: &c.blobs, Now: w.clock}
		r, err := s.Run(t.Context())
		if !errors.Is(err, expiry.ErrStoreDown) || calls != c.calls || r.Failed < 3 || r.Deleted+r.Discarded+r.Missing != 0 {
			t.Errorf("%s: %d calls, %+v, %v", c.name, calls, r, err)
		}
	}
}

func TestSweepCancelledWhileItLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(t, newKey(uuid.New()), 1)
	ctx, cancel := context.WithCancel(t.Context())
	s, st := w.sweep(nil)
	s.MinAge = 1000 * time.Hour // nothing to look up: the listing alone must tell
	all := st.all
	st.all = func(ctx context.Context) iter.Seq2[blobstore.Info, error] {
		cancel()
		return all(context.WithoutCancel(ctx))
	}
	if r, err := s.Run(ctx); err != context.Canceled {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestSweepReportsRowsWithoutBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	whole := w.blob(t, time.Hour)
	absent := w.add("stored", "unopened", 7, start.Add(time.Hour), 1)
	absent.ID = uuid.MustParse("01000000-0000-0000-0000-000000000000")
	short := w.blob(t, time.Hour)
	short.Size = 8
	young := w.blob(t, time.Hour)
	purged := w.blob(t, time.Hour) // between the page and the question
	damaged := w.blob(t, time.Hour)

	s, st := w.sweep(nil)
	s.DryRun = true // it never deletes anyway
	all := st.all
	st.all = func(ctx context.Context) iter.Seq2[blobstore.Info, error] {
		return func(yield func(blobstore.Info, error) bool) {
			for info, err := range all(ctx) {
				if info.Key == whole.Keys[0] || info.Key == short.Keys[0] {
					if !yield(info, err) {
						return
					}
				}
			}
		}
	}
	st.open = func(_ context.Context, key blobstore.Key) error {
		switch key {
		case whole.Keys[0]:
			t.Error("asked for what the listing had shown")
		case purged.Keys[0]:
			w.mu.Lock()
			defer w.mu.Unlock()
			purged.state = "purging"
			return blobstore.ErrNotFound
		case damaged.Keys[0]:
			return errFault
		}
		return nil
	}
	r, err := s.Run(t.Context())
	if err != nil || r.Missing != 2 || r.Damaged != 1 || r.Failed != 1 || r.Failures[0].ID != damaged.ID {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, m := range r.MissingBlobs {
		if !(m.ID == absent.ID && errors.Is(m.Err, blobstore.ErrNotFound)) && !(m.ID == short.ID && errors.Is(m.Err, blobstore.ErrSize)) {
			t.Errorf("%s: %v", m.ID, m.Err)
		}
	}
	for _, row := range []*row{whole, short, young, purged, damaged} {
		if !w.has(t, row.Keys[0]) {
			t.Error("the search for missing bytes deleted some")
		}
	}
}

func TestSweepAge(t *testing.T) {
	t.Parallel()
	if got := expiry.SweepAge(expiry.Builtin()); got != 48*time.Hour {
		t.Errorf("of the built-in policies: %s", got)
	}
	if got := expiry.SweepAge(append(expiry.Builtin(), expiry.Policy{UploadTTL: 72 * time.Hour})); got != 144*time.Hour {
		t.Errorf("with a longer one: %s", got)
	}
	if got := expiry.SweepAge(nil); got != 48*time.Hour {
		t.Errorf("of none: %s", got)
	}
}
