package api

import (
	"context"
	"io"
	"net/http"
	"syscall"
	"time"

	"mayfly/internal/keys"
	"mayfly/tickets"
)

// call is one request on its way through the layers: what they tell each other,
// and the ResponseWriter that sees what is answered.
//
// It is a small one of our own because of what it must not hide: ReadFrom, which
// leads to sendfile, and by Unwrap the deadlines.
type call struct {
	http.ResponseWriter // net/http's own
	control             *http.ResponseController

	// in is the request as it came in.
	in      *http.Request
	started time.Time
	id      string
	op      *operation

	// address is what limits count by. Never logged.
	address string
	// token is of a kind that op takes; of an API key, tenant is whose it is, and role what
	// it may do.
	token  tickets.Token
	kind   tickets.Kind
	tenant string
	role   keys.Role

	// body is the request's, if the operation takes one. mediaType is mediaJSON or
	// mediaBytes.
	body      *body
	mediaType string

	// status is 0 until the answer begins; written counts the bytes of its body.
	status  int
	written int64
	// code is the outcome, for the log: a problem's code, or what became of a
	// transfer. err is the reason, for the log only.
	code string
	err  error
	// rolling says that a transfer sets the deadlines for writing itself.
	rolling bool
	// fast says that the last chunk that was copied was not held up.
	fast bool
}

type callKey struct{}

// callOf is the call that a request belongs to. observe has put it there.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// answerTimeout is how long a client may take to accept an answer that is not a
// blob. It would be enough for the largest over a slow line.
const answerTimeout = time.Minute

// WriteHeader begins the answer.
func (c *call) WriteHeader(status int) {
	if status >= 100 && status < 200 {
		c.ResponseWriter.WriteHeader(status)
		return
	}
	if c.status != 0 {
		return // what began stays: package http would complain and do the same
	}
	c.status = status
	if !c.rolling {
		// Otherwise a client that asks and never reads would hold us for ever.
		_ = c.control.SetWriteDeadline(time.Now().Add(answerTimeout))
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *call) Write(p []byte) (int, error) {
	if c.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	n, err := c.ResponseWriter.Write(p)
	c.written += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (c *call) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// ReadFrom writes what r has. A file goes to net/http's own ReadFrom, and so to
// sendfile; all else is copied here, where a failure of r is told from one of the
// client (*readError), and with a pooled buffer, which net/http would allocate. r is a
// chunk, or less: how long it takes chooses the buffer of the next.
func (c *call) ReadFrom(r io.Reader) (int64, error) {
	if c.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	if inner, ok := c.ResponseWriter.(io.ReaderFrom); ok && isFile(r) {
		n, err := inner.ReadFrom(r)
		c.written += n
		return n, err
	}
	began := time.Now()
	n, err := c.copyFrom(r)
	c.fast = n >= chunk && time.Since(began) < fastChunk
	return n, err
}

// copyFrom writes what r has, through a buffer that suits the connection.
func (c *call) copyFrom(r io.Reader) (int64, error) {
	if c.fast {
		if buffer := larges.take(); buffer != nil {
			defer larges.free(buffer)
			return c.copyThrough(buffer[:], r)
		}
	}
	buffer := smalls.Get().(*[smallBuffer]byte)
	defer smalls.Put(buffer)
	return c.copyThrough(buffer[:], r)
}

func (c *call) copyThrough(buffer []byte, r io.Reader) (total int64, err error) {
	for {
		n, readErr := r.Read(buffer)
		if n > 0 {
			written, err := c.Write(buffer[:n])
			total += int64(written)
			if err != nil {
				return total, err
			}
		}
		switch {
		case readErr == io.EOF:
			return total, nil
		case readErr != nil:
			return total, &readError{readErr}
		}
	}
}

// isFile reports whether package net can use sendfile for r: it looks for the same.
func isFile(r io.Reader) bool {
	if limited, ok := r.(*io.LimitedReader); ok {
		r = limited.R
	}
	_, ok := r.(syscall.Conn)
	return ok
}

// readError is a failure of what was to be sent.
type readError struct{ err error }

func (e *readError) Error() string { return "reading the blob: " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }
