package fsblob

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"mayfly/blobstore"
)

// The faults of a file system come from Store.fault and not from a full or
// broken disk, so that these tests run everywhere, for every user, unskipped.

// failAt makes s fail with err at the nth time of a step, counted from 1.
func failAt(s *Store, step string, nth int, err error) {
	s.fault = func(at string) error {
		if at != step {
			return nil
		}
		if nth--; nth != 0 {
			return nil
		}
		return err
	}
}

// TestPutFaults: whatever fails before the blob has its name leaves nothing, and
// what fails after it does not claim so.
func TestPutFaults(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("x", 3*bufferSize)
	for _, c := range []struct {
		step   string
		nth    int
		exists bool
	}{
		{stepCreate, 1, false},
		{stepWrite, 1, false},
		{stepWrite, 2, false},
		{stepSync, 1, false},
		{stepLink, 1, false},
		{stepUnlink, 1, true},
		{stepSyncDir, 1, true},
	} {
		for _, cause := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO} {
			for method, run := range map[string]func(s *Store) error{
				"Put": func(s *Store) error {
					return s.Put(t.Context(), "keybb", strings.NewReader(body), int64(len(body)))
				},
				"Copy": func(s *Store) error { return s.Copy(t.Context(), "keybb", "keyaa") },
			} {
				if method == "Copy" && c.nth > 1 {
					continue // copies in one step
				}
				dir := t.TempDir()
				s := open(t, dir)
				put(t, s, "keyaa", body)
				failAt(s, c.step, c.nth, &fs.PathError{Op: c.step, Path: "x", Err: cause})
				err := run(s)
				s.fault = nil

				if !errors.Is(err, cause) {
					t.Errorf("%s, %s %d: %v, want %v", method, c.step, c.nth, err, cause)
				}
				full := cause != syscall.EIO && !c.exists
				if errors.Is(err, blobstore.ErrNoSpace) != full {
					t.Errorf("%s, %s %d with %v: %v, want ErrNoSpace %t", method, c.step, c.nth, cause, err, full)
				}
				wantBlob(t, s, "keyaa", body)
				if c.exists {
					wantBlob(t, s, "keybb", body)
				} else if got := files(t, dir); len(got) != 1 {
					t.Errorf("%s, %s %d with %v leaves %v", method, c.step, c.nth, cause, got)
				}
				// The purge of a burnt key leaves nothing in any case.
				if err := s.Delete(t.Context(), "keybb"); err != nil {
					t.Error(err)
				}
				if got := files(t, dir); len(got) != 1 {
					t.Errorf("%s, %s %d with %v, after Delete: %v", method, c.step, c.nth, cause, got)
				}
			}
		}
	}
}

// TestPutFolderFault: a folder made on demand that cannot be made durable.
func TestPutFolderFault(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	failAt(s, stepSyncDir, 1, syscall.EIO)
	if err := s.Put(t.Context(), "keyzz", strings.NewReader("x"), 1); !errors.Is(err, syscall.EIO) {
		t.Errorf("Put: %v", err)
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	put(t, s, "keyzz", "x")
}

// TestDeleteFaults: keys whose deletion is not durable are all named.
func TestDeleteFaults(t *testing.T) {
	t.Parallel()
	keys := []blobstore.Key{"key1aa", "key2aa", "key3bb", "key4cc"}
	for _, failing := range []string{stepUnlink, stepSyncDir} {
		s := open(t, t.TempDir())
		for _, key := range keys {
			put(t, s, key, "x")
		}
		s.fault = func(step string) error {
			if step == failing {
				return syscall.EIO
			}
			return nil
		}
		err := s.Delete(t.Context(), keys...)
		s.fault = nil
		named := map[blobstore.Key]bool{}
		for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
			var keyErr *blobstore.KeyError
			if !errors.As(e, &keyErr) || !errors.Is(e, syscall.EIO) {
				t.Errorf("%v names no key", e)
				continue
			}
			named[keyErr.Key] = true
		}
		if len(named) != len(keys) {
			t.Errorf("%s: named %v, want all", failing, named)
		}
		if err := s.Delete(t.Context(), keys...); err != nil {
			t.Error(err)
		}
		if blobs, _ := list(t, s); len(blobs) != 0 {
			t.Errorf("left: %v", blobs)
		}
	}
}

