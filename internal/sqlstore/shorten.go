package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"mayfly/expiry"
)

// Both the plan and the deed are made of these, so that they cannot differ. $1 to $4
// are a page of blobs, the tenant and the policy's name; $5 to $8 its terms.
const (
	endOfPage = `SELECT id FROM (SELECT id FROM blobs WHERE id > $1 ORDER BY id LIMIT $2) d ORDER BY id DESC LIMIT 1`

	// followers are the blobs of a page that have a term which is longer now. A
	// change for all tenants is not about those that have a policy of their own by
	// that name (counted, for the reason that loneAttempt is). Evidence never follows: its outcome or
	// its hold says how long it is kept.
	followers = `id > $1 AND id <= $2 AND ` + isLive + ` AND policy = $4
		AND (tenant = $3 OR $3 = '' AND (SELECT COUNT(*) FROM policies p WHERE p.tenant = blobs.tenant AND p.name = blobs.policy) = 0)
		AND (unopened_ttl > $5 OR report_window > $6 OR resume_window > $7 OR tombstone_ttl > $8)
		AND evidence = 0`

	holdFollowers = `SELECT 1 FROM blobs WHERE ` + followers + ` ORDER BY id`

	newReport = `CASE WHEN report_window > $6 THEN $6 ELSE report_window END`
	newResume = `CASE WHEN resume_window > $7 THEN $7 ELSE resume_window END`
	newKeep   = `CASE WHEN ` + newReport + ` > ` + newResume + ` THEN ` + newReport + ` ELSE ` + newResume + ` END`

	// newExpires of a pending blob is NULL, as it was.
	newExpires = `CASE WHEN stored_at + $5 < expires_at THEN stored_at + $5 ELSE expires_at END`
	// newKept moves the end of the latest open's window by as much as the window shrinks.
	newKept = `(keep_until - (keep - ` + newKeep + `))`

	// ruledPurge is design §4 over the new terms. That the deadline counts for an
	// opened blob is known by a ticket that is ready, or by a purge that is later than
	// the open's window: so it was for tickets that have been revoked since, in
	// whose place the sender may issue others.
	ruledPurge = `CASE WHEN stored_at IS NULL THEN purge_at
		WHEN keep_until IS NULL OR (ready > 0 OR unlimited = 1 OR purge_at > keep_until) AND ` + newExpires + ` > ` + newKept + ` THEN ` + newExpires + `
		ELSE ` + newKept + ` END`

	// newPurge is never later than it was: that is what keeps a restored database's
	// void blobs due.
	newPurge = `CASE WHEN ` + ruledPurge + ` < purge_at THEN ` + ruledPurge + ` ELSE purge_at END`

	shortenBlobs = `UPDATE blobs SET
		unopened_ttl = CASE WHEN unopened_ttl > $5 THEN $5 ELSE unopened_ttl END,
		report_window = ` + newReport + `, resume_window = ` + newResume + `, keep = ` + newKeep + `,
		tombstone_ttl = CASE WHEN tombstone_ttl > $8 THEN $8 ELSE tombstone_ttl END,
		expires_at = ` + newExpires + `, keep_until = ` + newKept + `, purge_at = ` + newPurge + `,
		look_at = CASE WHEN look_at > ` + newPurge + ` THEN ` + newPurge + ` ELSE look_at END
		WHERE ` + followers

	// planPage divides what would go earlier by when that is: 0 is at once, 1 within
	// a day from $9, which is now.
	planPage = `SELECT days, COUNT(*), CAST(SUM(size) AS BIGINT), MIN(at), MAX(at) FROM (
		SELECT CASE WHEN at <= $9 THEN 0 ELSE 1 + (at - $9 - 1) / 86400000000 END AS days, size, at FROM (
			SELECT size, purge_at, ` + newPurge + ` AS at FROM blobs WHERE ` + followers + `
		) r WHERE at < purge_at AND purge_at > $9
	) d GROUP BY days ORDER BY days`
)

// shortening is a policy and the page of blobs that are to follow it.
type shortening struct {
	tenant      string
	policy      expiry.Policy
	after, last uuid.UUID
}

