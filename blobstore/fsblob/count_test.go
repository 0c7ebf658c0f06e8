package fsblob

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
)

func TestCounted(t *testing.T) {
	blobstoretest.TestCounted(t, blobstoretest.TellsAll, func(t *testing.T) blobstore.Store { return open(t, t.TempDir()) })
}

// TestCountedOnce: of many that delete a blob at the same moment one has removed it.
func TestCountedOnce(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for range 50 {
		put(t, s, "keyaa", "x")
		var sum atomic.Int64
		var deleters sync.WaitGroup
		for range 4 {
			deleters.Go(func() {
				removed, err := s.DeleteCounted(t.Context(), "keyaa")
				if n, told := removed["keyaa"]; err != nil || !told {
					t.Errorf("%d, told %t, %v", n, told, err)
				}
				sum.Add(removed["keyaa"])
			})
		}
		deleters.Wait()
		if sum.Load() != 1 {
			t.Fatalf("%d removed of one", sum.Load())
		}
	}
}

// TestCountedFiles: a second name of the bytes is no blob of its own, and a folder that is
// not there has nothing.
func TestCountedFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "keyaa", "x")
	if err := os.Link(filepath.Join(dir, "aa", "keyaa"), filepath.Join(dir, "aa", "keyaa.ABCDEFGHIJKLMNOPQRSTUVWXYZ.part")); err != nil {
		t.Fatal(err)
	}
	want := map[blobstore.Key]int64{"keyaa": 1, "keyzz": 0}
	if removed, err := s.DeleteCounted(t.Context(), "keyaa", "keyzz"); err != nil || !maps.Equal(removed, want) {
		t.Errorf("%v, %v; want %v", removed, err, want)
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

// TestCountedAfterFault: what was unlinked, and not made durable, is gone at the next try.
func TestCountedAfterFault(t *testing.T) {
	t.Parallel()
	for step, want := range map[string]int64{stepUnlink: 1, stepSyncDir: 0} {
		s := open(t, t.TempDir())
		put(t, s, "keyaa", "x")
		failAt(s, step, 1, syscall.EIO)
		if _, err := s.DeleteCounted(t.Context(), "keyaa"); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", step, err)
		}
		if removed, err := s.DeleteCounted(t.Context(), "keyaa"); err != nil || !maps.Equal(removed, map[blobstore.Key]int64{"keyaa": want}) {
			t.Errorf("%s, again: %v, %v; want %d", step, removed, err, want)
		}
	}
}
