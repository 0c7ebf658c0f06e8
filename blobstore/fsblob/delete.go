package fsblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"mayfly/blobstore"
)

// deleteFolders is how many folders one Delete works on at a time. What it
// waits for is fsync, and those that run together share commits of the journal.
const deleteFolders = 16

// Delete implements blobstore.Store. Each folder that keys share costs one fsync.
func (s *Store) Delete(ctx context.Context, keys ...blobstore.Key) error {
	_, err := s.DeleteCounted(ctx, keys...)
	return err
}

// DeleteCounted implements blobstore.CountingDeleter. It tells of every key.
func (s *Store) DeleteCounted(ctx context.Context, keys ...blobstore.Key) (map[blobstore.Key]int64, error) {
	var o outcome
	var g errgroup.Group
	g.SetLimit(deleteFolders)
	for name, keys := range byFolder(keys, func(err error, key blobstore.Key) { o.failed(err, key) }) {
		g.Go(func() error {
			s.deleteIn(ctx, name, keys, &o)
			return nil
		})
	}
	g.Wait() // always nil: one folder's errors must not stop the others
	return o.removed, errors.Join(o.errs...)
}

// outcome is what became of the keys of a Delete, which works on many at a time.
type outcome struct {
	mu      sync.Mutex
	removed map[blobstore.Key]int64
	errs    []error
}

func (o *outcome) failed(err error, keys ...blobstore.Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, key := range keys {
		o.errs = append(o.errs, &blobstore.KeyError{Key: key, Err: err})
	}
}

// gone counts n files that were removed for each key: a key may come twice.
func (o *outcome) gone(n int64, keys ...blobstore.Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.removed == nil {
		o.removed = make(map[blobstore.Key]int64)
	}
	for _, key := range keys {
		o.removed[key] += n
	}
}

// deleteIn deletes keys, which share the folder name.
func (s *Store) deleteIn(ctx context.Context, name string, keys []blobstore.Key, o *outcome) {
	if err := ctx.Err(); err != nil {
		o.failed(err, keys...)
		return
	}
	dir, err := s.root.OpenRoot(name) // not one that is open: a purge must not believe an old one
	if errors.Is(err, fs.ErrNotExist) {
		o.gone(0, keys...)
		return
	}
	if err != nil {
		o.failed(err, keys...)
		return
	}
	defer dir.Close()

	var gone []blobstore.Key
	for _, key := range keys {
		n, err := s.unlinkBlob(ctx, dir, key)
		if err != nil {
			o.failed(err, key)
			continue
		}
		o.gone(n, key)
		gone = append(gone, key)
	}
	// P5: also when there was nothing to unlink. Whoever did it before may have
	// died before its fsync, and then a power cut would bring the blob back.
	if err := s.syncDir(dir); err != nil {
		o.failed(err, gone...)
	}
}

// unlinkBlob says how many blobs it removed: 1, or 0.
func (s *Store) unlinkBlob(ctx context.Context, dir *os.Root, key blobstore.Key) (int64, error) {
	fi, err := dir.Lstat(string(key))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if links(fi) > 1 {
		if err := s.unlinkSecondNames(ctx, dir, key); err != nil {
			return 0, err
		}
	}
	return s.unlinkCounted(dir, string(key))
}

// unlinkSecondNames removes the names that a Put of key left when it was killed
// between link and unlink. P5: without it the bytes of a deleted blob would lie
// there under another name until the next sweep.
func (s *Store) unlinkSecondNames(ctx context.Context, dir *os.Root, key blobstore.Key) error {
	return readNames(ctx, dir, func(name string) error {
		if k, ok := parsePartial(name); ok && k == key {
			return s.unlink(dir, name)
		}
		return nil
	})
}

// Discard implements blobstore.Store. If the upload is under way after all, its
// Put fails.
func (s *Store) Discard(ctx context.Context, partial blobstore.Info) error {
	// The reference is taken apart and checked: it must never reach a blob.
	in, name := path.Split(partial.Ref)
	in = strings.TrimSuffix(in, "/")
	key, ok := parsePartial(name)
	if !partial.Partial || !ok || folder(key) != in {
		return fmt.Errorf("discard %q: not an unfinished upload", partial.Ref)
	}
	if err := s.discard(ctx, in, name); err != nil {
		return fmt.Errorf("discard %s: %w", partial.Ref, err)
	}
	return nil
}

func (s *Store) discard(ctx context.Context, in, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir, err := s.root.OpenRoot(in)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := s.unlink(dir, name); err != nil {
		return err
	}
	return s.syncDir(dir)
}
