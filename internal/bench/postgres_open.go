package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"mayfly/internal/testenv/postgres"
)

const (
	tinySize = 4 << 10
	// poolBound is one more than what a Mayfly takes of the server's connections at the
	// most, if its URL says nothing else.
	poolBound = 17
)

// pgOpen is small-open with smaller blobs, on PostgreSQL: the plain server serves the
// same files of fsblob by GET. A third side is Mayfly's own HTTP server on those files,
// without any ticket: of it an open must keep half.
func pgOpen(ctx context.Context, b *bench, r *report) error {
	return b.withPostgres(ctx, func(db *postgres.Server) error {
		s, err := b.startOnPostgres(ctx, db)
		if err != nil {
			return err
		}
		return s.use(ctx, func(s *servers) error { return s.pgOpen(ctx, r, db) })
	})
}

func (s *servers) pgOpen(ctx context.Context, r *report, db *postgres.Server) error {
	stop, err := watchConnections(ctx, db)
	if err != nil {
		return err
	}
	all, err := s.threeOpens(ctx)
	most, watchErr := stop()
	if err := errors.Join(err, watchErr); err != nil {
		return err
	}
	plain, ticketless, mayfly := all[0], all[1], all[2]
	const what = "4 KiB opens on PostgreSQL, 64 clients; "
	r.add(newFigure("pg-open", what+"in place of the plain server the same HTTP server without tickets", opens, ticketless, mayfly, 0.5))
	r.add(newFigure("pg-open", what+"the plain server serves the same files, without tickets", opens, plain, mayfly, 0))
	r.add(newBound("pg-open", "connections to PostgreSQL at the most, uploads included", connections, nil, []float64{most}, poolBound))
	return nil
}

// threeOpens are the turns of the plain server, of the one without tickets, and of Mayfly.
func (s *servers) threeOpens(ctx context.Context) ([][]measurement, error) {
	o, err := s.uploadForOpens(ctx, newTinyPayload())
	if err != nil {
		return nil, err
	}
	if err := o.startTicketless(ctx); err != nil {
		return nil, err
	}
	return s.takeTurns(ctx, &o.latencies, o.byGet(), o.byTicket(s.ticketless, s.ticketlessURL), o.byTicket(s.mayfly, s.mayflyURL))
}

// watchConnections looks at what Mayfly has of the server's connections until stop is
// called, which returns the most of it.
func watchConnections(ctx context.Context, db *postgres.Server) (stop func() (most float64, err error), err error) {
	c, err := pgx.Connect(ctx, db.URL().String())
	if err != nil {
		return nil, err
	}
	quit, done := make(chan struct{}), make(chan error, 1)
	var most float64
	go func() {
		for {
			var n float64
			err := c.QueryRow(ctx, "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'mayfly'").Scan(&n)
			most = max(most, n)
			select {
			case <-quit:
				done <- errors.Join(err, c.Close(ctx))
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() (float64, error) {
		close(quit)
		err := <-done
		return most, err
	}, nil
}