// TestDeleteSyncsAgain: a Delete that finds nothing may be the one that makes
// an earlier, killed one durable.
func TestDeleteSyncsAgain(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	put(t, s, "keyaa", "x")
	failAt(s, stepSyncDir, 1, syscall.EIO)
	if err := s.Delete(t.Context(), "keyaa"); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	failAt(s, stepSyncDir, 1, syscall.EIO)
	if err := s.Delete(t.Context(), "keyaa"); !errors.Is(err, syscall.EIO) {
		t.Errorf("%v: the folder was not synced, for the key was gone", err)
	}
}

// TestPutOrder: P1 hangs on the order of these steps.
func TestPutOrder(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	var steps []string
	s.fault = func(step string) error {
		steps = append(steps, step)
		return nil
	}
	put(t, s, "keyaa", "x")
	if got, want := strings.Join(steps, " "), "create write sync link unlink syncdir"; got != want {
		t.Errorf("Put does %s, want %s", got, want)
	}
	steps = nil
	put(t, s, "keyzz", "")
	if got, want := strings.Join(steps, " "), "syncdir create sync link unlink syncdir"; got != want {
		t.Errorf("Put into a new folder does %s, want %s", got, want)
	}
	steps = nil
	if err := s.Delete(t.Context(), "keyaa", "otheraa"); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(steps, " "), "unlink syncdir"; got != want {
		t.Errorf("Delete does %s, want %s", got, want)
	}
}

func TestCheckSaysHowToMend(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		step string
		err  error
		want string
	}{
		{stepCreate, &fs.PathError{Op: "openat", Path: "x", Err: syscall.EROFS}, "mount it read-write"},
		{stepCreate, &fs.PathError{Op: "openat", Path: "x", Err: syscall.EACCES}, "chown"},
		{stepWrite, &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, "make room"},
		{stepWrite, &fs.PathError{Op: "write", Path: "x", Err: syscall.EDQUOT}, "make room"},
		{stepLink, &os.LinkError{Op: "linkat", Old: "x", New: "y", Err: syscall.EPERM}, "hard links do not work"},
		{stepLink, &os.LinkError{Op: "linkat", Old: "x", New: "y", Err: syscall.EOPNOTSUPP}, "hard links do not work"},
		{stepSync, &fs.PathError{Op: "sync", Path: "x", Err: syscall.EINVAL}, "fsync does not work"},
		{stepSyncDir, &fs.PathError{Op: "sync", Path: "x", Err: syscall.ENOSYS}, "fsync does not work"},
		{stepSync, &fs.PathError{Op: "sync", Path: "x", Err: syscall.EIO}, "input/output error"},
	} {
		dir := t.TempDir()
		s := open(t, dir)
		failAt(s, c.step, 1, c.err)
		err := s.Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) || !errors.Is(err, c.err) {
			t.Errorf("%v at %s: %v, want %q and the folder", c.err, c.step, err, c.want)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q is more than a sentence", err)
		}
		if got := files(t, dir); len(got) != 0 {
			t.Errorf("%v at %s leaves %v", c.err, c.step, got)
		}
	}
}

func TestCheckSeesAForgetfulDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	// Between writing and reading, the file is changed behind the store's back.
	s.fault = func(step string) error {
		if step == stepSyncDir {
			for _, name := range files(t, dir) {
				if err := os.WriteFile(dir+"/"+name, []byte("other"), 0o600); err != nil {
					t.Error(err)
				}
			}
		}
		return nil
	}
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "does not read as it was written") {
		t.Errorf("Check: %v", err)
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestCheckCancelledMidway(t *testing.T) {
	t.Parallel()
	for _, at := range []string{stepCreate, stepLink, stepSyncDir} {
		dir := t.TempDir()
		s := open(t, dir)
		ctx, cancel := context.WithCancel(t.Context())
		s.fault = func(step string) error {
			if step == at {
				cancel()
			}
			return nil
		}
		if err := s.Check(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at %s: %v", at, err)
		}
		cancel()
		if got := files(t, dir); len(got) != 0 {
			t.Errorf("cancelled at %s leaves %v", at, got)
		}
	}
}
