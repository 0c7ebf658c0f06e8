package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// writeTime is how long a transaction may take, and readTime a quick read: a
	// server that hangs is an answer, and not a caller that hangs.
	writeTime    = 30 * time.Second
	readTime     = 10 * time.Second
	longReadTime = 5 * time.Minute

	// conflictTries is how often a transaction is begun before its conflict with
	// others is an error.
	conflictTries = 20
)

// postgresDatabase is an open PostgreSQL database.
//
// A transaction is at READ COMMITTED, and first locks the row of the blob that it is
// about: then nobody else changes that blob, its tickets or its attempts, and what
// it reads afterwards holds until it ends. On engines that only know stricter levels
// the same statements hold all the more, and conflicts are tried again.
type postgresDatabase struct {
	server *postgresServer
	// reads and writes do not wait for each other. Both are bounded.
	reads, writes *pgxpool.Pool
	// slow is held by each long read: they never take all that reads.
	slow   chan struct{}
	notes  []string
	closed atomic.Bool

	lookups  *batcher[*lookup]
	spends   *batcher[*spending]
	acks     *batcher[*acknowledging]
	newBlobs *batcher[*adding]
	issues   *batcher[*issuing]
}

func (s *postgresDatabase) versions(ctx context.Context) (current, latest int64, err error) {
	return versions(ctx, s.server)
}

func (s *postgresDatabase) warnings() []string { return s.notes }

func (s *postgresDatabase) close() error {
	s.closed.Store(true)
	s.spends.close()
	s.acks.close()
	s.newBlobs.close()
	s.issues.close()
	s.lookups.close()
	s.writes.Close()
	s.reads.Close()
	return nil
}

// write implements database. A transaction that others' were in the way of is run
// again; one whose commit got no answer is not, for it may have happened.
func (s *postgresDatabase) write(ctx context.Context, _ int, do func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return ErrClosed
	}
	_, err := retry(ctx, func() (struct{}, error) { return struct{}{}, s.transaction(ctx, do) })
	return err
}

func (s *postgresDatabase) transaction(ctx context.Context, do func(*conn) error) error {
	c, err := s.writes.Acquire(ctx)
	if err != nil {
		return classifyPostgres(err)
	}
	defer c.Release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	tx, err := c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		if c.Conn().IsClosed() && ctx.Err() == nil && ofConnection(code(err)) {
			err = fmt.Errorf("%w: %w", errLost, err) // and with it nothing but BEGIN
		}
		return classifyPostgres(fmt.Errorf("begin: %w", err))
	}
	err = contain(do, &conn{session: &postgresSession{ctx, tx}, dialect: s.server.dialect})
	answer, isRefusal := refused(err)
	if err != nil && !isRefusal {
		// Whatever it says, the transaction is not committed: if it cannot be rolled
		// back, the connection is lost, and the server rolls back.
		_ = tx.Rollback(ctx)
		s.discardReadOnly(err)
		if c.Conn().IsClosed() && ctx.Err() == nil && ofConnection(code(err)) {
			err = fmt.Errorf("%w: %w", errLost, err)
		}
		return classifyPostgres(err)
	}
	// P2: durable before anybody is answered.
	if err := tx.Commit(ctx); err != nil {
		return classifyPostgres(fmt.Errorf("%w: %w", errCommit, err))
	}
	return answer
}

// read implements database: one statement, on its own.
func (s *postgresDatabase) read(ctx context.Context, do func(*conn) error) error {
	return s.reading(ctx, readTime, pgx.ReadCommitted, do)
}

// readLong implements database: all that do reads is of one moment.
func (s *postgresDatabase) readLong(ctx context.Context, do func(*conn) error) error {
	select {
	case s.slow <- struct{}{}:
		defer func() { <-s.slow }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.reading(ctx, longReadTime, pgx.RepeatableRead, do)
}

// reading runs do, which only reads, and again if the connection turns out to be
// lost: after a restart of the server every idle one is.
func (s *postgresDatabase) reading(ctx context.Context, limit time.Duration, level pgx.TxIsoLevel, do func(*conn) error) error {
	if s.closed.Load() {
		return ErrClosed
	}
	_, err := retry(ctx, func() (struct{}, error) {
		c, err := s.reads.Acquire(ctx)
		if err != nil {
			return struct{}{}, classifyPostgres(err)
		}
		defer c.Release()
		ctx := ctx
		if limit == readTime {
			ctx = context.WithoutCancel(ctx) // a read that is cut off costs the connection
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		if level == pgx.ReadCommitted {
			err = do(&conn{session: &postgresSession{ctx, c.Conn()}})
		} else {
			err = pgx.BeginTxFunc(ctx, c, pgx.TxOptions{IsoLevel: level, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
				return do(&conn{session: &postgresSession{ctx, tx}})
			})
		}
		if err != nil && c.Conn().IsClosed() && ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", errLost, err)
		}
		return struct{}{}, classifyPostgres(err)
	})
	return err
}

// retry runs do again as long as it fails in a way in which nothing was done.
func retry[T any](ctx context.Context, do func() (T, error)) (T, error) {
	delays := backoff.NewExponentialBackOff()
	delays.InitialInterval, delays.MaxInterval = time.Millisecond, 100*time.Millisecond
	return backoff.Retry(ctx, func() (T, error) {
		v, err := do()
		if err != nil && !errors.Is(err, errAgain) {
			err = backoff.Permanent(err)
		}
		return v, err
	}, backoff.WithBackOff(delays), backoff.WithMaxTries(conflictTries))
}

// discardReadOnly gives up all connections when one cannot write any more: after a
// failover they lead to what is a standby now.
func (s *postgresDatabase) discardReadOnly(err error) {
	if code(err) == readOnlyTransaction {
		s.writes.Reset()
		s.reads.Reset()
	}
}

// endOthers ends the connections of other Mayflies to this database: they come back only
// when the restore is finished. Where the role may not, or the engine does not know how,
// that the operator has stopped them is what counts.
func (s *postgresDatabase) endOthers(ctx context.Context) {
	_ = s.write(ctx, 1, func(c *conn) error {
		_, err := c.first(`SELECT COUNT(pg_terminate_backend(a.pid)) FROM pg_stat_activity a
			JOIN pg_stat_activity me ON me.pid = pg_backend_pid()
			WHERE a.datname = me.datname AND a.usename = me.usename AND a.application_name = me.application_name
			AND a.client_port IS DISTINCT FROM me.client_port AND a.backend_start < me.backend_start`, nil, func(*row) {})
		return err
	})
}
