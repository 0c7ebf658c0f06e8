package sqlstore

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"mayfly/tickets"
)

const findTicket = `SELECT ` + ticketColumns + `, ` + blobColumns + `
	FROM tickets t JOIN blobs b ON b.id = t.blob_id
	WHERE t.id = $1 AND t.token_hash = $2`

// FindTicket implements tickets.Store.
func (s *Store) FindTicket(ctx context.Context, id uuid.UUID, h tickets.Hash) (tickets.Ticket, tickets.Blob, error) {
	var t tickets.Ticket
	var b tickets.Blob
	var found bool
	err := s.read(ctx, func(c *conn) (err error) {
		found, err = c.first(findTicket, []any{id[:], h[:]}, func(r *row) {
			t = readTicket(r, id, h)
			b = readBlob(r, t.BlobID)
		})
		return err
	})
	if err == nil && !found {
		err = tickets.ErrUnknownTicket
	}
	return t, b, err
}

// openReady is the one statement that decides (P2): it finds the ticket ready and
// turns it in the same breath, or changes nothing. A RETURNING of the blob's id
// would cost a third more than looking it up again: SQLite makes a table for it.
const openReady = `UPDATE tickets SET state = 'opened', claim = $3, opened_at = $4
	WHERE id = $1 AND token_hash = $2 AND state = 'ready'
	AND EXISTS (SELECT 1 FROM blobs b WHERE b.id = tickets.blob_id AND b.state = 'stored' AND b.expires_at > $4)`

// An open keeps the bytes until now + keep, and never less long than an earlier
// open did, whose clock may have been ahead of ours (P4: nothing early). As long as
// somebody can still open, they are kept to the deadline.
const (
	kept   = `CASE WHEN keep_until > $2 + keep THEN keep_until ELSE $2 + keep END`
	toLast = `CASE WHEN expires_at > ` + kept + ` THEN expires_at ELSE ` + kept + ` END`

	// keepOpened: ready is the count before this open, this ticket included.
	keepOpened = `UPDATE blobs SET ready = ready - 1, keep_until = ` + kept + `,
		purge_at = CASE WHEN ready > 1 OR unlimited = 1 THEN ` + toLast + ` ELSE ` + kept + ` END
		WHERE id = (SELECT blob_id FROM tickets WHERE id = $1)`

	openAgain = `UPDATE blobs SET keep_until = ` + kept + `, purge_at = ` + toLast + `
		WHERE id = (SELECT blob_id FROM tickets WHERE id = $1 AND token_hash = $3 AND state IN ('opened', 'delivered'))
		AND unlimited = 1 AND state = 'stored' AND expires_at > $2`
)

// Spend implements tickets.Store.
func (s *Store) Spend(ctx context.Context, sp tickets.Spend) (won bool, err error) {
	now := micros(sp.Now)
	err = s.write(ctx, 2, func(c *conn) error {
		n, err := c.exec(openReady, sp.Ticket[:], sp.Hash[:], sp.Claim[:], now)
		switch {
		case err != nil:
			return err
		case n == 1:
			n, err = c.exec(keepOpened, sp.Ticket[:], now)
		default:
			n, err = c.exec(openAgain, sp.Ticket[:], now, sp.Hash[:])
		}
		won = n == 1
		return err
	})
	return won && err == nil, err
}

// Acknowledge implements tickets.Store.
func (s *Store) Acknowledge(ctx context.Context, id uuid.UUID, h, claim tickets.Hash, now time.Time) (changed bool, err error) {
	err = s.write(ctx, 1, func(c *conn) error {
		n, err := c.exec(`UPDATE tickets SET state = 'delivered', delivered_at = $4
			WHERE id = $1 AND token_hash = $2 AND state = 'opened'
			AND (claim = $3 OR EXISTS (SELECT 1 FROM blobs b WHERE b.id = tickets.blob_id AND b.unlimited = 1))`,
			id[:], h[:], claim[:], micros(now))
		changed = n == 1
		return err
	})
	return changed && err == nil, err
}

// Contest implements tickets.Store. It is one transaction, so that a caller may
// hand in the same counts again after an error that says that nothing was done.
func (s *Store) Contest(ctx context.Context, counts map[uuid.UUID]int64) error {
	// In order of id: two such transactions never wait for each other in a circle.
	ids := slices.SortedFunc(maps.Keys(counts), func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return s.write(ctx, len(ids), func(c *conn) error {
		for _, id := range ids {
			_, err := c.exec(`UPDATE tickets SET contested = contested + $2 WHERE id = $1`, id[:], counts[id])
			if err != nil {
				return err
			}
		}
		return nil
	})
}
