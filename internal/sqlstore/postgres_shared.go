package sqlstore

import (
	"context"
	"fmt"
	"strings"

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
	spendsAbreast  = 2
	acksAbreast    = 1
	addingsAbreast = 2
	issuesAbreast  = 2
	// crowd lookups or spends have to wait before a second statement is begun for them
	// beside the one under way: with fewer most of its work would be the statement's own.
	// Of opens by 64 clients it made a fifth more; 16 to 32 were alike. SQLite's lookups keep to it too.
	crowd = 32
)

func (s *postgresDatabase) share() {
	s.lookups = newBatcher(s.lookUp, func(*lookup) int { return 1 }, maxLookups, lookupsAbreast)
	s.spends = newBatcher(s.spendAll, func(*spending) int { return 2 }, maxBatchRows, spendsAbreast)
	s.lookups.crowd, s.spends.crowd = crowd, crowd
	s.acks = newBatcher(s.acknowledgeAll, func(*acknowledging) int { return 1 }, maxBatchRows, acksAbreast)
	s.issues = newBatcher(s.issueAll, func(m *issuing) int { return 1 + len(m.tickets) }, maxBatchRows, issuesAbreast)
	s.issues.crowd = crowd
	s.newBlobs = newBatcher(s.addAll, func(a *adding) int { return 2 + len(a.tickets) }, maxBatchRows, addingsAbreast)
}

// together runs one statement for a batch, on its own and therefore committed when it
// has answered. Its answer is the rows of the try that was committed, and of no other:
// the server may send rows and then fail to commit.
func together[R any](pool *pgxpool.Pool, readOnly bool, query string, args []any, read func(*row) R) ([]R, error) {
	ctx, cancel := context.WithTimeout(context.Background(), writeTime)
	defer cancel()
	answer, err := retry(ctx, func() (rows []R, err error) {
		err = ask(ctx, pool, query, args, readOnly, func(r *row) { rows = append(rows, read(r)) })
		return rows, classifyPostgres(err)
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func ask(ctx context.Context, pool *pgxpool.Pool, query string, args []any, readOnly bool, each func(*row)) error {
	c, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	err = (&conn{session: &postgresSession{ctx, c.Conn()}}).query(ctx, query, args, each)
	if code(err) == readOnlyTransaction && !readOnly {
		pool.Reset() // after a failover the connections lead to what is a standby now
	}
	if err != nil && readOnly && c.Conn().IsClosed() && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", errLost, err)
	}
	return err
}

// alone runs a batch that failed again, item by item, so that whoever cannot succeed
// fails alone. It does so only where the server has said that nothing was done.
func alone[T any](batch []T, err error, run func([]T) []error) []error {
	errs := make([]error, len(batch))
	if len(batch) == 1 || !ofOneRow(code(err)) {
		return fill(errs, err)
	}
	for i := range batch {
		errs[i] = run(batch[i : i+1])[0]
	}
	return errs
}

// ofOneRow: an error that some row of a batch may have made, and with which nothing is
// committed: its data, a constraint, a lock. Of others (08P01 of a pooler, 40003 of
// CockroachDB, 57P01) the commit may have happened, or all rows would fail alike.
func ofOneRow(code string) bool {
	return strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23") || code == lockNotAvailable
}

// columns are the arrays of a statement's rows.
type (
	ids    = pgtype.FlatArray[[16]byte]
	hashes = pgtype.FlatArray[[]byte]
	texts  = pgtype.FlatArray[*string]
	ints   = pgtype.FlatArray[*int64]
	places = pgtype.FlatArray[int64]
)
