package sqlstore

import (
	"context"

	"github.com/google/uuid"

	"mayfly/expiry"
)

var _ expiry.Receipts = (*Store)(nil)

const receiptsOf = `SELECT id, erased_at, receipt FROM blobs
	WHERE id > $1 AND id <= $2 AND COALESCE(state, '') = 'erased' AND tenant = $3 ORDER BY id`

// Receipts implements expiry.Receipts.
func (s *Store) Receipts(ctx context.Context, tenant string, after uuid.UUID, limit int) (page []expiry.StoredReceipt, last uuid.UUID, err error) {
	err = s.readLong(ctx, func(c *conn) error {
		page, last = nil, after
		return c.snapshot(func() error {
			if _, err := c.first(endOfPage, []any{after[:], int64(limit)}, func(r *row) { last = r.id() }); err != nil {
				return err
			}
			return c.query(ctx, receiptsOf, []any{after[:], last[:], tenant}, func(r *row) {
				stored := expiry.StoredReceipt{Blob: r.id(), ErasedAt: r.time()}
				if envelope := r.text(); envelope != "" {
					stored.Envelope = []byte(envelope)
				}
				page = append(page, stored)
			})
		})
	})
	return page, last, err
}
