package bucket

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

const (
	// requestTimeout bounds a request without a large body, retries included. MinIO
	// answers a DELETE only after every GET of the object has ended: then the purge
	// comes again later.
	requestTimeout = time.Minute
	// completeTimeout is for requests in which the server moves bytes.
	completeTimeout = 10 * time.Minute
	// stallTimeout ends a read that brings nothing for so long, and the connection
	// with it, that else would keep a deletion waiting.
	stallTimeout = time.Minute
)

// errStalled is how a read ends of which nothing came.
var errStalled = errors.New("the blob store has sent nothing for a minute")

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
