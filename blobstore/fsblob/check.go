package fsblob

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"mayfly/blobstore"
)

// Check implements blobstore.Store with a blob of its own, which it puts, reads,
// finds, and deletes. A crash can leave that blob; a sweep finds it ownerless.
func (s *Store) Check(ctx context.Context) error {
	var random [16]byte
	rand.Read(random[:])
	key := blobstore.Key("check-" + hex.EncodeToString(random[:]))
	err := s.check(ctx, key)
	if err != nil {
		// Also when ctx is cancelled: nothing may stay behind. Its own error would
		// say the same again.
		_ = s.Delete(context.WithoutCancel(ctx), key)
		return fmt.Errorf("check blob folder: %w", mend(s.dir, err))
	}
	return nil
}

func (s *Store) check(ctx context.Context, key blobstore.Key) error {
	body := []byte(rand.Text())
	if err := s.Put(ctx, key, bytes.NewReader(body), int64(len(body))); err != nil {
		return err
	}
	switch err := s.Put(ctx, key, bytes.NewReader(body), int64(len(body))); {
	case err == nil:
		return errors.New("a second blob of one key replaces the first")
	case !errors.Is(err, blobstore.ErrExists):
		return err
	}
	if err := s.checkRead(ctx, key, body); err != nil {
		return err
	}
	if err := s.checkListed(ctx, key); err != nil {
		return err
	}
	if err := s.Delete(ctx, key); err != nil {
		return err
	}
	if _, _, err := s.open(ctx, key); !errors.Is(err, blobstore.ErrNotFound) {
		return fmt.Errorf("a deleted blob is still there (%v)", err)
	}
	return nil
}

func (s *Store) checkRead(ctx context.Context, key blobstore.Key, body []byte) error {
	f, _, err := s.Open(ctx, key, 1)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, body[1:]) {
		return errors.New("a blob does not read as it was written")
	}
	return nil
}

// checkListed looks in one folder only: All could take minutes.
func (s *Store) checkListed(ctx context.Context, key blobstore.Key) error {
	found := false
	err := s.listFolder(ctx, folder(key), func(info blobstore.Info, _ error) bool {
		found = info.Key == key && !info.Partial
		return !found
	})
	if err != nil && err != fs.SkipAll {
		return err
	}
	if !found {
		return errors.New("a blob that was written is not listed")
	}
	return nil
}

// mend puts before err, if it is one that an operator can mend, how.
func mend(dir string, err error) error {
	var how string
	var linkErr *os.LinkError
	var pathErr *fs.PathError
	switch {
	case errors.Is(err, blobstore.ErrNoSpace) || errors.Is(noSpace(err), blobstore.ErrNoSpace):
		how = "the file system or the quota is full: make room, or choose another folder"
	case errors.Is(err, syscall.EROFS):
		how = "the file system is mounted read-only: mount it read-write"
	case errors.As(err, &linkErr) && (errors.Is(err, syscall.EPERM) || errors.Is(err, errors.ErrUnsupported)):
		how = "hard links do not work here: choose a folder on a file system that has them, such as ext4 or XFS"
	case errors.As(err, &pathErr) && pathErr.Op == "sync" && (errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)):
		how = "fsync does not work here, so no upload would survive a crash: choose a folder on a local file system, such as ext4 or XFS"
	case errors.Is(err, fs.ErrPermission):
		how = fmt.Sprintf("this process, user id %d, may not write there: give the folder to that user with chown", os.Getuid())
	case errors.Is(err, syscall.ENOTDIR):
		how = "it is not a folder: choose another, or move what is in its place"
	default:
		return fmt.Errorf("%s: %w", dir, err)
	}
	return fmt.Errorf("%s: %s (%w)", dir, how, err)
}
