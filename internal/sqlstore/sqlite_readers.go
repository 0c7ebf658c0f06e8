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
	// long are for reads that may take a while: they never keep an open waiting.
	long chan *conn
}

func newReaders(quick, long int, open func() (*conn, error)) (*readers, error) {
	r := &readers{quick: make(chan *conn, quick), long: make(chan *conn, long)}
	for _, pool := range []chan *conn{r.quick, r.long} {
		for range cap(pool) {
			c, err := open()
			if err != nil {
				return nil, errors.Join(err, drain(r.quick, len(r.quick)), drain(r.long, len(r.long)))
			}
			pool <- c
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
