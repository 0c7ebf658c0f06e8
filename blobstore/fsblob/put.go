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

// bufferSize bounds the memory of a Put. It is small enough to stay in the
// processor's cache: larger ones were no faster for 1 GiB, and slower for 64 KiB.
const bufferSize = 64 << 10

// writebackEvery is how much of an upload is left to gather in memory. 1 and
// 16 MiB were not better.
const writebackEvery = 4 << 20

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Put implements blobstore.Store. A cancelled ctx is seen between two reads of
// r: who wants an end sooner must make r end.
func (s *Store) Put(ctx context.Context, key blobstore.Key, r io.Reader, size int64) error {
	err := s.create(ctx, key, size, func(f *os.File) error { return s.fill(ctx, f, r, size) })
	if err != nil {
		return fmt.Errorf("put blob %s: %w", key, err)
	}
	return nil
}

// create makes the blob of key, of size bytes, from what write writes. P1: both
// the bytes and the name are durable before the caller hears of it.
//
// An upload that is alone syncs the file, gives it its name and syncs the folder.
// Where several wait for the disk, one sync of everything does for all of them,
// names and bytes alike (see sharedSync).
func (s *Store) create(ctx context.Context, key blobstore.Key, size int64, write func(*os.File) error) error {
	if _, err := blobstore.ParseKey(string(key)); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	dir, err := s.openFolder(key)
	if err != nil {
		return noSpace(err)
	}
	upload := s.shared.enter(size)
	defer upload.leave()

	part, together := partialName(key), false
	err = s.writeFile(dir, part, write, func(f *os.File) error {
		if together = upload.shares(); together {
			return nil
		}
		return s.sync(f)
	})
	if err != nil {
		return noSpace(err)
	}
	if err := ctx.Err(); err != nil {
		return errors.Join(err, s.unlink(dir, part))
	}
	// A link, not a rename: it never replaces a blob, whoever else is writing
	// the same key in whatever process.
	if err := s.link(dir, part, string(key)); err != nil {
		return errors.Join(noSpace(err), s.unlink(dir, part))
	}
	// From here on the blob exists: no error may be ErrNoSpace or another one
	// that promises that nothing was left.
	if err := s.unlink(dir, part); err != nil {
		return err
	}
	if together {
		return upload.wait()
	}
	return errors.Join(s.syncDir(dir), upload.sound())
}

// writeFile makes a new file from what write writes and sync syncs; or none.
func (s *Store) writeFile(dir *os.Root, name string, write, sync func(*os.File) error) error {
	if err := s.step(stepCreate); err != nil {
		return err
	}
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		// Not to be tried again: Linux forgets the pages it could not write, and
		// a second fsync would say that all is well.
		err = sync(f)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr // here NFS tells of a full disk
	}
	if err != nil {
		return errors.Join(err, s.unlink(dir, name))
	}
	return nil
}

// fill writes r to f, which must hold exactly size bytes. It reads r to its
// end: only there does a DigestReader say whether the body is the right one.
func (s *Store) fill(ctx context.Context, f *os.File, r io.Reader, size int64) error {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)

	var written, flushed int64
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, readErr := readFull(r, buf[:])
		if written+int64(n) > size {
			return fmt.Errorf("%w: more than %d bytes", blobstore.ErrSize, size)
		}
		if n > 0 {
			if err := s.write(f, buf[:n]); err != nil {
				return err
			}
		}
		written += int64(n)
		if written-flushed >= writebackEvery {
			startWriteback(f, flushed, written-flushed)
			flushed = written
		}
		if readErr == io.EOF {
			break
		}
		if readErr != nil {
			return fmt.Errorf("read the body: %w", readErr)
		}
	}
	if written != size {
		return fmt.Errorf("%w: %d bytes, not %d", blobstore.ErrSize, written, size)
	}
	return nil
}

// readFull is io.ReadFull without its io.ErrUnexpectedEOF, which could not be
// told from the one that net/http gives when a client goes away.
func readFull(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

func (s *Store) write(f *os.File, p []byte) error {
	if err := s.step(stepWrite); err != nil {
		return err
	}
	_, err := f.Write(p)
	return err
}

func (s *Store) sync(f *os.File) error {
	if err := s.step(stepSync); err != nil {
		return err
	}
	return f.Sync()
}

func (s *Store) link(dir *os.Root, from, to string) error {
	if err := s.step(stepLink); err != nil {
		return err
	}
	err := dir.Link(from, to)
	if errors.Is(err, fs.ErrExist) {
		return blobstore.ErrExists
	}
	return err
}

// unlink removes a name, or finds that it is gone already.
func (s *Store) unlink(dir *os.Root, name string) error {
	_, err := s.unlinkCounted(dir, name)
	return err
}

// unlinkCounted is unlink, and says how many names it removed: 1, or 0. Of two at the same
// time only one removes it.
func (s *Store) unlinkCounted(dir *os.Root, name string) (int64, error) {
	if err := s.step(stepUnlink); err != nil {
		return 0, err
	}
	switch err := dir.Remove(name); {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return 1, nil
}

// noSpace adds blobstore.ErrNoSpace to the errors that mean it.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", blobstore.ErrNoSpace, err)
	}
	return err
}
