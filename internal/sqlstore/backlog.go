package sqlstore

import (
	"context"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
)

// The same conditions as in claimBlobs and claimAttempts.
const preview = `SELECT reason, COUNT(*), CAST(SUM(size) AS BIGINT), MIN(at) FROM (
		SELECT ` + dueReason + ` AS reason, size, ` + dueSince + ` AS at FROM blobs WHERE ` + dueBlobs + `
		UNION ALL
		SELECT ` + shownReason + `, size, ` + dueSince + ` FROM blobs WHERE ` + retryBlobs + `
		UNION ALL
		SELECT ` + shownReason + `, size, ` + dueSince + ` FROM blobs WHERE ` + lostBlobs + `
		UNION ALL
		SELECT 'not_uploaded', 0, due_at FROM attempts WHERE ` + dueAttempt + `
		UNION ALL
		SELECT 'not_uploaded', 0, due_at FROM attempts WHERE ` + retryAttempt + `
		UNION ALL
		SELECT 'not_uploaded', 0, due_at FROM attempts WHERE ` + lostAttempt + `
	) d GROUP BY reason ORDER BY reason`

// Preview implements expiry.Queue.
func (s *Store) Preview(ctx context.Context, now time.Time) (ps []expiry.Preview, err error) {
	err = s.readLong(ctx, func(c *conn) error {
		ps = nil
		return c.query(ctx, preview, []any{micros(now)}, func(r *row) {
			ps = append(ps, expiry.Preview{Reason: r.text(), Blobs: r.int(), Bytes: r.int(), OldestDueAt: r.time()})
		})
	})
	return ps, err
}

// A purging blob is due whether or not somebody works on it or it is put off: it is
// overdue since then, which no claim and no delay moves. So are the bytes of an attempt
// that came to nothing.
const backlog = `SELECT COUNT(*), MIN(at) FROM (
		SELECT ` + dueSince + ` AS at FROM blobs WHERE ` + dueBlobs + `
		UNION ALL
		SELECT ` + dueSince + ` FROM blobs WHERE state = 'purging' AND ` + unpinned + `
		UNION ALL
		SELECT due_at FROM attempts WHERE ` + dueAttempt + `
		UNION ALL
		SELECT due_at FROM attempts WHERE retry_at IS NOT NULL AND ` + loneAttempt + `
	) d`

// Backlog implements expiry.Queue.
func (s *Store) Backlog(ctx context.Context, now time.Time) (b expiry.Backlog, err error) {
	err = s.readLong(ctx, func(c *conn) error {
		return c.query(ctx, backlog, []any{micros(now)}, func(r *row) {
			b = expiry.Backlog{Due: r.int(), OldestDueAt: r.time()}
		})
	})
	return b, err
}

const owned = `SELECT 1 WHERE EXISTS (SELECT 1 FROM blobs WHERE id = $1 AND key = $2 AND state <> 'erased')
	OR EXISTS (SELECT 1 FROM attempts WHERE blob_id = $1 AND key = $2)`

// Owned implements expiry.Queue. Each key is looked up in one statement, so that a
// Commit, which moves a key from attempt to blob, cannot hide it in between.
func (s *Store) Owned(ctx context.Context, keys []blobstore.Key) ([]bool, error) {
	found := make([]bool, len(keys))
	err := s.readLong(ctx, func(c *conn) (err error) {
		for i, key := range keys {
			id, ok := key.Owner()
			if !ok {
				continue // nobody's, since checkKey lets no such key in
			}
			if found[i], err = c.first(owned, []any{id[:], string(key)}, func(*row) {}); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err // in doubt the sweep must not take a key for nobody's
	}
	return found, nil
}

// Stored implements expiry.Queue.
func (s *Store) Stored(ctx context.Context, after uuid.UUID, limit int) (page []expiry.StoredBlob, err error) {
	err = s.readLong(ctx, func(c *conn) error {
		page = nil
		return c.query(ctx, `SELECT id, key, size, sha256 FROM blobs WHERE id > $1 AND `+isStored+` ORDER BY id LIMIT $2`,
			[]any{after[:], int64(limit)}, func(r *row) {
				page = append(page, expiry.StoredBlob{
					ID: r.id(), Key: r.key(), Size: r.int(), SHA256: blobstore.Digest(r.hash()),
				})
			})
	})
	return page, err
}
