package sqlstore

import (
	"context"
	"errors"
)

// readers are the connections that only read. Reads see what was committed when
// they began; they neither wait for the writer nor make it wait.
type readers struct {
	// quick are for lookups by id, some microseconds each.
	quick chan *conn
	// long is for reads that may take a while, one at a time: they never keep an
	// open waiting.
	long chan *conn
}

func newReaders(n int, open func() (*conn, error)) (*readers, error) {
	r := &readers{quick: make(chan *conn, n), long: make(chan *conn, 1)}
	for i := range n + 1 {
		c, err := open()
		if err != nil {
			return nil, errors.Join(err, drain(r.quick, len(r.quick)), drain(r.long, len(r.long)))
		}
		if i < n {
			r.quick <- c
		} else {
			r.long <- c
		}
	}
	return r, nil
}

// with lends a connection of the pool to do. ErrClosed after close.
func with(ctx context.Context, pool chan *conn, do func(*conn) error) error {
	select {
	case c, open := <-pool:
		if !open {
			return ErrClosed
		}
		defer func() { pool <- c }()
		return do(c)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close waits for the reads under way.
func (r *readers) close() error {
	return errors.Join(drain(r.quick, cap(r.quick)), drain(r.long, cap(r.long)))
}

// drain closes n connections and then the pool: all are back, so none is missed.
func drain(pool chan *conn, n int) error {
	var errs []error
	for range n {
		errs = append(errs, (<-pool).close())
	}
	close(pool)
	return errors.Join(errs...)
}
