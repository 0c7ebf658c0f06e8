package sqlstore

import (
	"context"

	"mayfly/tickets"
)

const (
	countTickets = `SELECT COUNT(*) FROM tickets WHERE blob_id = $1`

	keepForMore = `UPDATE blobs SET ready = ready + $2, purge_at = ` + keptForMore + ` WHERE id = $1 RETURNING purge_at`
)

func (s *sqliteDatabase) addTickets(ctx context.Context, m moreTickets) (b tickets.Blob, err error) {
	err = s.write(ctx, 1+len(m.tickets), func(c *conn) error {
		if b, err = blobOf(c, m.tenant, m.blob, ""); err != nil {
			return err
		}
		var have int64
		if _, err := c.first(countTickets, []any{m.blob[:]}, func(r *row) { have = r.int() }); err != nil {
			return err
		}
		if err := m.check(b, have); err != nil {
			return refuse(err)
		}
		if err := addTickets(c, m.blob, m.tickets); err != nil {
			return err
		}
		_, err := c.first(keepForMore, []any{m.blob[:], int64(len(m.tickets))}, func(r *row) { b.PurgeAt = r.time() })
		return err
	})
	return b, err
}
