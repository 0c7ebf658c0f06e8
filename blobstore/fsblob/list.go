package fsblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"

	"mayfly/blobstore"
)

// All implements blobstore.Store. What is neither a blob nor an unfinished
// upload in its proper folder (lost+found, an operator's note) is not ours, and
// not yielded: a sweep deletes what All yields and nobody owns.
func (s *Store) All(ctx context.Context) iter.Seq2[blobstore.Info, error] {
	return func(yield func(blobstore.Info, error) bool) {
		err := readNames(ctx, s.root, func(name string) error {
			if !isFolder(name) {
				return nil
			}
			return s.listFolder(ctx, name, yield)
		})
		if err != nil && err != fs.SkipAll {
			yield(blobstore.Info{}, fmt.Errorf("list blobs: %w", err))
		}
	}
}

func (s *Store) listFolder(ctx context.Context, in string, yield func(blobstore.Info, error) bool) error {
	fi, err := s.root.Lstat(in)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return nil
	}
	dir, err := s.root.OpenRoot(in)
	if err != nil {
		return err
	}
	defer dir.Close()
	return readNames(ctx, dir, func(name string) error {
		info, ok, err := stat(dir, in, name)
		if err != nil || !ok {
			return err
		}
		if !yield(info, nil) {
			return fs.SkipAll
		}
		return nil
	})
}

// stat describes the blob or unfinished upload name. ok is false if it is
// neither, or was removed since its name was read.
func stat(dir *os.Root, in, name string) (info blobstore.Info, ok bool, err error) {
	key, err := blobstore.ParseKey(name)
	if err == nil {
		info.Key = key
	} else if key, ok := parsePartial(name); ok {
		info.Key, info.Partial, info.Ref = key, true, path.Join(in, name)
	} else {
		return info, false, nil
	}
	if folder(info.Key) != in {
		return info, false, nil
	}
	fi, err := dir.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return info, false, nil
	}
	if err != nil {
		return info, false, err
	}
	info.Size, info.ModifiedAt = fi.Size(), fi.ModTime()
	return info, fi.Mode().IsRegular(), nil
}

// readNames calls visit with each name in dir; it holds few of them at a time.
func readNames(ctx context.Context, dir *os.Root, visit func(name string) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		names, err := f.Readdirnames(1024)
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := visit(name); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
