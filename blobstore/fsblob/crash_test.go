package fsblob

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"mayfly/blobstore"
)

// crashBody is what the child puts: several writes.
var crashBody = strings.Repeat("crash", bufferSize)

// TestMain is also the child of TestCrash: it puts a blob and is killed, by
// itself, at a step.
func TestMain(m *testing.M) {
	if step, ok := os.LookupEnv("FSBLOB_CRASH_AT"); ok {
		crash(os.Getenv("FSBLOB_CRASH_DIR"), step)
		return
	}
	os.Exit(m.Run())
}

func crash(dir, step string) {
	s, err := Open(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	s.fault = func(at string) error {
		if at == step {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}
	fmt.Println(s.Put(context.Background(), "keyaa", strings.NewReader(crashBody), int64(len(crashBody))))
}

// TestCrash kills a process at each step of Put. What it leaves is no blob or a
// whole one, and perhaps an unfinished upload, which both ways of cleaning find.
func TestCrash(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		step           string
		blobs, partial int
	}{
		{stepCreate, 0, 0},
		{stepWrite, 0, 1},
		{stepSync, 0, 1},
		{stepLink, 0, 1},
		{stepUnlink, 1, 1},
		{stepSyncDir, 1, 0},
	} {
		dir := t.TempDir()
		child := exec.Command(self)
		child.Env = append(os.Environ(), "FSBLOB_CRASH_AT="+c.step, "FSBLOB_CRASH_DIR="+dir)
		out, err := child.Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("%s: the child was not killed: %v %s", c.step, err, out)
		}

		s := open(t, dir)
		blobs, partial := list(t, s)
		if len(blobs) != c.blobs || len(partial) != c.partial {
			t.Fatalf("%s leaves %v %v", c.step, blobs, partial)
		}
		if c.blobs == 0 {
			if _, _, err := s.Open(t.Context(), "keyaa", 0); !errors.Is(err, blobstore.ErrNotFound) {
				t.Errorf("%s: Open: %v, want ErrNotFound", c.step, err)
			}
		} else {
			wantBlob(t, s, "keyaa", crashBody)
		}
		for _, info := range partial {
			if info.Key != "keyaa" || info.Ref == "" || info.ModifiedAt.IsZero() {
				t.Errorf("%s: unfinished upload %+v", c.step, info)
			}
		}

		if c.step == stepUnlink {
			// P5: the second name goes with the blob, and does not wait for a sweep.
			if err := s.Delete(t.Context(), "keyaa"); err != nil {
				t.Fatal(err)
			}
			if left := files(t, dir); len(left) != 0 {
				t.Errorf("%s: Delete leaves %v", c.step, left)
			}
			continue
		}
		for _, info := range partial {
			if err := s.Discard(t.Context(), info); err != nil {
				t.Error(err)
			}
		}
		if left := files(t, dir); len(left) != c.blobs {
			t.Errorf("%s: Discard leaves %v", c.step, left)
		}
		if c.blobs == 0 {
			put(t, s, "keyaa", "x") // nothing stands in the way
		}
	}
}

// TestDiscardSparesTheBlob: the second name of a whole blob is discarded, the
// blob stays.
func TestDiscardSparesTheBlob(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	failAt(s, stepUnlink, 1, syscall.EIO)
	if err := s.Put(t.Context(), "keyaa", strings.NewReader("x"), 1); err == nil {
		t.Fatal("no error, although an upload's name was left behind")
	}
	_, partial := list(t, s)
	if len(partial) != 1 {
		t.Fatalf("%v", partial)
	}
	complete := partial[0]
	complete.Partial = false
	if err := s.Discard(t.Context(), complete); err == nil {
		t.Error("Discard of what is not said to be unfinished is not refused")
	}
	for range 2 {
		if err := s.Discard(t.Context(), partial[0]); err != nil {
			t.Fatal(err)
		}
	}
	wantBlob(t, s, "keyaa", "x")
	if left := files(t, dir); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}
