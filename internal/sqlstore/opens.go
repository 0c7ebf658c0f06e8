package sqlstore

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"
)

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
