package fsblob

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
)

func TestImport(t *testing.T) {
	blobstoretest.TestImport(t, func(t *testing.T) (to, from blobstore.Store) {
		return open(t, t.TempDir()), open(t, t.TempDir())
	})
}

// TestImportAcross: copy_file_range does not go from one file system to another; the bytes do.
func TestImportAcross(t *testing.T) {
	blobstoretest.TestImport(t, func(t *testing.T) (to, from blobstore.Store) {
		return open(t, t.TempDir()), open(t, elsewhere(t))
	})
}

// elsewhere is a folder on another file system, where the machine has one that anybody may
// write. It only has to be read from.
func elsewhere(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "mayfly-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestImportUnsupportedByDisk: that a file system cannot do something is no word of
// Import's, which would say that nothing was done.
func TestImportUnsupportedByDisk(t *testing.T) {
	t.Parallel()
	for _, step := range []string{stepWrite, stepLink, stepSyncDir} {
		to, from := open(t, t.TempDir()), open(t, t.TempDir())
		put(t, from, "keyaa", "some bytes")
		failAt(to, step, 1, syscall.EOPNOTSUPP)
		err := to.Import(t.Context(), "keybb", from, "keyaa")
		if err == nil || errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", step, err)
		}
	}
}

// TestImportNoSpace: it is the room of the folder that imports.
func TestImportNoSpace(t *testing.T) {
	t.Parallel()
	to, from := open(t, t.TempDir()), open(t, t.TempDir())
	put(t, from, "keyaa", "some bytes")
	failAt(to, stepWrite, 1, syscall.ENOSPC)
	if err := to.Import(t.Context(), "keybb", from, "keyaa"); !errors.Is(err, blobstore.ErrNoSpace) {
		t.Errorf("%v, want ErrNoSpace", err)
	}
	if left := files(t, to.dir); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
}
