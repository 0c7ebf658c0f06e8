package sqlstore

import (
	"context"
	"database/sql/driver"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// postgresSession is a connection of pgx, or a transaction on it. pgx prepares each
// statement once for each connection.
type postgresSession struct {
	// ctx bounds the statements of a transaction. A caller who gives up does not end
	// them halfway: that would cost the connection.
	ctx context.Context
	db  interface {
		Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
		Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
		SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	}
}

func (s *postgresSession) run(query string, args []any) (int64, error) {
	tag, err := s.db.Exec(s.ctx, query, args...)
	return tag.RowsAffected(), err
}

// runMany sends all at once, and waits once.
func (s *postgresSession) runMany(query string, all [][]any) (changed int64, err error) {
	if len(all) == 0 {
		return 0, nil
	}
	var b pgx.Batch
	for _, args := range all {
		b.Queue(query, args...).Exec(func(tag pgconn.CommandTag) error {
			changed += tag.RowsAffected()
			return nil
		})
	}
	err = s.db.SendBatch(s.ctx, &b).Close()
	return changed, err
}

func (s *postgresSession) rows(_ context.Context, query string, args []any, each func([]driver.Value) error) error {
	rows, err := s.db.Query(s.ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var row []driver.Value
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		row = row[:0]
		for _, v := range values {
			row = append(row, v)
		}
		if err := each(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// snapshot relies on postgresDatabase.readLong, whose transactions see one moment.
func (s *postgresSession) snapshot(do func() error) error { return do() }

// close is nothing: the pool has the connection back.
func (s *postgresSession) close() error { return nil }
