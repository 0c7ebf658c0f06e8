package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
)

// conn is one connection to the database with the statements that it has prepared.
// Not safe for concurrent use.
//
// It stands on the driver's own interfaces. The pool of database/sql would cost
// an open a fifth of its time, and we need none: one connection writes, a few read.
type conn struct {
	db    driver.Conn
	stmts map[string]statement
	args  []driver.NamedValue // reused by every call
	row   row                 // reused by every call
}

type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

func newConn(db driver.Conn) *conn {
	return &conn{db: db, stmts: make(map[string]statement)}
}

// exec runs a statement and says how many rows it changed. Arguments are int64,
// string, []byte and nil, in the order of $1, $2…
func (c *conn) exec(query string, args ...any) (int64, error) {
	s, err := c.prepare(query)
	if err != nil {
		return 0, err
	}
	// A write is never interrupted halfway: it belongs to many callers.
	res, err := s.ExecContext(context.Background(), c.bind(args))
	if err != nil {
		return 0, classify(err)
	}
	return res.RowsAffected()
}

// query calls each for every row of a result. The row is valid during the call.
func (c *conn) query(ctx context.Context, query string, args []any, each func(*row)) (err error) {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, c.bind(args))
	if err != nil {
		return classify(err)
	}
	defer func() {
		if closeErr := rows.Close(); err == nil && closeErr != nil {
			err = classify(closeErr)
		}
	}()
	n := len(rows.Columns())
	if cap(c.row.values) < n {
		c.row.values = make([]driver.Value, n)
	}
	c.row.values = c.row.values[:n]
	// The result is read to its end: a statement with RETURNING counts as done,
	// and a read lets go of its snapshot, only then.
	for {
		switch err := rows.Next(c.row.values); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return classify(err)
		}
		c.row.reset()
		each(&c.row)
		if c.row.err != nil {
			return c.row.err
		}
	}
}

// first is query for results of one row at the most, and says whether it was there.
func (c *conn) first(query string, args []any, each func(*row)) (found bool, err error) {
	err = c.query(context.Background(), query, args, func(r *row) {
		found = true
		each(r)
	})
	return found, err
}

// snapshot lets all that do reads see the database as it is at one moment.
func (c *conn) snapshot(do func() error) error {
	if _, err := c.exec("BEGIN"); err != nil {
		return err
	}
	err := do()
	if _, endErr := c.exec("ROLLBACK"); err == nil {
		err = endErr // nothing was written, so this is how a read ends
	}
	return err
}

func (c *conn) prepare(query string) (statement, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	prepared, err := c.db.Prepare(query)
	if err != nil {
		return nil, classify(err)
	}
	s, ok := prepared.(statement)
	if !ok {
		return nil, fmt.Errorf("the driver's %T runs no statement with a context", prepared)
	}
	c.stmts[query] = s
	return s, nil
}

func (c *conn) bind(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, v := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return c.args
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.db.Close())...)
}
