package sqlstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"mayfly/expiry"
	"mayfly/reports"
	"mayfly/tickets"
)

const (
	findPull = `SELECT t.recipient, t.created_at, b.tenant FROM tickets t JOIN blobs b ON b.id = t.blob_id
		WHERE t.id = $1 AND t.token_hash = $2 AND t.blob_id = $3 AND b.evidence = 1`

	goodKey = `SELECT 1 FROM api_keys WHERE id = $1 AND tenant = $2 AND role = 'moderator' AND revoked_at IS NULL`

	// openEvidence is openReady, for evidence.
	openEvidence = `UPDATE tickets SET state = 'opened', claim = $3, opened_at = $4
		WHERE id = $1 AND token_hash = $2 AND state = 'ready' AND blob_id = $5
		AND EXISTS (SELECT 1 FROM blobs b WHERE b.id = $5 AND COALESCE(b.state, '') = 'stored' AND b.evidence = 1 AND b.expires_at > $4)`
)

// spendEvidence spends a moderator's ticket, in one transaction with the entry in the audit
// log (P6). There are few of these: they do not share a statement with other opens.
func (s *Store) spendEvidence(ctx context.Context, sp tickets.Spend) (won bool, err error) {
	err = s.audited(ctx, 3, func(c *conn) error {
		won = false
		now := micros(sp.Now)
		if err := c.hold(`SELECT 1 FROM blobs WHERE id = $1`, sp.Blob[:]); err != nil {
			return err
		}
		var moderator, tenant string
		var issued time.Time
		found, err := c.first(findPull, []any{sp.Ticket[:], sp.Hash[:], sp.Blob[:]}, func(r *row) {
			moderator, issued, tenant = r.text(), r.time(), r.text()
		})
		if err != nil || !found {
			return err
		}
		key, err := uuid.Parse(moderator)
		if err != nil {
			return err
		}
		good, err := c.first(goodKey, []any{key[:], tenant}, func(*row) {})
		switch {
		case err != nil:
			return err
		case !good:
			return refuse(tickets.ErrRevoked)
		case micros(issued.Add(tickets.EvidenceTTL)) <= now:
			return refuse(tickets.ErrExpired)
		}
		n, err := c.exec(openEvidence, sp.Ticket[:], sp.Hash[:], sp.Claim[:], now, sp.Blob[:])
		if err != nil || n == 0 {
			return err
		}
		if _, err := c.exec(keepOpened, sp.Blob[:], now); err != nil {
			return err
		}
		won = true
		return appendAudit(c, tenant, sp.Now, moderator, sp.Blob, []reports.Record{{Act: reports.ActOpened, Subject: sp.Ticket}})
	})
	return won && err == nil, err
}

// eraseReport takes the texts and the sealed key away with the bytes. What was not decided
// by then waits for nobody any more.
const eraseReport = `UPDATE reports SET comment = '', sealed_key = '', erased_at = $2, claimed_by = NULL, claimed_until = NULL,
	state = CASE WHEN state IN ('copying', 'awaiting_media', 'open') THEN 'lapsed' ELSE state END
	WHERE id = $1 AND erased_at IS NULL AND EXISTS (SELECT 1 FROM blobs b WHERE b.id = $1 AND COALESCE(b.state, '') = 'erased')
	RETURNING tenant, blob_id`

// eraseReports does it for those whose evidence was erased in this transaction.
func eraseReports(c *conn, done []expiry.Due, now time.Time) error {
	type erased struct {
		id, blob uuid.UUID
		tenant   string
	}
	var all []erased
	for _, d := range done {
		if !d.Evidence || d.ID == (uuid.UUID{}) {
			continue
		}
		e := erased{id: d.ID}
		found, err := c.first(eraseReport, []any{d.ID[:], micros(now)}, func(r *row) { e.tenant, e.blob = r.text(), r.id() })
		if err != nil {
			return err
		}
		if found {
			all = append(all, e)
		}
	}
	// In one order for all who do this: so nobody waits for a chain in a circle.
	slices.SortStableFunc(all, func(a, b erased) int { return cmp.Compare(a.tenant, b.tenant) })
	for _, e := range all {
		if err := appendAudit(c, e.tenant, now, reports.ActorServer, e.id, []reports.Record{{Act: reports.ActErased}}); err != nil {
			return err
		}
	}
	return nil
}
