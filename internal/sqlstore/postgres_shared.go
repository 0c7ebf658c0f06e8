package sqlstore

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// What 64 callers ask at once, one statement does: one round trip and one commit for
// all that arrived while the one before was under way. The rows of a statement are
// given as arrays, one for each column, which unnest puts side by side again; n is a
// row's place, by which its answer finds back.

const (
	// lookupsAbreast and the others are how many such statements are under way at a
	// time: while one waits for the disk, the other has the processor.
	lookupsAbreast = 2
	spendsAbreast  = 1
	acksAbreast    = 1
	addingsAbreast = 2

	maxLookups = 256
)

func (s *postgresDatabase) share() {
	s.lookups = newBatcher(s.lookUp, func(*lookup) int { return 1 }, maxLookups, lookupsAbreast)
	s.spends = newBatcher(s.spendAll, func(*spending) int { return 2 }, maxBatchRows, spendsAbreast)
	s.acks = newBatcher(s.acknowledgeAll, func(*acknowledging) int { return 1 }, maxBatchRows, acksAbreast)
	s.newBlobs = newBatcher(s.addAll, func(a *adding) int { return 2 + len(a.tickets) }, maxBatchRows, addingsAbreast)
}

// together runs one statement for a batch, on its own and therefore committed when it
// has answered. each is called for every row of its answer.
func together(pool *pgxpool.Pool, query string, args []any, each func(*row)) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTime)
	defer cancel()
	_, err := retry(ctx, func() (struct{}, error) {
		return struct{}{}, classifyPostgres(ask(ctx, pool, query, args, each))
	})
	return err
}

func ask(ctx context.Context, pool *pgxpool.Pool, query string, args []any, each func(*row)) error {
	c, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	return (&conn{session: &postgresSession{ctx, c.Conn()}}).query(ctx, query, args, each)
}

// alone runs a batch that failed again, item by item, so that whoever cannot succeed
// fails alone. It does so only where the server has said that nothing was done.
func alone[T any](batch []T, err error, run func([]T) []error) []error {
	errs := make([]error, len(batch))
	var e *pgconn.PgError
	if len(batch) == 1 || !errors.As(err, &e) {
		return fill(errs, err)
	}
	for i := range batch {
		errs[i] = run(batch[i : i+1])[0]
	}
	return errs
}

// columns are the arrays of a statement's rows.
type (
	ids    = pgtype.FlatArray[[16]byte]
	hashes = pgtype.FlatArray[[]byte]
	texts  = pgtype.FlatArray[*string]
	ints   = pgtype.FlatArray[*int64]
	places = pgtype.FlatArray[int64]
)
