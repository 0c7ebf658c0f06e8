package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"filippo.io/age"

	"mayfly/blobstore"
)

// media is what is sent: a plaintext as an age file for one fresh key.
type media struct {
	name string // of the file, empty for a stream
	key  *age.X25519Identity
	size int64 // of the age file, in bytes
	// sum is known beforehand only if the age file is spooled: age is randomised.
	sum *blobstore.Digest
	// open gives the age file from its beginning.
	open  func() (io.ReadCloser, error)
	close func()
}

// sealFile encrypts a file each time that it is read. Nothing unencrypted touches
// a disk again. What is no regular file is read once, like standard input.
func sealFile(ctx context.Context, path string) (*media, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		f.Close()
		return nil, err
	case info.IsDir():
		f.Close()
		return nil, usageError{fmt.Errorf("%s is a folder: pack it first, then send the archive", path)}
	case !info.Mode().IsRegular():
		defer f.Close()
		return sealStream(ctx, f)
	}
	m := &media{name: filepath.Base(path), close: func() { f.Close() }}
	if m.key, err = age.GenerateX25519Identity(); err == nil {
		m.size, err = sealedSize(m.key.Recipient(), info.Size())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	m.open = func() (io.ReadCloser, error) {
		// To the file's end, not to the size that it had: one that grows must not be
		// sent as if it were whole.
		r, err := age.EncryptReader(io.NewSectionReader(f, 0, math.MaxInt64), m.key.Recipient())
		if err != nil {
			return nil, err
		}
		return io.NopCloser(r), nil
	}
	return m, nil
}

// sealStream encrypts what has no known length into a temporary file that has no
// name any more, so that its size can be announced. Only the ciphertext is written.
func sealStream(ctx context.Context, r io.Reader) (_ *media, err error) {
	f, err := os.CreateTemp("", "mayfly-*.age") // mode 0600
	if err != nil {
		return nil, err
	}
	// Without a name nothing remains, however this ends; Windows removes it later.
	removed := os.Remove(f.Name()) == nil
	m := &media{close: func() {
		f.Close()
		if !removed {
			os.Remove(f.Name())
		}
	}}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if m.key, err = age.GenerateX25519Identity(); err != nil {
		return nil, err
	}
	hash := sha256.New()
	w, err := age.Encrypt(io.MultiWriter(f, hash), m.key.Recipient())
	if err != nil {
		return nil, err
	}
	in := interruptible(ctx, r)
	defer in.Close()
	if _, err := io.Copy(w, in); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	m.sum = new(blobstore.Digest(hash.Sum(nil)))
	if m.size, err = f.Seek(0, io.SeekCurrent); err != nil {
		return nil, err
	}
	m.open = func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(f, 0, m.size)), nil }
	return m, nil
}

// age's STREAM (age-encryption.org/v1): behind header and nonce the plaintext in
// chunks, each with a tag. An empty plaintext is one empty chunk.
const (
	ageChunk = 64 << 10
	ageTag   = 16
)

// sealedSize is how long the age file of size bytes for this recipient is. What
// depends on the recipient is measured by encrypting nothing.
func sealedSize(to age.Recipient, size int64) (int64, error) {
	var empty counter
	w, err := age.Encrypt(&empty, to)
	if err != nil {
		return 0, err
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	chunks := max(1, (size+ageChunk-1)/ageChunk)
	return int64(empty) - ageTag + size + chunks*ageTag, nil
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// interruptible reads r until ctx ends, even while a Read of r blocks, as one of
// a terminal does.
func interruptible(ctx context.Context, r io.Reader) io.ReadCloser {
	pr, pw := io.Pipe()
	stop := context.AfterFunc(ctx, func() { pw.CloseWithError(context.Cause(ctx)) })
	go func() {
		_, err := io.Copy(pw, r)
		stop()
		pw.CloseWithError(err)
	}()
	return pr
}
