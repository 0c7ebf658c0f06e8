package sqlstore

import (
	"context"
	"time"

	"github.com/google/uuid"

	"mayfly/tickets"
)

const ofTenant = ` FROM blobs b WHERE b.id = $1 AND b.tenant = $2 AND b.evidence = 0`

// blobOf is a tenant's blob, without a receipt. In a transaction that writes, lock keeps it as
// it is.
func blobOf(c *conn, tenant string, id uuid.UUID, lock string) (tickets.Blob, error) {
	return oneOf(c, tenant, id, `SELECT `+blobColumns+ofTenant+lock, readBlob)
}

// oneOf is a tenant's blob; to others it does not exist, and neither does evidence to any backend.
func oneOf(c *conn, tenant string, id uuid.UUID, query string, read func(*row, uuid.UUID) tickets.Blob) (b tickets.Blob, err error) {
	found, err := c.first(query, []any{id[:], tenant}, func(r *row) { b = read(r, id) })
	if err == nil && !found {
		err = refuse(tickets.ErrUnknownBlob)
	}
	return b, err
}

// Blob implements tickets.Store. The order of issue is the order of the ids.
func (s *Store) Blob(ctx context.Context, tenant string, id uuid.UUID, limit int) (b tickets.Blob, ts []tickets.Ticket, err error) {
	err = s.readLong(ctx, func(c *conn) error { // up to limit tickets
		return c.snapshot(func() error {
			ts = nil
			if b, err = oneOf(c, tenant, id, `SELECT `+shownColumns+ofTenant, readShown); err != nil {
				return err
			}
			return c.query(ctx, `SELECT t.id, t.token_hash, `+ticketColumns+`
				FROM tickets t WHERE t.blob_id = $1 ORDER BY t.id LIMIT $2`, []any{id[:], int64(limit)},
				func(r *row) { ts = append(ts, readTicket(r, r.id(), r.hash())) })
		})
	})
	if answer, ok := refused(err); ok {
		err = answer
	}
	return b, ts, err
}

// Revoke implements tickets.Store. PurgeAt stays: the sender may issue another
// ticket in place of this one until the deadline.
func (s *Store) Revoke(ctx context.Context, tenant string, blob, ticket uuid.UUID, now time.Time) error {
	return s.write(ctx, 2, func(c *conn) error {
		b, err := blobOf(c, tenant, blob, c.dialect.lock)
		if err != nil {
			return err
		}
		var state tickets.TicketState
		known, err := c.first(`SELECT state FROM tickets WHERE id = $1 AND blob_id = $2`,
			[]any{ticket[:], blob[:]}, func(r *row) { state = tickets.TicketState(r.text()) })
		switch {
		case err != nil:
			return err
		case !known:
			return refuse(tickets.ErrUnknownTicket)
		case state == tickets.TicketRevoked:
			return nil
		case state != tickets.TicketReady && !b.Terms.Unlimited:
			return refuse(tickets.ErrOpened)
		}
		_, err = c.exec(`UPDATE tickets SET state = 'revoked', revoked_at = $2 WHERE id = $1`, ticket[:], micros(now))
		if err != nil || state != tickets.TicketReady {
			return err
		}
		// A tombstone counts no tickets any more.
		_, err = c.exec(`UPDATE blobs SET ready = ready - 1 WHERE id = $1 AND ready > 0`, blob[:])
		return err
	})
}

const (
	unsendBlob = `UPDATE blobs SET state = 'purging', reason = 'unsent', purge_at = $2, ready = 0,
		retry_at = CASE WHEN pinned_until > $2 THEN pinned_until ELSE $2 END
		WHERE id = $1 AND ` + isLive

	revokeAll = `UPDATE tickets SET state = 'revoked', revoked_at = $2
		WHERE blob_id = $1 AND (state = 'ready' OR ($3 = 1 AND state IN ('opened', 'delivered')))`
)

// Unsend implements tickets.Store.
func (s *Store) Unsend(ctx context.Context, tenant string, id uuid.UUID, now time.Time) error {
	return s.write(ctx, 2, func(c *conn) error {
		b, err := blobOf(c, tenant, id, c.dialect.lock)
		if err != nil {
			return err
		}
		n, err := c.exec(unsendBlob, id[:], micros(now))
		if err != nil || n == 0 {
			return err
		}
		_, err = c.exec(revokeAll, id[:], micros(now), flag(b.Terms.Unlimited))
		return err
	})
}