func (s shortening) args(more ...any) []any {
	p := s.policy
	return append([]any{s.after[:], s.last[:], s.tenant, p.Name,
		duration(p.UnopenedTTL), duration(p.ReportWindow), duration(p.ResumeWindow), duration(p.TombstoneTTL)}, more...)
}

// plan sums up the page.
func (s shortening) plan(ctx context.Context, c *conn, now time.Time) (plan expiry.PolicyPlan, err error) {
	err = c.query(ctx, planPage, s.args(micros(now)), func(r *row) {
		part := &plan.Later
		switch days := r.int(); {
		case days == 0:
			part = &plan.DueNow
		case days <= expiry.PlanDays:
			part = &plan.Days[days-1]
		}
		part.Blobs += r.int()
		part.Bytes += r.int()
		plan.Extend(r.time(), r.time())
	})
	return plan, err
}

// page ends the page at the id of the last of the next blobs; false if there are none.
func (s *shortening) page(c *conn, limit int) (more bool, err error) {
	s.last = s.after
	return c.first(endOfPage, []any{s.after[:], int64(limit)}, func(r *row) { s.last = r.id() })
}

// PlanPolicy implements expiry.PolicyStore.
func (s *Store) PlanPolicy(ctx context.Context, tenant string, p expiry.Policy, after uuid.UUID, limit int, now time.Time) (plan expiry.PolicyPlan, last uuid.UUID, err error) {
	next := shortening{tenant: tenant, policy: p, after: after}
	err = s.readLong(ctx, func(c *conn) error {
		more, err := next.page(c, limit)
		if err != nil || !more {
			return err
		}
		plan, err = next.plan(ctx, c, now)
		return err
	})
	return plan, next.last, err
}

const (
	findChange = `SELECT ` + changeColumns + `, walked FROM policy_changes WHERE id = $1`

	moveOn    = `UPDATE policy_changes SET walked = $2, blobs = blobs + $3, bytes = bytes + $4 WHERE id = $1`
	endChange = `UPDATE policy_changes SET finished_at = $2 WHERE id = $1`
)

// Shorten implements expiry.PolicyStore.
func (s *Store) Shorten(ctx context.Context, id uuid.UUID, limit int, now time.Time) (change expiry.PolicyChange, err error) {
	err = s.write(ctx, limit, func(c *conn) (err error) {
		change, err = shorten(c, id, limit, now)
		return err
	})
	return change, err
}

func shorten(c *conn, id uuid.UUID, limit int, now time.Time) (change expiry.PolicyChange, err error) {
	if err := c.hold(`SELECT 1 FROM policy_changes WHERE id = $1`, id[:]); err != nil {
		return change, err
	}
	var next shortening
	var failed error
	found, err := c.first(findChange, []any{id[:]}, func(r *row) { change, next.after = readChange(r, &failed), r.id() })
	switch {
	case err != nil || failed != nil:
		return change, errors.Join(err, failed)
	case !found:
		return change, refuse(expiry.ErrUnknownPolicy)
	case !change.FinishedAt.IsZero():
		return change, nil
	}
	next.tenant, next.policy = change.Tenant, change.After.Policy
	more, err := next.page(c, limit)
	if err != nil {
		return change, err
	}
	if !more {
		change.FinishedAt = now
		_, err = c.exec(endChange, id[:], micros(now))
		return change, err
	}
	// In the order of their ids, as spends lock them: so nobody waits in a circle.
	if err := c.hold(holdFollowers, next.args()...); err != nil {
		return change, err
	}
	plan, err := next.plan(context.Background(), c, now)
	if err != nil {
		return change, err
	}
	if _, err := c.exec(shortenBlobs, next.args()...); err != nil {
		return change, err
	}
	sum := plan.Total()
	change.Blobs, change.Bytes = change.Blobs+sum.Blobs, change.Bytes+sum.Bytes
	_, err = c.exec(moveOn, id[:], next.last[:], sum.Blobs, sum.Bytes)
	return change, err
}
