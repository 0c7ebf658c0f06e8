package sqlstore

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/reports"
	"mayfly/tickets"
)

var _ reports.Store = (*Store)(nil)

// reportColumns are what readReport reads, of report r and the blob b of its evidence.
const reportColumns = `r.id, r.tenant, r.state,
	r.blob_id, r.sha256, r.size, r.key_commitment, r.context, r.stamp, r.uploaded_at,
	r.reason, r.comment, r.statement, r.locale, r.statement_sha256, r.shared, r.sealed_key, r.filed_at, r.media_until,
	r.keep_until, r.claimed_by, r.claimed_until, r.decided_by, r.decided_at, r.policy, r.note, r.reopened_by, r.reopened_at,
	r.hold_class, r.hold_reason, r.hold_by, r.hold_since, r.hold_until, r.free_asked_by, r.free_asked_at,
	r.withdrawn_at, r.erased_at, b.state, b.expires_at`

const fromReports = ` FROM reports r JOIN blobs b ON b.id = r.id `

func readReport(r *row) reports.Report {
	x := reports.Report{ID: r.id(), Tenant: r.text(), State: reports.State(r.text())}
	x.Reported = reports.Reported{
		Blob: r.id(), SHA256: blobstore.Digest(r.hash()), Size: r.int(),
		KeyCommitment: r.text(), Context: r.text(), Stamp: r.text(), UploadedAt: r.time(),
	}
	x.Reason, x.Comment = r.text(), r.text()
	x.Consent = reports.Consent{Statement: r.text(), Locale: r.text(), SHA256: blobstore.Digest(r.hash())}
	x.Consent.Shared = strings.Split(r.text(), ",")
	x.SealedKey, x.FiledAt, x.MediaUntil = r.text(), r.time(), r.time()
	x.Consent.At = x.FiledAt
	x.KeepUntil = r.time()
	x.Claim = reports.Claim{By: r.id(), Until: r.time()}
	x.Decision = reports.Decision{By: r.id(), At: r.time(), Policy: r.text(), Note: r.text()}
	x.Reopened = reports.Reopened{By: r.id(), At: r.time()}
	hold := reports.Hold{
		Class: reports.HoldClass(r.text()), Reason: r.text(), By: r.id(), Since: r.time(), Until: r.time(),
		FreeAskedBy: r.id(), FreeAskedAt: r.time(),
	}
	if !hold.Until.IsZero() {
		x.Hold = &hold
	}
	x.WithdrawnAt, x.ErasedAt = r.time(), r.time()
	x.Evidence = evidenceOf(tickets.BlobState(r.text()))
	x.ExpiresAt = r.time()
	return x
}

func evidenceOf(state tickets.BlobState) reports.Evidence {
	switch state {
	case tickets.BlobPending:
		return reports.EvidenceNone
	case tickets.BlobStored:
		return reports.EvidenceStored
	}
	return reports.EvidenceGone
}

// reportBy reads one report.
func reportBy(c *conn, where string, args ...any) (x reports.Report, err error) {
	found, err := c.first(`SELECT `+reportColumns+fromReports+where, args, func(r *row) { x = readReport(r) })
	if err == nil && !found {
		err = refuse(reports.ErrUnknownReport)
	}
	return x, err
}

// Report implements reports.Store.
func (s *Store) Report(ctx context.Context, tenant string, id uuid.UUID) (reports.Report, error) {
	return s.readReport(ctx, `WHERE r.id = $1 AND r.tenant = $2`, id[:], tenant)
}

// HandledReport implements reports.Store.
func (s *Store) HandledReport(ctx context.Context, id uuid.UUID, handle reports.Hash) (reports.Report, error) {
	return s.readReport(ctx, `WHERE r.id = $1 AND r.handle = $2`, id[:], handle[:])
}

func (s *Store) readReport(ctx context.Context, where string, args ...any) (x reports.Report, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		x, err = reportBy(c, where, args...)
		return err
	})
	if answer, ok := refused(err); ok {
		err = answer
	}
	return x, err
}

// Reports implements reports.Store. Each filter has an index of its own.
func (s *Store) Reports(ctx context.Context, tenant string, q reports.Query) (page []reports.Report, err error) {
	query, args := listReports(tenant, q)
	err = s.readLong(ctx, func(c *conn) error {
		page = nil
		return c.query(ctx, query, args, func(r *row) { page = append(page, readReport(r)) })
	})
	return page, err
}

func listReports(tenant string, q reports.Query) (query string, args []any) {
	query = `SELECT ` + reportColumns + fromReports + `WHERE r.tenant = $1 AND r.id > $2`
	args = []any{tenant, q.After[:], int64(q.Limit), micros(q.Now)}
	switch q.State {
	case "":
	case reports.StateOpen:
		query += ` AND r.state = 'open' AND (r.claimed_until IS NULL OR r.claimed_until <= $4)`
	case reports.StateClaimed:
		query += ` AND r.state = 'open' AND r.claimed_until > $4`
	default:
		args = append(args, string(q.State))
		query += ` AND r.state = $5`
	}
	if q.Reason != "" {
		args = append(args, q.Reason)
		query += ` AND r.reason = $` + string(rune('0'+len(args)))
	}
	switch {
	case q.Held == nil:
	case *q.Held:
		query += ` AND r.hold_until IS NOT NULL AND r.hold_until > $4`
	default:
		query += ` AND (r.hold_until IS NULL OR r.hold_until <= $4)`
	}
	// $4 is named in any case: PostgreSQL wants to know the type of each parameter.
	return query + ` AND CAST($4 AS BIGINT) IS NOT NULL ORDER BY r.id LIMIT $3`, args
}

const (
	countWaiting = `SELECT state, COUNT(*), MIN(filed_at) FROM reports WHERE state IN ('copying', 'awaiting_media', 'open') GROUP BY state`
	countHeld    = `SELECT COUNT(*) FROM reports WHERE hold_until IS NOT NULL AND hold_until > $1`
)

// ReportBacklog implements reports.Store.
func (s *Store) ReportBacklog(ctx context.Context, now time.Time) (b reports.Backlog, err error) {
	err = s.readLong(ctx, func(c *conn) error {
		b = reports.Backlog{}
		err := c.query(ctx, countWaiting, nil, func(r *row) {
			state, n, oldest := reports.State(r.text()), r.int(), r.time()
			switch state {
			case reports.StateCopying:
				b.Copying = n
			case reports.StateAwaitingMedia:
				b.Awaiting = n
			case reports.StateOpen:
				b.Open, b.OldestOpen = n, oldest
			}
		})
		if err != nil {
			return err
		}
		_, err = c.first(countHeld, []any{micros(now)}, func(r *row) { b.Held = r.int() })
		return err
	})
	return b, err
}

// idOrNull stores what is not there as NULL.
func idOrNull(id uuid.UUID) any {
	if id == (uuid.UUID{}) {
		return nil
	}
	return id[:]
}
