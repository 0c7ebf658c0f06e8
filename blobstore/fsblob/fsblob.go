package fsblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"mayfly/blobstore"
)

// Store is a blobstore.Store in a folder. Open makes one. Any number of Stores,
// in any number of processes, may use one folder at the same time.
type Store struct {
	dir     string
	root    *os.Root
	folders sync.Map // by name, the *os.Root of each folder that is open
	shared  sharedSync
	all     *os.File // the folder; syncAll goes through it

	// fault lets tests fail a step of the file system (one of the step…
	// constants) with the error that a broken one would give; nil otherwise.
	fault func(step string) error
}

var (
	_ blobstore.Store           = (*Store)(nil)
	_ blobstore.CountingDeleter = (*Store)(nil)
	_ blobstore.AbsenceTeller   = (*Store)(nil)
	_ blobstore.Importer        = (*Store)(nil)
)

// The steps at which tests let a file system fail.
const (
	stepCreate  = "create"
	stepWrite   = "write"
	stepSync    = "sync"
	stepLink    = "link"
	stepUnlink  = "unlink"
	stepSyncDir = "syncdir"
	stepSyncAll = "syncall"
)

// Open opens the store in the folder dir and creates what is missing of it: the
// folder itself (mode 0700) and its fan-out folders. Check, not Open, proves
// that the folder can be written.
func Open(dir string) (*Store, error) {
	if err := makeDurable(dir); err != nil {
		return nil, fmt.Errorf("open blob folder: %w", mend(dir, err))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open blob folder: %w", mend(dir, err))
	}
	s := &Store{dir: dir, root: root}
	s.shared.sync, s.shared.from = s.syncAll, shareFrom
	err = s.makeFolders()
	if err == nil {
		s.all, err = root.Open(".")
	}
	if err == nil {
		s.shared.possible, err = canSyncAll(s.all)
	}
	if err != nil {
		return nil, fmt.Errorf("open blob folder: %w", errors.Join(mend(dir, err), s.Close()))
	}
	return s, nil
}

// Close releases the folder. Readers that Open returned stay usable.
func (s *Store) Close() error {
	var errs []error
	for _, dir := range s.folders.Range {
		errs = append(errs, dir.(*os.Root).Close())
	}
	if s.all != nil {
		errs = append(errs, s.all.Close())
	}
	return errors.Join(append(errs, s.root.Close())...)
}

// Open implements blobstore.Store. The reader is an *os.File. A file cannot
// watch a context: ctx ends the opening only, closing ends the read.
func (s *Store) Open(ctx context.Context, key blobstore.Key, offset int64) (io.ReadCloser, blobstore.Info, error) {
	f, info, err := s.open(ctx, key)
	if err != nil {
		return nil, blobstore.Info{}, fmt.Errorf("open blob %s: %w", key, err)
	}
	if offset < 0 || offset > info.Size {
		f.Close()
		return nil, blobstore.Info{}, fmt.Errorf("open blob %s: offset %d is outside of 0..%d", key, offset, info.Size)
	}
	if offset > 0 {
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			f.Close()
			return nil, blobstore.Info{}, fmt.Errorf("open blob %s: %w", key, err)
		}
	}
	return f, info, nil
}

func (s *Store) open(ctx context.Context, key blobstore.Key) (*os.File, blobstore.Info, error) {
	if _, err := blobstore.ParseKey(string(key)); err != nil {
		return nil, blobstore.Info{}, err
	}
	if err := ctx.Err(); err != nil {
		return nil, blobstore.Info{}, err
	}
	f, err := s.openFile(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, blobstore.Info{}, blobstore.ErrNotFound
	}
	if err != nil {
		return nil, blobstore.Info{}, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, blobstore.Info{}, err
	}
	return f, blobstore.Info{Key: key, Size: fi.Size(), ModifiedAt: fi.ModTime()}, nil
}

func (s *Store) openFile(key blobstore.Key) (*os.File, error) {
	dir, err := s.findFolder(folder(key))
	if err != nil {
		return nil, err
	}
	f, err := openIn(dir, key)
	if !errors.Is(err, fs.ErrNotExist) || !s.replaced(folder(key), dir) {
		return f, err
	}
	if dir, err = s.findFolder(folder(key)); err != nil {
		return nil, err
	}
	return openIn(dir, key)
}

// openIn does not wait, as it would for a pipe that somebody has put in a blob's place. Of a file
// package os then has no mode to set back and forth, which is a fifth of the time.
func openIn(dir *os.Root, key blobstore.Key) (*os.File, error) {
	return dir.OpenFile(string(key), os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// step asks a test's fault, if there is one, whether this step fails.
func (s *Store) step(step string) error {
	if s.fault == nil {
		return nil
	}
	return s.fault(step)
}
