package blobstoretest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
	"mayfly/blobstore/fsblob"
)

func newFaulty(t *testing.T) *blobstoretest.Faulty {
	s, err := fsblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &blobstoretest.Faulty{Store: s}
}

const body = "0123456789"

func put(ctx context.Context, s blobstore.Store, key blobstore.Key) error {
	return s.Put(ctx, key, strings.NewReader(body), int64(len(body)))
}

func read(s blobstore.Store, key blobstore.Key) (string, error) {
	r, _, err := s.Open(context.Background(), key, 0)
	if err != nil {
		return "", err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	return string(got), err
}

func count(s blobstore.Store) (n int, last error) {
	for _, err := range s.All(context.Background()) {
		if last = err; err == nil {
			n++
		}
	}
	return n, last
}

// A Faulty without a rule is a Store like any other.
func TestFaultyConforms(t *testing.T) {
	blobstoretest.Test(t, func(t *testing.T) blobstore.Store { return newFaulty(t) })
}

func TestFaultyKeepsFiles(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	if err := put(t.Context(), f, "aaaa"); err != nil {
		t.Fatal(err)
	}
	r, _, err := f.Open(t.Context(), "aaaa", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, ok := r.(*os.File); !ok {
		t.Errorf("a %T, which sendfile cannot use", r)
	}
}

func TestFaultyModes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method  blobstoretest.Method
		call    func(context.Context, blobstore.Store) error
		applied func(blobstore.Store) bool
	}{
		{
			blobstoretest.Put,
			func(ctx context.Context, s blobstore.Store) error { return put(ctx, s, "bbbb") },
			func(s blobstore.Store) bool { got, err := read(s, "bbbb"); return err == nil && got == body },
		},
		{
			blobstoretest.Copy,
			func(ctx context.Context, s blobstore.Store) error { return s.Copy(ctx, "bbbb", "aaaa") },
			func(s blobstore.Store) bool { got, err := read(s, "bbbb"); return err == nil && got == body },
		},
		{
			blobstoretest.Delete,
			func(ctx context.Context, s blobstore.Store) error { return s.Delete(ctx, "aaaa") },
			func(s blobstore.Store) bool { _, err := read(s, "aaaa"); return errors.Is(err, blobstore.ErrNotFound) },
		},
	} {
		for _, mode := range []blobstoretest.Mode{blobstoretest.Failed, blobstoretest.FailedButApplied, blobstoretest.Stalled} {
			f := newFaulty(t)
			if err := put(t.Context(), f, "aaaa"); err != nil {
				t.Fatal(err)
			}
			f.Fail(blobstoretest.Always(c.method, mode))
			ctx, cancel := context.WithCancel(t.Context())
			if mode == blobstoretest.Stalled {
				cancel()
			}
			err := c.call(ctx, f)
			cancel()
			if !errors.Is(err, blobstoretest.ErrFault) {
				t.Errorf("%s in mode %v: %v, want ErrFault", c.method, mode, err)
			}
			if mode == blobstoretest.Stalled && !errors.Is(err, context.Canceled) {
				t.Errorf("%s in mode %v: %v, want context.Canceled", c.method, mode, err)
			}
			if got, want := c.applied(f.Store), mode == blobstoretest.FailedButApplied; got != want {
				t.Errorf("%s in mode %v: applied %t, want %t", c.method, mode, got, want)
			}
			f.Fail(nil)
			if mode == blobstoretest.Failed {
				if err := c.call(t.Context(), f); err != nil || !c.applied(f.Store) {
					t.Errorf("%s without a rule again: %v", c.method, err)
				}
			}
		}
	}
}

