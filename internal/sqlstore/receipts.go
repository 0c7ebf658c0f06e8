package sqlstore

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"mayfly/expiry"
)

var _ expiry.Receipts = (*Store)(nil)

const receiptsOf = `SELECT id, erased_at, sha256, size, ` + shownReason + `, policy, stored_at, receipt, proof FROM blobs
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
				stored.Envelope = r.receipt(expiry.Receipt{
					Blob: stored.Blob, SHA256: r.digest(), Size: r.int(), Reason: r.text(), Policy: r.text(), StoredAt: r.time(),
				})
				page = append(page, stored)
			})
		})
	})
	return page, last, err
}

// receipt is the envelope of a tombstone, of which r has what it shares with the row; nil if
// it has none. It is made of the columns receipt, which tombstones of before have whole, and
// proof.
func (r *row) receipt(of expiry.Receipt) []byte {
	envelope, proof := r.text(), r.blob()
	if proof == nil {
		if envelope == "" {
			return nil
		}
		return []byte(envelope)
	}
	made, err := expiry.Envelope(of, proof)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("receipt of blob %s: %w", of.Blob, err)
	}
	return made
}
