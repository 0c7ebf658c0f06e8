package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// ErrRestoring: a database that was brought back from a backup still has tickets that
// may have been spent since.
var ErrRestoring = errors.New("the database was restored, and its tickets are not all void yet")

// restoreChunk is how many blobs one transaction makes void.
const restoreChunk = 1000

// restoreMargin is by how much the clocks of two replicas may differ.
const restoreMargin = 24 * time.Hour

// Restored makes void what a backup brought back: each ticket that it has as ready may
// have been spent, and each upload finished, after the backup was made (P2). What was
// never opened becomes due at once; what was opened stays for whoever opened it. It
// says how many blobs that were. No other process may have the database open; of
// PostgreSQL the others' connections are ended, as far as that may be done. If it is cut off, Open refuses the database until it was run to its end.
func Restored(ctx context.Context, cfg Config, now time.Time) (blobs int64, err error) {
	l, err := locate(cfg.URL)
	if err != nil {
		return 0, err
	}
	if _, _, err := l.migrate(ctx); err != nil {
		return 0, err
	}
	if s, ok := l.(*postgresServer); ok {
		s.restoring = true
	}
	db, err := l.open(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.close()) }()

	id := uuid.Must(uuid.NewV7())
	err = db.write(ctx, 1, func(c *conn) error {
		_, err := c.exec(`INSERT INTO restores (id, began_at) VALUES ($1, $2)`, id[:], micros(now))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("begin: %w", err)
	}
	if s, ok := db.(*postgresDatabase); ok {
		s.endOthers(ctx)
	}
	var after uuid.UUID
	for ctx.Err() == nil {
		var last uuid.UUID
		var changed int64
		err := db.write(ctx, restoreChunk, func(c *conn) (err error) {
			last, changed, err = makeVoid(c, after, now)
			return err
		})
		if err != nil {
			return blobs, err
		}
		blobs += changed
		if last == after {
			return blobs, db.write(ctx, 1, func(c *conn) error {
				_, err := c.exec(`UPDATE restores SET finished_at = $1 WHERE finished_at IS NULL`, micros(now))
				return err
			})
		}
		after = last
	}
	return blobs, ctx.Err()
}

const (
	someBlobs = `SELECT id FROM blobs WHERE id > $1 ORDER BY id LIMIT $2`

	// Whatever any clock says: no ticket of the backup opens.
	voidTickets = `UPDATE tickets SET state = 'revoked', revoked_at = $3 WHERE blob_id > $1 AND blob_id <= $2
		AND (state = 'ready' OR state IN ('opened', 'delivered') AND
			(SELECT b.unlimited FROM blobs b WHERE b.id = tickets.blob_id) = 1)`

	// A deadline that is a day past has passed by every replica's clock. Evidence keeps its
	// own: that a moderator saw it twice harms nobody, and a hold binds after a restore too.
	voidBlobs = `UPDATE blobs SET ready = 0,
		upload_until = CASE WHEN upload_until < $4 THEN upload_until ELSE $4 END,
		expires_at = CASE WHEN expires_at < $4 THEN expires_at ELSE $4 END,
		purge_at = CASE WHEN keep_until IS NOT NULL THEN keep_until WHEN purge_at < $3 THEN purge_at ELSE $3 END,
		look_at = CASE WHEN look_at < $3 THEN look_at ELSE $3 END
		WHERE id > $1 AND id <= $2 AND state IN ('pending', 'stored') AND evidence = 0`
)

// makeVoid is about the next blobs after that one, up to last: itself if there are none.
func makeVoid(c *conn, after uuid.UUID, now time.Time) (last uuid.UUID, changed int64, err error) {
	last = after
	err = c.query(context.Background(), someBlobs, []any{after[:], int64(restoreChunk)}, func(r *row) { last = r.id() })
	if err != nil || last == after {
		return after, 0, err
	}
	if _, err := c.exec(voidTickets, after[:], last[:], micros(now)); err != nil {
		return after, 0, err
	}
	changed, err = c.exec(voidBlobs, after[:], last[:], micros(now), micros(now.Add(-restoreMargin)))
	return last, changed, err
}

// checkRestored refuses a database that Restored was not finished with.
func (s *Store) checkRestored(ctx context.Context) error {
	var unfinished bool
	err := s.read(ctx, func(c *conn) (err error) {
		unfinished, err = c.first(`SELECT 1 FROM restores WHERE finished_at IS NULL`, nil, func(*row) {})
		return err
	})
	if err == nil && unfinished {
		err = errRestoring()
	}
	return err
}

func errRestoring() error {
	return fmt.Errorf("%w: run mayfly migrate --restored again, to its end", ErrRestoring)
}
