package fsblob

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
)

func TestCounted(t *testing.T) {
	blobstoretest.TestCounted(t, blobstoretest.TellsAll, func(t *testing.T) blobstore.Store { return open(t, t.TempDir()) })
}

func TestAbsent(t *testing.T) {
	blobstoretest.TestAbsent(t, func(t *testing.T) blobstore.Store { return open(t, t.TempDir()) })
}

// TestAbsentInDoubt: of a folder that cannot be read nothing is known, and of one that is
// not there everything.
func TestAbsentInDoubt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	known, unknown := blobstore.Key("0123-aa"), blobstore.Key("0123-bb")
	if err := os.Remove(filepath.Join(dir, "aa")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "bb")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bb"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.Absent(t.Context(), known, unknown); !maps.Equal(got, map[blobstore.Key]bool{known: true}) {
		t.Errorf("%v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := s.Absent(ctx, known); len(got) > 0 {
		t.Errorf("cancelled: %v", got)
	}
}

// TestCountedOnce: a blob that somebody else removes between the look and the unlink was
// removed by him.
func TestCountedOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "keyaa", "x")
	s.fault = func(step string) error {
		if step != stepUnlink {
			return nil
		}
		return os.Remove(filepath.Join(dir, "aa", "keyaa"))
	}
	want := map[blobstore.Key]int64{"keyaa": 0}
	if removed, err := s.DeleteCounted(t.Context(), "keyaa"); err != nil || !maps.Equal(removed, want) {
		t.Errorf("%v, %v; want %v", removed, err, want)
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
