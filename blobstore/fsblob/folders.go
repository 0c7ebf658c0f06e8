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

// folder is where the blob of a key lives: its last two characters. By the first
// ones, which are a time, all the uploads of years would meet in one folder. By the
// last ones blobs that are made together lie in four, and later ones in the next four.
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

// openFolder is the folder of key, made if it is missing. Nobody closes it: it
// stays open for the next.
func (s *Store) openFolder(key blobstore.Key) (*os.Root, error) {
	dir, err := s.findFolder(folder(key))
	if err == nil && s.replaced(folder(key), dir) {
		dir, err = s.findFolder(folder(key))
	}
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
	return s.findFolder(folder(key))
}

// findFolder is the folder name, or fs.ErrNotExist. Folders that were opened stay
// open, there being 37 x 37 of them at the most: opening one anew would cost a
// reader more than opening the blob in it.
func (s *Store) findFolder(name string) (*os.Root, error) {
	if dir, ok := s.folders.Load(name); ok {
		return dir.(*os.Root), nil
	}
	dir, err := s.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	if first, loaded := s.folders.LoadOrStore(name, dir); loaded {
		return first.(*os.Root), dir.Close()
	}
	return dir, nil
}

// replaced forgets an open folder that does not lie in its place any more, as after
// somebody moved a backup there. True if so: then it is worth another try. P1: what
// is put into a folder that was moved away nobody would find again.
func (s *Store) replaced(name string, dir *os.Root) bool {
	was, err := dir.Stat(".")
	is, isErr := s.root.Stat(name)
	if err == nil && isErr == nil && os.SameFile(was, is) {
		return false
	}
	// Not closed: somebody may be using it. The collector does that. Who was faster
	// may have forgotten it already: it is not in its place all the same.
	s.folders.CompareAndDelete(name, dir)
	return true
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