func TestFaultyReads(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	if err := put(t.Context(), f, "aaaa"); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []blobstoretest.Mode{blobstoretest.Failed, blobstoretest.FailedButApplied} {
		f.Fail(func(blobstoretest.Call) blobstoretest.Mode { return mode })
		if r, _, err := f.Open(t.Context(), "aaaa", 0); !errors.Is(err, blobstoretest.ErrFault) || r != nil {
			t.Errorf("Open: %v, %v", r, err)
		}
		if err := f.Check(t.Context()); !errors.Is(err, blobstoretest.ErrFault) {
			t.Errorf("Check: %v", err)
		}
		if err := f.Discard(t.Context(), blobstore.Info{}); !errors.Is(err, blobstoretest.ErrFault) {
			t.Errorf("Discard: %v", err)
		}
		n, err := count(f)
		want := 0
		if mode == blobstoretest.FailedButApplied {
			want = 1
		}
		if n != want || !errors.Is(err, blobstoretest.ErrFault) {
			t.Errorf("All: %d, want %d, %v", n, want, err)
		}
		for range f.All(t.Context()) {
			break // must not be called again after that
		}
	}
}

func TestFaultyBreaks(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	if err := put(t.Context(), f, "aaaa"); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 9, 10, 100} {
		f.Fail(blobstoretest.Always(blobstoretest.Open, blobstoretest.BreakAfter(int64(n))))
		got, err := read(f, "aaaa")
		if got != body[:min(n, len(body))] || !errors.Is(err, blobstoretest.ErrFault) {
			t.Errorf("after %d: %q, %v", n, got, err)
		}
		f.Fail(blobstoretest.Always(blobstoretest.Put, blobstoretest.BreakAfter(int64(n))))
		if err := put(t.Context(), f, "bbbb"); !errors.Is(err, blobstoretest.ErrFault) {
			t.Errorf("after %d: %v", n, err)
		}
		if _, err := read(f.Store, "bbbb"); !errors.Is(err, blobstore.ErrNotFound) {
			t.Errorf("after %d something was stored: %v", n, err)
		}
	}
}

func TestFaultyNth(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	f.Fail(blobstoretest.Nth(blobstoretest.Put, 2, blobstoretest.Failed))
	for i, key := range []blobstore.Key{"aaaa", "bbbb", "cccc"} {
		read(f, key) // does not count as a Put
		if err := put(t.Context(), f, key); (err != nil) != (i == 1) {
			t.Errorf("call %d: %v", i+1, err)
		}
	}
	if n := f.Calls(blobstoretest.Put); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
	f.Fail(nil)
	if n := f.Calls(blobstoretest.Put); n != 0 {
		t.Errorf("%d calls after a new rule, want 0", n)
	}
}

// TestFaultyDelete: some keys of one call fail, and each error names its key.
func TestFaultyDelete(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	keys := []blobstore.Key{"aaaa", "bbbb", "cccc"}
	for _, key := range keys {
		if err := put(t.Context(), f, key); err != nil {
			t.Fatal(err)
		}
	}
	f.Fail(func(c blobstoretest.Call) blobstoretest.Mode {
		switch {
		case c.Method != blobstoretest.Delete || c.N != 1:
			return blobstoretest.Pass
		case c.Key == "bbbb":
			return blobstoretest.Failed
		case c.Key == "cccc":
			return blobstoretest.FailedButApplied
		}
		return blobstoretest.Pass
	})
	err := f.Delete(t.Context(), keys...)
	for _, want := range []string{"blob bbbb: ", "blob cccc: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	var keyErr *blobstore.KeyError
	if !errors.As(err, &keyErr) || keyErr.Key != "bbbb" || strings.Contains(err.Error(), "aaaa") {
		t.Errorf("%v, want errors of bbbb and cccc", err)
	}
	if n, _ := count(f); n != 1 {
		t.Errorf("%d blobs left, want bbbb", n)
	}
	if err := f.Delete(t.Context(), keys...); err != nil {
		t.Error(err)
	}
}

// TestFaultyBarrier: a rule may hold calls back until others have come as far.
func TestFaultyBarrier(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	var barrier sync.WaitGroup
	barrier.Add(4)
	f.Fail(func(blobstoretest.Call) blobstoretest.Mode {
		barrier.Done()
		barrier.Wait()
		return blobstoretest.Pass
	})
	var won, lost int
	var mu sync.Mutex
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			err := f.Put(t.Context(), "aaaa", bytes.NewReader([]byte(body)), int64(len(body)))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if errors.Is(err, blobstore.ErrExists) {
				lost++
			}
		})
	}
	callers.Wait()
	if won != 1 || lost != 3 {
		t.Errorf("%d won, %d lost", won, lost)
	}
}
