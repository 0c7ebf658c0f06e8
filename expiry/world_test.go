package expiry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/fsblob"
	"mayfly/expiry"
)

// start is when the worlds of the tests begin.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is rows and a real folder of blobs, and the promises over both.
type world struct {
	*queue
	blobs *fsblob.Store
	now   time.Time
	mine  map[blobstore.Key]bool // every key that was ever put
}

func newWorld(t *testing.T) *world {
	t.Helper()
	blobs, err := fsblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { blobs.Close() })
	return onStore(blobs)
}

// onStore makes a world beside others in one folder.
func onStore(blobs *fsblob.Store) *world {
	return &world{queue: new(queue), blobs: blobs, now: start, mine: make(map[blobstore.Key]bool)}
}

func (w *world) clock() time.Time { return w.now }

func (w *world) purge() *expiry.Purge {
	return &expiry.Purge{Queue: w.queue, Blobs: w.blobs, Now: w.clock, Batch: 3}
}

// put stores size bytes under the key.
func (w *world) put(t *testing.T, key blobstore.Key, size int64) {
	t.Helper()
	w.mine[key] = true
	if err := w.blobs.Put(t.Context(), key, bytes.NewReader(make([]byte, size)), size); err != nil {
		t.Fatal(err)
	}
}

// blob stores a blob that is due that much after the start.
func (w *world) blob(t *testing.T, after time.Duration) *row {
	t.Helper()
	r := w.add("stored", "unopened", 7, start.Add(after), 1)
	w.put(t, r.Keys[0], r.Size)
	return r
}

// attempt leaves the bytes of an upload that came to nothing.
func (w *world) attempt(t *testing.T, after time.Duration) *row {
	t.Helper()
	r := w.add("pending", "not_uploaded", 0, start.Add(after), 1)
	r.ID = uuid.UUID{}
	w.put(t, r.Keys[0], 5)
	return r
}

func (w *world) has(t *testing.T, key blobstore.Key) bool {
	t.Helper()
	body, _, err := w.blobs.Open(context.Background(), key, 0)
	if errors.Is(err, blobstore.ErrNotFound) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
	return true
}

// check holds the promises against the world as it stands: P1, P4 and P5 are true
// between any two steps, not only at the end.
func (w *world) check(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	owned := make(map[blobstore.Key]bool)
	for _, r := range w.rows {
		early := r.At.After(w.now)
		if early && r.state != "stored" && r.state != "pending" {
			t.Errorf("P4: %s is %s before it is due", r.ID, r.state)
		}
		for _, key := range r.Keys {
			has := w.has(t, key)
			if early && r.state == "stored" && !has {
				t.Errorf("P1: the bytes of %s are gone before it is due", r.ID)
			}
			if (r.state == "erased" || r.gone) && has {
				t.Errorf("P5: the tombstone %s has bytes", r.ID)
			}
			owned[key] = owned[key] || r.state != "erased" && !r.gone
		}
	}
	for key := range w.mine {
		if !owned[key] && w.has(t, key) {
			t.Errorf("P5: the bytes %s have no row", key)
		}
	}
}

// erased reports whether every row that is due is a tombstone or removed.
func (w *world) erased() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.rows {
		if !r.At.After(w.now) && r.state != "erased" && !r.gone {
			return false
		}
	}
	return true
}

// store is a blobstore.Store of which a test replaces single methods.
type store struct {
	blobstore.Store
	open    func(context.Context, blobstore.Key) error // nil opens
	delete  func(context.Context, []blobstore.Key) error
	discard func(blobstore.Info) error
	all     func(context.Context) iter.Seq2[blobstore.Info, error]
}

func (s *store) Open(ctx context.Context, key blobstore.Key, offset int64) (io.ReadCloser, blobstore.Info, error) {
	if s.open != nil {
		if err := s.open(ctx, key); err != nil {
			return nil, blobstore.Info{}, err
		}
	}
	return s.Store.Open(ctx, key, offset)
}

func (s *store) Delete(ctx context.Context, keys ...blobstore.Key) error {
	if s.delete != nil {
		return s.delete(ctx, keys)
	}
	return s.Store.Delete(ctx, keys...)
}

func (s *store) Discard(ctx context.Context, info blobstore.Info) error {
	if s.discard != nil {
		return s.discard(info)
	}
	return s.Store.Discard(ctx, info)
}

func (s *store) All(ctx context.Context) iter.Seq2[blobstore.Info, error] {
	if s.all != nil {
		return s.all(ctx)
	}
	return s.Store.All(ctx)
}

// steps counts the calls of a pass and lets one of them, the fault-th, go wrong.
type steps struct {
	mu     sync.Mutex
	n      int
	fault  int
	mode   string
	cancel context.CancelFunc
}

var errFault = errors.New("fault")

// Modes in which a step goes wrong.
var modes = []string{"failed", "failed but applied", "cancelled before", "cancelled after", "died before", "died after"}

// step makes one call, and is how every call of a faulty world goes.
func (s *steps) step(call func() error) error {
	s.mu.Lock()
	s.n++
	mode := ""
	if s.n == s.fault {
		mode = s.mode
	}
	s.mu.Unlock()
	switch mode {
	case "failed":
		return errFault
	case "cancelled before":
		s.cancel()
	case "died before":
		panic(errFault)
	}
	err := call()
	switch mode {
	case "failed but applied":
		return errFault
	case "cancelled after":
		s.cancel()
	case "died after":
		panic(errFault)
	}
	return err
}

type faultyQueue struct {
	*queue
	*steps
}

func (q faultyQueue) Earliest(ctx context.Context, from, now time.Time) (at time.Time, ok bool, err error) {
	err = q.step(func() error { at, ok, err = q.queue.Earliest(ctx, from, now); return err })
	return at, ok, err
}

func (q faultyQueue) Claim(ctx context.Context, from, now time.Time, lease time.Duration, limit int) (due []expiry.Due, err error) {
	err = q.step(func() error { due, err = q.queue.Claim(ctx, from, now, lease, limit); return err })
	return due, err
}

func (q faultyQueue) Erase(ctx context.Context, done []expiry.Due, now time.Time) error {
	return q.step(func() error { return q.queue.Erase(ctx, done, now) })
}

func (q faultyQueue) Defer(ctx context.Context, d expiry.Due, retry time.Time) error {
	return q.step(func() error { return q.queue.Defer(ctx, d, retry) })
}

func (q faultyQueue) Forget(ctx context.Context, now time.Time, limit int) (n int, err error) {
	err = q.step(func() error { n, err = q.queue.Forget(ctx, now, limit); return err })
	return n, err
}

func (q faultyQueue) Owned(ctx context.Context, keys []blobstore.Key) (owned []bool, err error) {
	err = q.step(func() error { owned, err = q.queue.Owned(ctx, keys); return err })
	return owned, err
}

func (q faultyQueue) Stored(ctx context.Context, after uuid.UUID, limit int) (page []expiry.StoredBlob, err error) {
	err = q.step(func() error { page, err = q.queue.Stored(ctx, after, limit); return err })
	return page, err
}
