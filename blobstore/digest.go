package blobstore

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// ErrDigest is returned when a body does not have the announced SHA-256.
var ErrDigest = errors.New("body does not have the announced SHA-256")

// Digest is a SHA-256. Its text form is 64 lower-case hex digits.
type Digest [sha256.Size]byte

// ParseDigest reads 64 lower-case hex digits.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	return d, d.UnmarshalText([]byte(s))
}

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error {
	var parsed Digest
	if len(text) != hex.EncodedLen(len(parsed)) {
		return fmt.Errorf("a SHA-256 has 64 hex digits, not %d", len(text))
	}
	for _, c := range text {
		if c >= 'A' && c <= 'F' {
			return errors.New("a SHA-256 is written in lower-case hex digits")
		}
	}
	if _, err := hex.Decode(parsed[:], text); err != nil {
		return errors.New("a SHA-256 is written in lower-case hex digits")
	}
	*d = parsed
	return nil
}

// DigestReader passes a body on while it counts and hashes it, and ends it with
// an error in place of io.EOF when the body is not what was announced: so a
// Store's Put fails, and leaves nothing, before a wrong body could be durable.
// It also remembers a failure of the body itself, to tell a broken client from
// a broken store. Not safe for concurrent use.
type DigestReader struct {
	r    io.Reader
	size int64
	want *Digest
	n    int64
	h    hash.Hash
	sum  *Digest
	err  error
}

// NewDigestReader reads r, which must hold exactly size bytes and, if want is
// not nil, have that SHA-256.
func NewDigestReader(r io.Reader, size int64, want *Digest) *DigestReader {
	return &DigestReader{r: r, size: size, want: want, h: sha256.New()}
}

func (d *DigestReader) Read(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	n, err := d.r.Read(p)
	if over := d.n + int64(n) - d.size; over > 0 {
		// The surplus is not passed on: who sends too much gets nothing stored.
		n -= int(min(over, int64(n))) // a size below zero is one that no body has
		err = fmt.Errorf("%w: more than %d bytes", ErrSize, d.size)
	}
	d.n += int64(n)
	d.h.Write(p[:n])
	if err == io.EOF {
		err = d.finish()
	}
	d.err = err
	return n, err
}

// finish decides how the body ends: io.EOF if it is what was announced.
func (d *DigestReader) finish() error {
	if d.n != d.size {
		return fmt.Errorf("%w: %d bytes, not %d", ErrSize, d.n, d.size)
	}
	var sum Digest
	d.h.Sum(sum[:0])
	d.sum = &sum
	if d.want != nil && subtle.ConstantTimeCompare(sum[:], d.want[:]) != 1 {
		return fmt.Errorf("%w: %s, not %s", ErrDigest, sum, *d.want)
	}
	return io.EOF
}

// BodyErr is the error with which the body ended, nil if it ended well or has
// not ended: a failure of Put without a BodyErr is the store's.
func (d *DigestReader) BodyErr() error {
	if d.err == io.EOF {
		return nil
	}
	return d.err
}

// Sum is the SHA-256 of the whole body. ok is false before its end was read, so
// that a Store that stops after size bytes without looking for the end can
// never have its blob taken for verified.
func (d *DigestReader) Sum() (sum Digest, ok bool) {
	if d.sum == nil {
		return Digest{}, false
	}
	return *d.sum, d.err == io.EOF
}
