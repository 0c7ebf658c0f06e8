package sqlstore

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

// keepReading: as for an open, the later of the two counts, and look_at is not later than
// purge_at, which only grows.
const keepReading = `UPDATE blobs SET purge_at = $2, keep_until = CASE WHEN keep_until > $2 THEN keep_until ELSE $2 END
	WHERE id = $1 AND ` + isStored + ` AND purge_at < $2`

// Keep implements tickets.Store.
func (s *Store) Keep(ctx context.Context, blob uuid.UUID, until time.Time) error {
	return s.write(ctx, 1, func(c *conn) error {
		_, err := c.exec(keepReading, blob[:], micros(until))
		return err
	})
}

// Contest implements tickets.Store. It is one transaction, so that a caller may
// hand in the same counts again after an error that says that nothing was done.
func (s *Store) Contest(ctx context.Context, counts map[uuid.UUID]int64) error {
	// In order of id: two such transactions never wait for each other in a circle.
	ids := slices.SortedFunc(maps.Keys(counts), func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return s.write(ctx, len(ids), func(c *conn) error {
		all := make([][]any, len(ids))
		for i, id := range ids {
			all[i] = []any{id[:], counts[id]}
		}
		_, err := c.runMany(`UPDATE tickets SET contested = contested + $2 WHERE id = $1`, all)
		return err
	})
}
