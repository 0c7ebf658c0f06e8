package sqlstore

import (
	"context"
	"math"
	"time"

	"mayfly/expiry"
)

// deletions is the one row of table stops.
const deletions = "deletions"

// Stopped implements expiry.Stops.
func (s *Store) Stopped(ctx context.Context) (stop expiry.Stop, on bool, err error) {
	err = s.readLong(ctx, func(c *conn) (err error) {
		on, err = c.first(`SELECT reason, stopped_by, since FROM stops WHERE what = $1`, []any{deletions}, func(r *row) {
			stop = expiry.Stop{Reason: r.text(), By: r.text(), Since: r.time()}
		})
		return err
	})
	return stop, on, err
}

// SetStop implements expiry.Stops.
func (s *Store) SetStop(ctx context.Context, stop expiry.Stop) error {
	return s.write(ctx, 1, func(c *conn) error {
		_, err := c.exec(`INSERT INTO stops (what, reason, stopped_by, since) VALUES ($1, $2, $3, $4)
			ON CONFLICT (what) DO UPDATE SET reason = excluded.reason, stopped_by = excluded.stopped_by, since = excluded.since`,
			deletions, stop.Reason, stop.By, micros(stop.Since))
		return err
	})
}

// EndStop implements expiry.Stops.
func (s *Store) EndStop(ctx context.Context) error {
	return s.write(ctx, 1, func(c *conn) error {
		_, err := c.exec(`DELETE FROM stops WHERE what = $1`, deletions)
		return err
	})
}

const (
	countDue  = `SELECT COUNT(*) FROM blobs WHERE ` + dueBlobs
	countSome = `SELECT COUNT(*) FROM (SELECT 1 FROM blobs WHERE ` + dueBlobs + ` LIMIT $2) d`
	countAll  = `SELECT COUNT(*) FROM (SELECT 1 FROM blobs WHERE state IN ('pending', 'stored') AND look_at > $1 LIMIT $2) d`
)

// Share implements expiry.Queue.
func (s *Store) Share(ctx context.Context, now time.Time, above int64, times float64) (share expiry.Share, err error) {
	count := func(c *conn, query string, args ...any) (n int64, err error) {
		_, err = c.first(query, args, func(r *row) { n = r.int() })
		return n, err
	}
	err = s.readLong(ctx, func(c *conn) error {
		return c.snapshot(func() (err error) {
			if share.Due, err = count(c, countSome, micros(now), above+1); err != nil || share.Due <= above {
				return err
			}
			if share.Due, err = count(c, countDue, micros(now)); err != nil {
				return err
			}
			enough := int64(min(times*float64(share.Due), 1<<52)) + 1
			share.All, err = count(c, countAll, int64(math.MinInt64), enough) // whenever
			return err
		})
	})
	return share, err
}
