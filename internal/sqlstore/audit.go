package sqlstore

import (
	"context"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/reports"
)

const (
	firstHead = `INSERT INTO audit_heads (tenant, number, hash) VALUES ($1, 0, $2) ON CONFLICT (tenant) DO NOTHING`
	findHead  = `SELECT number, hash FROM audit_heads WHERE tenant = $1`
	moveHead  = `UPDATE audit_heads SET number = $2, hash = $3 WHERE tenant = $1`

	insertEntry = `INSERT INTO audit (tenant, number, at, actor, act, report_id, subject, digest, previous, hash)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

	someEntries = `SELECT number, at, actor, act, report_id, subject, digest, previous, hash FROM audit
		WHERE tenant = $1 AND number > $2 ORDER BY number LIMIT $3`
)

// auditors is how many of this process are at the audit log at a time. All of a tenant's
// wait for each other there, each with a connection: a burst of reports would take those
// that opens are spent with, and wait for longer than anybody waits for a lock.
const auditors = 2

// audited is write for a transaction that ends in appendAudit.
func (s *Store) audited(ctx context.Context, rows int, do func(*conn) error) error {
	select {
	case s.audits <- struct{}{}:
		defer func() { <-s.audits }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.write(ctx, rows, do)
}

// appendAudit writes entries behind the last one of the tenant's chain, within the
// transaction of what they record. It is the last thing that the transaction does: it
// keeps all others of the tenant from theirs until it ends.
func appendAudit(c *conn, tenant string, at time.Time, actor string, report uuid.UUID, acts []reports.Record) error {
	var none blobstore.Digest
	if _, err := c.exec(firstHead, tenant, none[:]); err != nil {
		return err
	}
	head := reports.Head{Tenant: tenant}
	if _, err := c.first(findHead+c.dialect.lock, []any{tenant}, func(r *row) {
		head.Number, head.Hash = r.int(), blobstore.Digest(r.hash())
	}); err != nil {
		return err
	}
	for _, act := range acts {
		e := head.Next(at, actor, report, act)
		if _, err := c.exec(insertEntry, tenant, e.Number, micros(e.At), e.Actor, string(e.Act), e.Report[:], idOrNull(e.Subject),
			digestOrNull(e.Digest), e.Previous[:], e.Hash[:]); err != nil {
			return err
		}
		head = e.Head()
	}
	_, err := c.exec(moveHead, tenant, head.Number, head.Hash[:])
	return err
}

// Audit implements reports.Store.
func (s *Store) Audit(ctx context.Context, tenant string, after int64, limit int) (page []reports.Entry, head reports.Head, err error) {
	err = s.readLong(ctx, func(c *conn) error {
		page, head = nil, reports.Head{Tenant: tenant}
		return c.snapshot(func() error {
			if _, err := c.first(findHead, []any{tenant}, func(r *row) {
				head.Number, head.Hash = r.int(), blobstore.Digest(r.hash())
			}); err != nil {
				return err
			}
			return c.query(ctx, someEntries, []any{tenant, after, int64(limit)}, func(r *row) {
				e := reports.Entry{Number: r.int(), At: r.time(), Tenant: tenant, Actor: r.text()}
				e.Act, e.Report, e.Subject, e.Digest = reports.Act(r.text()), r.id(), r.id(), r.digest()
				e.Previous, e.Hash = blobstore.Digest(r.hash()), blobstore.Digest(r.hash())
				page = append(page, e)
			})
		})
	})
	return page, head, err
}
