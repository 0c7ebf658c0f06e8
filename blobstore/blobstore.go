package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

var (
	// ErrNotFound is returned when no blob has the key.
	ErrNotFound = errors.New("blob not found")
	// ErrExists is returned when a blob already has the key.
	ErrExists = errors.New("blob exists")
	// ErrSize is returned when a body is shorter or longer than was announced.
	ErrSize = errors.New("body is not of the announced size")
	// ErrNoSpace is returned when the store is full. It mends itself when room
	// is made; nothing that was stored before is touched by it.
	ErrNoSpace = errors.New("no space left in the blob store")
	// ErrKey is returned for a key that ParseKey would refuse.
	ErrKey = errors.New("malformed blob key")
)

// Store keeps blobs. All methods may be called at the same time by many callers.
type Store interface {
	// Put stores exactly size bytes of r under key. On nil the blob is complete,
	// visible and durable. ErrExists (the old blob is untouched), ErrSize (r short
	// or long), ErrNoSpace, an error of r (wrapped) and a context cancelled before
	// the last byte leave nothing. After any other error the blob may exist (a lost
	// reply): the caller treats the key as burnt, never puts it again, and leaves
	// the deletion to the purge. A cancel is seen between reads of r: who wants an
	// end sooner must end r.
	Put(ctx context.Context, key Key, r io.Reader, size int64) error

	// Open reads from offset to the end. ErrNotFound if there is no such blob. An
	// offset equal to the size reads nothing; one outside of 0..size is an error.
	// ctx covers the whole read, not only the opening, but where the bytes are a local
	// file: then the reader is an *os.File, so that net/http can hand it to sendfile,
	// and only closing it ends the read.
	Open(ctx context.Context, key Key, offset int64) (io.ReadCloser, Info, error)

	// Copy makes dst of src within this store, durable on nil. An existing dst is
	// ErrExists, a missing src is ErrNotFound.
	Copy(ctx context.Context, dst, src Key) error

	// Delete is idempotent and durable: on nil no version of any key can come back,
	// not even after a crash. It goes on after a failing key and joins the errors,
	// each a *KeyError that names its key; a key that none names is gone. An unfinished upload of a key is not its
	// concern: All yields those, and Discard removes them.
	Delete(ctx context.Context, keys ...Key) error

	// All yields every blob that was put before the call and not deleted since, in
	// no particular order, and unfinished uploads (Info.Partial). What is put or
	// deleted meanwhile may or may not be among them. After an error it stops.
	All(ctx context.Context) iter.Seq2[Info, error]

	// Discard removes an unfinished upload that All yielded with Info.Partial.
	// Idempotent and durable like Delete; it never touches a complete blob.
	Discard(ctx context.Context, partial Info) error

	// Check proves against the live store that the promises can be kept, or says
	// in one sentence what is wrong and how to mend it. It leaves nothing behind.
	Check(ctx context.Context) error
}

// Unfinisher is a Store that may not list every unfinished upload, as MinIO does not
// after a restart, but knows those of one key. A purge asks it.
type Unfinisher interface {
	// Unfinished yields the unfinished uploads of key, for Discard.
	Unfinished(ctx context.Context, key Key) iter.Seq2[Info, error]
}

// Info describes a blob, or an unfinished upload, as the store sees it.
type Info struct {
	// Key is empty for an unfinished upload whose key the store cannot tell.
	Key Key
	// Size in bytes; of an unfinished upload what has arrived so far, if known.
	Size int64
	// ModifiedAt is when the bytes were last written, by the store's clock.
	ModifiedAt time.Time
	// Partial marks an upload that was begun and neither finished nor removed.
	Partial bool
	// Ref is the store's own name for an unfinished upload (a path, an upload id).
	Ref string
}

// Key names a blob in a Store: 4 to 128 characters of [0-9a-z-], not beginning
// with a dash. It is safe as a file name and in a URL path, also where case is
// folded. Whoever makes keys lets the last two characters take all values alike
// in time: stores may spread blobs by them.
type Key string

// ParseKey checks that s is a key.
func ParseKey(s string) (Key, error) {
	if len(s) < 4 || len(s) > 128 || s[0] == '-' {
		return "", fmt.Errorf("%w: %q", ErrKey, clip(s))
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && c != '-' {
			return "", fmt.Errorf("%w: %q", ErrKey, clip(s))
		}
	}
	return Key(s), nil
}

func clip(s string) string {
	if len(s) > 140 {
		return s[:140] + "…"
	}
	return s
}

// KeyError says which key of a call on several failed.
type KeyError struct {
	Key Key
	Err error
}

func (e *KeyError) Error() string { return fmt.Sprintf("blob %s: %v", e.Key, e.Err) }
func (e *KeyError) Unwrap() error { return e.Err }
