package bucket

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// Limits are how long a server may keep us waiting, and with how much. The zero value of each has the
// default.
type Limits struct {
	// Request bounds a request without a large body, retries included; a minute if 0.
	// MinIO answers a DELETE only after every GET of the object has ended: then the
	// purge comes again later.
	Request time.Duration
	// Transfer bounds a request that sends a part, or in which the server moves bytes;
	// ten minutes if 0.
	Transfer time.Duration
	// Stall ends a read that brings nothing for so long, and the connection with it,
	// which else would keep a deletion waiting; a minute if 0.
	Stall time.Duration
	// Copy is how many bytes the server copies in one request; MaxCopy if 0. Larger
	// blobs are copied in parts.
	Copy int64
}

func (l Limits) request(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, cmp.Or(l.Request, time.Minute))
}

func (l Limits) transfer(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, cmp.Or(l.Transfer, 10*time.Minute))
}

func (l Limits) stall() time.Duration { return cmp.Or(l.Stall, time.Minute) }

// errStalled is how a read ends of which nothing came.
var errStalled = errors.New("the blob store has sent nothing for too long")

// stalling is a body whose connection is cut when it brings nothing, or when it is
// closed: what is left of it is not waited for.
type stalling struct {
	body    io.ReadCloser
	ctx     context.Context
	cut     context.CancelCauseFunc
	limit   time.Duration
	timer   *time.Timer
	closing sync.Once
}

// newStalling wraps body, which was asked for with ctx, that cut ends.
func newStalling(ctx context.Context, cut context.CancelCauseFunc, body io.ReadCloser, limit time.Duration) *stalling {
	s := &stalling{body: body, ctx: ctx, cut: cut, limit: limit}
	s.timer = time.AfterFunc(limit, func() { cut(errStalled) })
	s.timer.Stop()
	return s
}

// Read reads. Only the time that it waits for the store counts, not the time that its
// own client takes between two reads.
func (s *stalling) Read(p []byte) (int, error) {
	s.timer.Reset(s.limit)
	n, err := s.body.Read(p)
	s.timer.Stop()
	if err != nil && err != io.EOF {
		if cause := context.Cause(s.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

func (s *stalling) Close() (err error) {
	s.closing.Do(func() {
		s.timer.Stop()
		s.cut(context.Canceled)
		err = s.body.Close()
	})
	return err
}
