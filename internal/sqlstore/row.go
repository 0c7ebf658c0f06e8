package sqlstore

import (
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/checksum"
	"mayfly/tickets"
)

// row reads the columns of one row of a result from left to right. A column that
// is not of the type that is asked for makes err, and the rest reads as zero.
type row struct {
	values []driver.Value
	next   int
	err    error
}

func (r *row) value() any {
	if r.next == len(r.values) {
		r.err = fmt.Errorf("the result has only %d columns", len(r.values))
		return nil
	}
	r.next++
	return r.values[r.next-1]
}

func (r *row) fail(v any, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("column %d of the result is %T, not %s", r.next, v, want)
	}
}

// int is an integer; NULL is 0.
func (r *row) int() int64 {
	switch v := r.value().(type) {
	case int64:
		return v
	case nil:
	default:
		r.fail(v, "an integer")
	}
	return 0
}

func (r *row) bool() bool { return r.int() != 0 }

// text is a text; NULL is empty.
func (r *row) text() string {
	switch v := r.value().(type) {
	case string:
		return v
	case nil:
	default:
		r.fail(v, "a text")
	}
	return ""
}

// blob is valid as long as the row; NULL is nil.
func (r *row) blob() []byte {
	switch v := r.value().(type) {
	case []byte:
		return v
	case nil:
	default:
		r.fail(v, "bytes")
	}
	return nil
}

func (r *row) key() blobstore.Key { return blobstore.Key(r.text()) }

// time is an instant in UTC; NULL is the zero Time.
func (r *row) time() time.Time {
	switch v := r.value().(type) {
	case int64:
		return time.UnixMicro(v).UTC()
	case nil:
	default:
		r.fail(v, "a time")
	}
	return time.Time{}
}

func (r *row) duration() time.Duration { return time.Duration(r.int()) * time.Microsecond }

func (r *row) id() (id uuid.UUID) {
	r.bytes(id[:])
	return id
}

// hash is the zero Hash where the column is NULL.
func (r *row) hash() (h tickets.Hash) {
	r.bytes(h[:])
	return h
}

// digest is nil where the column is NULL.
func (r *row) digest() *blobstore.Digest {
	var d blobstore.Digest
	if !r.bytes(d[:]) {
		return nil
	}
	return &d
}

// checksum is none where the column is NULL.
func (r *row) checksum() checksum.Sum {
	var raw [checksum.Size]byte
	if !r.bytes(raw[:]) {
		return checksum.Sum{}
	}
	sum, err := checksum.Parse(raw[:])
	if err != nil && r.err == nil {
		r.err = err
	}
	return sum
}

// bytes fills dst and reports whether the column has a value.
func (r *row) bytes(dst []byte) bool {
	v := r.value()
	if id, ok := v.([16]byte); ok { // PostgreSQL has a type for ids
		v = id[:]
	}
	switch v := v.(type) {
	case []byte:
		if copy(dst, v) == len(dst) && len(v) == len(dst) {
			return true
		}
		r.fail(v, fmt.Sprintf("%d bytes", len(dst)))
	case nil:
	default:
		r.fail(v, fmt.Sprintf("%d bytes", len(dst)))
	}
	return false
}

// micros is how an instant is stored: Unix microseconds.
func micros(t time.Time) int64 { return t.UnixMicro() }

func duration(d time.Duration) int64 { return d.Microseconds() }

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// digestOrNull and hashOrNull store what is not there as NULL.
func digestOrNull(d *blobstore.Digest) any {
	if d == nil {
		return nil
	}
	return d[:]
}

func checksumOrNull(s checksum.Sum) any {
	if s.IsZero() {
		return nil
	}
	return s.Reveal()
}

func bytesOrNull(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

func textOrNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func keyOrNull(k blobstore.Key) any {
	if k == "" {
		return nil
	}
	return string(k)
}

func microsOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return micros(t)
}

func hashOrNull(h tickets.Hash) any {
	if h == (tickets.Hash{}) {
		return nil
	}
	return h[:]
}
