package sqlstore

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	"mayfly/tickets"
)

// findTicket has its columns unnamed, as near as it goes: the driver makes a string of the name and one
// of the declared type of each, for each row, and an expression has no such type.
var findTicket = `SELECT +` + strings.ReplaceAll(heldColumns, ",", " AS a, +") + ` AS a FROM tickets t JOIN blobs b ON b.id = t.blob_id
	WHERE t.id = $1 AND t.token_hash = $2`

const (
	// openReady is the one statement that decides (P2): it finds the ticket ready and
	// turns it in the same breath, or changes nothing.
	openReady = turnTicket + `
	AND EXISTS (SELECT 1 FROM blobs b WHERE b.id = $5 AND b.state = 'stored' AND b.evidence = 0 AND b.expires_at > $4)`

	// turnTicket leaves it to keepLikely whether the blob can be opened: in the same
	// transaction turnBack undoes it if not. That spares a search for the blob.
	turnTicket = `UPDATE tickets SET state = 'opened', claim = $3, opened_at = $4
	WHERE id = $1 AND token_hash = $2 AND state = 'ready' AND blob_id = $5`
	turnBack = `UPDATE tickets SET state = 'ready', claim = NULL, opened_at = NULL WHERE id = $1`

	// An open keeps the bytes until now + keep, and never less long than an earlier
	// open did, whose clock may have been ahead of ours (P4: nothing early). As long as
	// somebody can still open, they are kept to the deadline.
	kept   = `CASE WHEN keep_until > $2 + keep THEN keep_until ELSE $2 + keep END`
	toLast = `CASE WHEN expires_at > ` + kept + ` THEN expires_at ELSE ` + kept + ` END`

	// keepOpened: ready is the count before this open, this ticket included.
	keepOpened = `UPDATE blobs SET ready = ready - 1, keep_until = ` + kept + `,
		purge_at = CASE WHEN ready > 1 OR unlimited = 1 THEN ` + toLast + ` ELSE ` + kept + ` END
		WHERE id = $1`

	// keepLikely is keepOpened for a blob that can be opened, and where look_at stays: it is no
	// later than any purge_at that this sets. So it is for a blob that no purge has looked
	// at, as nearly all are.
	keepLikely = keepOpened + ` AND state = 'stored' AND evidence = 0 AND expires_at > $2 AND look_at <= $2 + keep`

	// lookSooner keeps look_at from being later than purge_at. It is apart because
	// SQLite writes the index of each column that an UPDATE names, changed or not.
	lookSooner = `UPDATE blobs SET look_at = purge_at WHERE id = $1 AND look_at > purge_at`

	openAgain = `UPDATE blobs SET keep_until = ` + kept + `, purge_at = ` + toLast + `
		WHERE id = $1 AND unlimited = 1 AND state = 'stored' AND expires_at > $2
		AND EXISTS (SELECT 1 FROM tickets WHERE id = $3 AND token_hash = $4 AND blob_id = $1
			AND (state = 'opened' OR state = 'delivered'))`

	acknowledge = `UPDATE tickets SET state = 'delivered', delivered_at = $4
		WHERE id = $1 AND token_hash = $2 AND state = 'opened'
		AND (claim = $3 OR EXISTS (SELECT 1 FROM blobs b WHERE b.id = tickets.blob_id AND b.unlimited = 1))`
)

func (s *sqliteDatabase) findTicket(ctx context.Context, id uuid.UUID, h tickets.Hash) (tickets.Ticket, tickets.Blob, bool, error) {
	l := &lookup{id: id, hash: h}
	err := s.lookups.do(ctx, l)
	return l.t, l.b, l.found && err == nil, err
}

// lookUp finds the tickets of a batch in one snapshot: what a reader has of the database in
// its memory is void with each commit of the writer, and is read anew for all at once.
func (s *sqliteDatabase) lookUp(batch []*lookup) []error {
	err := s.read(context.Background(), func(c *conn) error {
		if len(batch) == 1 {
			return batch[0].find(c)
		}
		return c.snapshot(func() error {
			for _, l := range batch {
				if err := l.find(c); err != nil {
					return err
				}
			}
			return nil
		})
	})
	errs := make([]error, len(batch))
	if err == nil || len(batch) == 1 || errors.Is(err, ErrBusy) { // each would wait out the same time limit
		return fill(errs, err)
	}
	for i := range batch { // who cannot succeed fails alone
		errs[i] = s.lookUp(batch[i : i+1])[0]
	}
	return errs
}

func (l *lookup) find(c *conn) (err error) {
	l.found, err = c.first(findTicket, []any{l.id[:], l.hash[:]}, func(r *row) { l.t, l.b = readHeld(r, l.id, l.hash) })
	return err
}

func (s *sqliteDatabase) spend(ctx context.Context, sp tickets.Spend) (won bool, err error) {
	err = s.write(ctx, 2, func(c *conn) error {
		if won, err = spendLikely(c, &sp); won || err != nil {
			return err
		}
		won, err = spendAny(c, &sp)
		return err
	})
	return won, err
}

// spendLikely spends a ready ticket of a blob that no purge has looked at, as nearly all are,
// or changes nothing.
func spendLikely(c *conn, sp *tickets.Spend) (won bool, err error) {
	now := micros(sp.Now)
	n, err := c.exec(turnTicket, sp.Ticket[:], sp.Hash[:], sp.Claim[:], now, sp.Blob[:])
	if err != nil || n == 0 {
		return false, err
	}
	n, err = c.exec(keepLikely, sp.Blob[:], now)
	if err == nil && n == 0 {
		_, err = c.exec(turnBack, sp.Ticket[:])
	}
	return n == 1, err
}

// spendAny spends by all the rules: also where a purge has looked at the blob already, and what is
// unlimited once more.
func spendAny(c *conn, sp *tickets.Spend) (won bool, err error) {
	now := micros(sp.Now)
	n, err := c.exec(openReady, sp.Ticket[:], sp.Hash[:], sp.Claim[:], now, sp.Blob[:])
	switch {
	case err != nil:
	case n == 0:
		n, err = c.exec(openAgain, sp.Blob[:], now, sp.Ticket[:], sp.Hash[:])
	default:
		if n, err = c.exec(keepOpened, sp.Blob[:], now); err == nil {
			_, err = c.exec(lookSooner, sp.Blob[:])
		}
	}
	return n == 1, err
}

func (s *sqliteDatabase) acknowledge(ctx context.Context, a acknowledgement) (changed bool, err error) {
	err = s.write(ctx, 1, func(c *conn) error {
		n, err := c.exec(acknowledge, a.ticket[:], a.hash[:], a.claim[:], micros(a.now))
		changed = n == 1
		return err
	})
	return changed, err
}

// takeAttempt ends an attempt, unless a purge has claimed it, which may be deleting
// its bytes at this moment: P1 holds for what is stored.
const takeAttempt = `DELETE FROM attempts WHERE blob_id = $1 AND key = $2 AND retry_at IS NULL`

func (s *sqliteDatabase) addBlob(ctx context.Context, b newBlob) error {
	return s.write(ctx, 2+len(b.tickets), func(c *conn) error {
		if b.fromAttempt {
			n, err := c.exec(takeAttempt, b.ID[:], string(b.Key))
			switch {
			case err != nil:
				return err
			case n == 0:
				return refuse(tickets.ErrTooLate)
			}
		}
		if err := addBlob(c, b.Blob, b.tickets, b.grant); err != nil {
			return err
		}
		return addTickets(c, b.ID, b.tickets)
	})
}
