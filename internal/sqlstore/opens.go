package sqlstore

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"mayfly/tickets"
)

// findTicket reads no column more than an open needs: the driver makes each of them,
// and its name, anew for each row.
const findTicket = `SELECT t.blob_id, t.state, t.claim, t.opened_at, t.delivered_at,
	b.state, b.unlimited, b.unopened_ttl, b.report_window, b.resume_window,
	b.size, b.sha256, b.key, b.upload_until, b.expires_at, b.purge_at
	FROM tickets t JOIN blobs b ON b.id = t.blob_id
	WHERE t.id = $1 AND t.token_hash = $2`

// FindTicket implements tickets.Store.
func (s *Store) FindTicket(ctx context.Context, id uuid.UUID, h tickets.Hash) (tickets.Ticket, tickets.Blob, error) {
	var t tickets.Ticket
	var b tickets.Blob
	var found bool
	err := s.read(ctx, func(c *conn) (err error) {
		found, err = c.first(findTicket, []any{id[:], h[:]}, func(r *row) {
			t, b = readHeld(r)
			t.ID, t.Hash, b.ID = id, h, t.BlobID
		})
		return err
	})
	if err == nil && !found {
		err = tickets.ErrUnknownTicket
	}
	return t, b, err
}

func readHeld(r *row) (tickets.Ticket, tickets.Blob) {
	return tickets.Ticket{
			BlobID:      r.id(),
			State:       tickets.TicketState(r.text()),
			Claim:       r.hash(),
			OpenedAt:    r.time(),
			DeliveredAt: r.time(),
		}, tickets.Blob{
			State: tickets.BlobState(r.text()),
			Terms: tickets.Terms{
				Unlimited:    r.bool(),
				UnopenedTTL:  r.duration(),
				ReportWindow: r.duration(),
				ResumeWindow: r.duration(),
			},
			Size:        r.int(),
			SHA256:      r.digest(),
			Key:         r.key(),
			UploadUntil: r.time(),
			ExpiresAt:   r.time(),
			PurgeAt:     r.time(),
		}
}

// openReady is the one statement that decides (P2): it finds the ticket ready and
// turns it in the same breath, or changes nothing.
const openReady = `UPDATE tickets SET state = 'opened', claim = $3, opened_at = $4
	WHERE id = $1 AND token_hash = $2 AND state = 'ready' AND blob_id = $5
	AND EXISTS (SELECT 1 FROM blobs b WHERE b.id = $5 AND b.state = 'stored' AND b.expires_at > $4)`

// An open keeps the bytes until now + keep, and never less long than an earlier
// open did, whose clock may have been ahead of ours (P4: nothing early). As long as
// somebody can still open, they are kept to the deadline.
const (
	kept   = `CASE WHEN keep_until > $2 + keep THEN keep_until ELSE $2 + keep END`
	toLast = `CASE WHEN expires_at > ` + kept + ` THEN expires_at ELSE ` + kept + ` END`

	// keepOpened: ready is the count before this open, this ticket included.
	keepOpened = `UPDATE blobs SET ready = ready - 1, keep_until = ` + kept + `,
		purge_at = CASE WHEN ready > 1 OR unlimited = 1 THEN ` + toLast + ` ELSE ` + kept + ` END
		WHERE id = $1`

	openAgain = `UPDATE blobs SET keep_until = ` + kept + `, purge_at = ` + toLast + `
		WHERE id = $1 AND unlimited = 1 AND state = 'stored' AND expires_at > $2
		AND EXISTS (SELECT 1 FROM tickets WHERE id = $3 AND token_hash = $4 AND blob_id = $1
			AND (state = 'opened' OR state = 'delivered'))`
)

// Spend implements tickets.Store.
func (s *Store) Spend(ctx context.Context, sp tickets.Spend) (won bool, err error) {
	now := micros(sp.Now)
	err = s.write(ctx, 2, func(c *conn) error {
		n, err := c.exec(openReady, sp.Ticket[:], sp.Hash[:], sp.Claim[:], now, sp.Blob[:])
		switch {
		case err != nil:
			return err
		case n == 1:
			n, err = c.exec(keepOpened, sp.Blob[:], now)
		default:
			n, err = c.exec(openAgain, sp.Blob[:], now, sp.Ticket[:], sp.Hash[:])
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
