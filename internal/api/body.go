package api

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// body is a request's body under rolling deadlines: a client that stalls ends with
// os.ErrDeadlineExceeded.
type body struct {
	source  io.ReadCloser
	control *http.ResponseController
	limits  *Limits

	// read counts the bytes; left are those that were announced and not read, or
	// chunk if the length is unknown.
	read, left int64
	// window counts what may still be read under the deadline that is set.
	window int64
	end    time.Time

	mu sync.Mutex
	// closed: the body was cut; done: it is over, or the request is.
	closed, done bool
}

// receive puts the body's deadlines before it.
func (e *endpoints) receive(c *call, r *http.Request) {
	c.body = &body{
		source: r.Body, control: c.control, limits: &e.limits,
		left: r.ContentLength, end: c.started.Add(e.limits.MaxTransfer),
	}
	r.Body = c.body
}

func (b *body) Read(p []byte) (int, error) {
	if b.window <= 0 {
		b.window = chunk
		b.extend(b.limits.deadline(time.Now(), b.end, b.unread()))
	}
	n, err := b.source.Read(p)
	b.read += int64(n)
	b.window -= int64(n)
	if b.left > 0 {
		b.left -= int64(n)
	}
	if err == io.EOF {
		// Left as it is the deadline could hit net/http's own look for the end of the
		// connection, and cancel a request that the store is still at work for. The
		// net/http of today clears it there by itself, which it does not promise.
		b.extend(time.Time{})
		b.release()
	}
	return n, err
}

func (b *body) unread() int64 {
	if b.left < 0 {
		return chunk
	}
	return b.left
}

// extend sets the deadline, unless the body was cut.
func (b *body) extend(deadline time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed && !b.done {
		_ = b.control.SetReadDeadline(deadline)
	}
}

// Close cuts the body: a Read that waits for the client ends, and so does every
// later one. It may be called while Read runs, which is what it is for: a blob that
// is unsent while its bytes arrive.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed && !b.done {
		b.closed = true
		_ = b.control.SetReadDeadline(past)
	}
	return nil
}

// release lets go of the connection: a Close that comes later must not touch what
// another request has by then.
func (b *body) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
}
