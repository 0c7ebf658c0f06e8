package sqlstore

import (
	"context"
	"database/sql/driver"
)

// conn is one connection to the database as the statements of this package use it:
// what the dialects have in common. Not safe for concurrent use.
type conn struct {
	session
	dialect dialect
	row     row // reused by every call
}

// session is a driver's side of a conn. Arguments are int64, string, []byte and nil,
// in the order of $1, $2…
type session interface {
	// run runs a statement and says how many rows it changed.
	run(query string, args []any) (int64, error)
	// runMany runs a statement once for each of all, and adds up the rows.
	runMany(query string, all [][]any) (int64, error)
	// rows calls each for every row of a result, and reads the result to its end.
	rows(ctx context.Context, query string, args []any, each func([]driver.Value) error) error
	// snapshot lets all that do reads see the database as it is at one moment.
	snapshot(do func() error) error
	close() error
}

// dialect is the SQL in which the databases differ and the statements do not.
type dialect struct {
	// lock behind a SELECT keeps all others from the rows that it finds until the
	// transaction ends. Empty where only one transaction writes at a time.
	lock string
	// lockDue is lock where work is divided: it may pass over what others hold.
	lockDue string
}

// exec runs a statement and says how many rows it changed.
func (c *conn) exec(query string, args ...any) (int64, error) { return c.run(query, args) }

// query calls each for every row of a result. The row is valid during the call.
func (c *conn) query(ctx context.Context, query string, args []any, each func(*row)) error {
	return c.rows(ctx, query, args, func(values []driver.Value) error {
		c.row = row{values: values}
		each(&c.row)
		return c.row.err
	})
}

// first is query for results of one row at the most, and says whether it was there.
func (c *conn) first(query string, args []any, each func(*row)) (found bool, err error) {
	err = c.query(context.Background(), query, args, func(r *row) {
		found = true
		each(r)
	})
	return found, err
}

// hold keeps all others from the rows that a SELECT finds until the transaction ends.
func (c *conn) hold(query string, args ...any) error {
	if c.dialect.lock == "" {
		return nil
	}
	_, err := c.first(query+c.dialect.lock, args, func(*row) {})
	return err
}
