package sqlstore

import (
	"context"
	"time"

	"mayfly/reports"
	"mayfly/tickets"
)

const (
	changeReport = `UPDATE reports SET state = $2, comment = $3, sealed_key = $4, keep_until = $5,
		claimed_by = $6, claimed_until = $7, decided_by = $8, decided_at = $9, policy = $10, note = $11,
		reopened_by = $12, reopened_at = $13, hold_class = $14, hold_reason = $15, hold_by = $16, hold_since = $17, hold_until = $18,
		free_asked_by = $19, free_asked_at = $20, withdrawn_at = $21 WHERE id = $1`

	// keepEvidence: what a moderator has just opened can be resumed, whatever was decided.
	// What should have gone during a hold is due from its end on, and nobody is late.
	keepEvidence = `UPDATE blobs SET expires_at = $2, pinned_until = $3,
		purge_at = CASE WHEN pinned_until > $4 AND $2 < $4 AND COALESCE(keep_until, $2) < $4 THEN $4
			WHEN keep_until > $2 THEN keep_until ELSE $2 END,
		look_at = CASE WHEN look_at > $2 THEN $2 ELSE look_at END
		WHERE id = $1 AND evidence = 1 AND ` + isStored

	dropEvidence = `UPDATE blobs SET state = 'purging', reason = 'unsent', purge_at = $2, retry_at = $2, ready = 0, pinned_until = NULL
		WHERE id = $1 AND evidence = 1 AND ` + isLive

	countTicket = `UPDATE blobs SET ready = ready + 1 WHERE id = $1`
)

// Change implements reports.Store.
func (s *Store) Change(ctx context.Context, who reports.Who, now time.Time, change func(reports.Report) (reports.Change, error)) (x reports.Report, err error) {
	err = s.audited(ctx, 5, func(c *conn) (err error) {
		x, err = changeOf(c, who, now, change)
		return err
	})
	return x, err
}

func changeOf(c *conn, who reports.Who, now time.Time, change func(reports.Report) (reports.Change, error)) (x reports.Report, err error) {
	id := who.Report
	l, err := lockReport(c, id)
	if err != nil {
		return x, err
	}
	if who.Tenant != "" {
		x, err = reportBy(c, `WHERE r.id = $1 AND r.tenant = $2`, id[:], who.Tenant)
	} else {
		x, err = reportBy(c, `WHERE r.id = $1 AND r.handle = $2`, id[:], who.Handle[:])
	}
	if err != nil {
		return x, err
	}
	next, err := change(x)
	if err != nil {
		return x, refuse(err)
	}
	if len(next.Acts) == 0 {
		return x, nil
	}
	if err := writeReport(c, next.Report); err != nil {
		return x, err
	}
	if err := followReport(c, l, next.Report, now); err != nil {
		return x, err
	}
	if t := next.Ticket; t != nil {
		ticket := tickets.Ticket{ID: t.ID, Hash: t.Hash, Recipient: t.Moderator.String(), CreatedAt: now}
		if err := addTickets(c, id, []tickets.Ticket{ticket}); err != nil {
			return x, err
		}
		if _, err := c.exec(countTicket, id[:]); err != nil {
			return x, err
		}
	}
	if err := appendAudit(c, l.tenant, now, who.Actor, id, next.Acts); err != nil {
		return x, err
	}
	return reportBy(c, `WHERE r.id = $1`, id[:])
}

func writeReport(c *conn, x reports.Report) error {
	class, reason := any(nil), any(nil)
	var hold reports.Hold
	if x.Hold != nil {
		hold = *x.Hold
		class, reason = string(hold.Class), hold.Reason
	}
	_, err := c.exec(changeReport, x.ID[:], string(x.State), x.Comment, x.SealedKey, microsOrNull(x.KeepUntil),
		idOrNull(x.Claim.By), microsOrNull(x.Claim.Until), idOrNull(x.Decision.By), microsOrNull(x.Decision.At), x.Decision.Policy, x.Decision.Note,
		idOrNull(x.Reopened.By), microsOrNull(x.Reopened.At), class, reason, idOrNull(hold.By), microsOrNull(hold.Since), microsOrNull(hold.Until),
		idOrNull(hold.FreeAskedBy), microsOrNull(hold.FreeAskedAt), microsOrNull(x.WithdrawnAt))
	return err
}

// followReport makes of the blobs what has become of the report.
func followReport(c *conn, was locked, x reports.Report, now time.Time) error {
	id := x.ID
	if x.State != reports.StateWithdrawn {
		pinned := any(nil)
		if x.Hold != nil {
			pinned = micros(x.Hold.Until)
		}
		_, err := c.exec(keepEvidence, id[:], micros(x.DueAt()), pinned, micros(now))
		return err
	}
	if _, err := c.exec(dropEvidence, id[:], micros(now)); err != nil {
		return err
	}
	if _, err := c.exec(revokeAll, id[:], micros(now), int64(1)); err != nil {
		return err
	}
	if was.state != reports.StateCopying {
		return nil
	}
	return unpinFor(c, was.blob, micros(now))
}
