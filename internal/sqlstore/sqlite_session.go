package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
)

// sqliteSession is one connection to SQLite with the statements that it has prepared.
//
// It stands on the driver's own interfaces. The pool of database/sql would cost
// an open a fifth of its time, and we need none: one connection writes, a few read.
type sqliteSession struct {
	db     driver.Conn
	stmts  map[string]statement
	args   []driver.NamedValue // reused by every call
	values []driver.Value      // reused by every call
}

type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

func newSQLiteConn(db driver.Conn) *conn {
	return &conn{session: &sqliteSession{db: db, stmts: make(map[string]statement)}}
}

func (s *sqliteSession) run(query string, args []any) (int64, error) {
	stmt, err := s.prepare(query)
	if err != nil {
		return 0, err
	}
	// A write is never interrupted halfway: it belongs to many callers.
	res, err := stmt.ExecContext(context.Background(), s.bind(args))
	if err != nil {
		return 0, classify(err)
	}
	return res.RowsAffected()
}

func (s *sqliteSession) runMany(query string, all [][]any) (changed int64, err error) {
	for _, args := range all {
		n, err := s.run(query, args)
		if err != nil {
			return changed, err
		}
		changed += n
	}
	return changed, nil
}

func (s *sqliteSession) rows(ctx context.Context, query string, args []any, each func([]driver.Value) error) (err error) {
	stmt, err := s.prepare(query)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, s.bind(args))
	if err != nil {
		return classify(err)
	}
	defer func() {
		if closeErr := rows.Close(); err == nil && closeErr != nil {
			err = classify(closeErr)
		}
	}()
	n := len(rows.Columns())
	if cap(s.values) < n {
		s.values = make([]driver.Value, n)
	}
	s.values = s.values[:n]
	// The result is read to its end: a statement with RETURNING counts as done,
	// and a read lets go of its snapshot, only then.
	for {
		switch err := rows.Next(s.values); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return classify(err)
		}
		if err := each(s.values); err != nil {
			return err
		}
	}
}

func (s *sqliteSession) snapshot(do func() error) (err error) {
	// Prepared before it is needed: a connection that stayed in its snapshot would see
	// nothing new ever again.
	const end = "ROLLBACK"
	if _, err := s.prepare(end); err != nil {
		return err
	}
	if _, err := s.run("BEGIN", nil); err != nil {
		return err
	}
	defer func() { // also when do panics
		if _, endErr := s.run(end, nil); err == nil {
			err = endErr // nothing was written, so this is how a read ends
		}
	}()
	return do()
}

func (s *sqliteSession) prepare(query string) (statement, error) {
	if stmt, ok := s.stmts[query]; ok {
		return stmt, nil
	}
	prepared, err := s.db.Prepare(query)
	if err != nil {
		return nil, classify(err)
	}
	stmt, ok := prepared.(statement)
	if !ok {
		return nil, fmt.Errorf("the driver's %T runs no statement with a context", prepared)
	}
	s.stmts[query] = stmt
	return stmt, nil
}

func (s *sqliteSession) bind(args []any) []driver.NamedValue {
	s.args = s.args[:0]
	for i, v := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return s.args
}

func (s *sqliteSession) close() error {
	var errs []error
	for _, stmt := range s.stmts {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, s.db.Close())...)
}
