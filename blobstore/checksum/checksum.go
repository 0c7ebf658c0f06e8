package checksum

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"log/slog"

	"github.com/minio/highwayhash"
)

const (
	keySize = highwayhash.Size
	// Size of a Sum in bytes: the key, and what HighwayHash-128 makes of the bytes under it.
	Size = keySize + highwayhash.Size128
)

// Sum is the checksum of a blob's bytes, together with its key. It prints, logs and
// marshals as that it is there; only Reveal gives it away. The zero Sum is none.
type Sum struct {
	secret *hidden
	_      [0]func() // == would compare pointers: Equal compares sums
}

// hidden keeps a Sum out of what is printed, as that of package tickets keeps tokens out:
// behind two pointers, for fields of which package fmt asks no method.
type hidden struct{ bytes *[Size]byte }

var errSize = fmt.Errorf("a checksum with its key has %d bytes", Size)

// Parse reads what Reveal has told. The error never quotes the input.
func Parse(raw []byte) (Sum, error) {
	if len(raw) != Size {
		return Sum{}, errSize
	}
	return Sum{secret: &hidden{new([Size]byte(raw))}}, nil
}

// Reveal is key and checksum, for the row that keeps them; nil of the zero Sum.
func (s Sum) Reveal() []byte {
	if s.IsZero() {
		return nil
	}
	return bytes.Clone(s.secret.bytes[:])
}

// IsZero reports whether there is no checksum.
func (s Sum) IsZero() bool { return s.secret == nil }

// Equal reports whether both have the same key and checksum, in constant time.
func (s Sum) Equal(other Sum) bool {
	return subtle.ConstantTimeCompare(s.Reveal(), other.Reveal()) == 1
}

// Hash makes the Sum of what is written to it. Not safe for concurrent use.
type Hash struct {
	digest *highwayhash.Digest
	key    *[keySize]byte
}

// New makes a Hash with a fresh key.
func New() *Hash {
	var key [keySize]byte
	rand.Read(key[:]) // never fails: crypto/rand ends the program instead
	return under(&key)
}

// Again is a Hash with the key of s: what is written to it has the sum s if it is what s
// was made of. s must not be zero.
func (s Sum) Again() *Hash {
	key := [keySize]byte(s.secret.bytes[:keySize])
	return under(&key)
}

func under(key *[keySize]byte) *Hash {
	d, err := highwayhash.NewDigest128(key[:])
	if err != nil {
		panic(err) // the key has another size: not by its type
	}
	return &Hash{d, key}
}

// Write never fails.
func (h *Hash) Write(p []byte) (int, error) { return h.digest.Write(p) }

// Checksum is of all that was written so far.
func (h *Hash) Checksum() Sum {
	raw := h.digest.Sum(append(make([]byte, 0, Size), h.key[:]...))
	return Sum{secret: &hidden{new([Size]byte(raw))}}
}

const redacted = "checksum [redacted]"

func (s Sum) redacted() string {
	if s.IsZero() {
		return "no checksum"
	}
	return redacted
}

// String is the redacted form.
func (s Sum) String() string { return s.redacted() }

// GoString is the redacted form, for %#v.
func (s Sum) GoString() string { return s.redacted() }

// Format prints the redacted form for every verb.
func (s Sum) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.redacted()) }

// LogValue is the redacted form.
func (s Sum) LogValue() slog.Value { return slog.StringValue(s.redacted()) }

// MarshalText is the redacted form.
func (s Sum) MarshalText() ([]byte, error) { return []byte(s.redacted()), nil }

// Format prints no key, whatever the verb.
func (h *Hash) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue prints no key.
func (h *Hash) LogValue() slog.Value { return slog.StringValue(redacted) }
