package fsblob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"mayfly/blobstore"
)

// folder is where the blob of a key lives: its last two characters. They are
// random, while keys may begin with a time: by their beginning all the uploads
// of one hour would meet in one folder, whose lock they would queue for.
func folder(key blobstore.Key) string { return string(key[len(key)-2:]) }

// isFolder reports whether name can be the folder of some key.
func isFolder(name string) bool {
	_, err := blobstore.ParseKey("00" + name)
	return err == nil && len(name) == 2
}

// makeFolders makes the folders of all keys that end in two hex digits, so that
// no Put of one has to make a folder durable first.
func (s *Store) makeFolders() error {
	for i := range 256 {
		err := s.root.Mkdir(fmt.Sprintf("%02x", i), 0o700)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	// P1: also when all were there: who made them may have died before this line.
	return s.syncDir(s.root)
}

// openFolder opens the folder of key, and makes it if it is missing.
func (s *Store) openFolder(key blobstore.Key) (*os.Root, error) {
	dir, err := s.root.OpenRoot(folder(key))
	if !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	if err := s.root.Mkdir(folder(key), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	// P1: a durable file in a folder that a crash takes away is lost.
	if err := s.syncDir(s.root); err != nil {
		return nil, err
	}
	return s.root.OpenRoot(folder(key))
}

// syncDir makes the names in dir durable: those that came and those that went.
func (s *Store) syncDir(dir *os.Root) error {
	if err := s.step(stepSyncDir); err != nil {
		return err
	}
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// makeDurable makes dir and the parents it lacks, each durable in its parent.
func makeDurable(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeDurable(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		fi, err := os.Stat(dir)
		if err == nil && !fi.IsDir() {
			err = &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		return err
	}
	if err != nil {
		return err
	}
	parent, err := os.Open(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer parent.Close()
	return parent.Sync()
}
