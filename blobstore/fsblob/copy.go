package fsblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"mayfly/blobstore"
)

// copyChunk is how much is copied before the context is asked again.
const copyChunk = 64 << 20

// Copy implements blobstore.Store. The bytes stay in the kernel, and on file
// systems that share extents (XFS, btrfs) they are not copied at all.
// Not a hard link: the copy has its own time, and its own life.
func (s *Store) Copy(ctx context.Context, dst, src blobstore.Key) error {
	if err := s.copy(ctx, dst, s, src); err != nil {
		return fmt.Errorf("copy blob %s to %s: %w", src, dst, err)
	}
	return nil
}

// Import implements blobstore.Importer: of another folder, on whichever file system. The
// bytes stay in the kernel; on one file system that shares extents they are not copied.
func (s *Store) Import(ctx context.Context, dst blobstore.Key, from blobstore.Store, src blobstore.Key) error {
	other, ok := from.(*Store)
	if !ok {
		return fmt.Errorf("import blob %s as %s: %w", src, dst, errors.ErrUnsupported)
	}
	err := s.copy(ctx, dst, other, src)
	if errors.Is(err, errors.ErrUnsupported) {
		// What a file system cannot do (EOPNOTSUPP) must not say that nothing was done.
		err = errors.New(err.Error())
	}
	if err != nil {
		return fmt.Errorf("import blob %s as %s: %w", src, dst, err)
	}
	return nil
}

func (s *Store) copy(ctx context.Context, dst blobstore.Key, in *Store, src blobstore.Key) error {
	from, info, err := in.open(ctx, src)
	if err != nil {
		return err
	}
	defer from.Close()
	return s.create(ctx, dst, info.Size, func(to *os.File) error {
		return s.copyFile(ctx, to, from, info.Size)
	})
}

// copyFile hands *os.File to *os.File, for only so io.CopyN uses copy_file_range.
func (s *Store) copyFile(ctx context.Context, to, from *os.File, size int64) error {
	for left := size; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.step(stepWrite); err != nil {
			return err
		}
		n, err := io.CopyN(to, from, min(left, copyChunk))
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}
