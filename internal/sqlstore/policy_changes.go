package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"mayfly/expiry"
)

const (
	insertChange = `INSERT INTO policy_changes (id, tenant, name, changed_at, changed_by, before, after,
		apply_to_stored, upload_ttl, walked, blobs, bytes, finished_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, $11)`

	changeColumns = `id, tenant, name, changed_at, changed_by, before, after, apply_to_stored, blobs, bytes, finished_at`

	// openChange: one of all tenants is about each of them.
	openChange = `SELECT 1 FROM policy_changes WHERE finished_at IS NULL AND id > $1 AND name = $2
		AND (tenant = $3 OR tenant = '' OR $3 = '') LIMIT 1`

	openChanges = `SELECT ` + changeColumns + ` FROM policy_changes WHERE finished_at IS NULL AND id > $1 ORDER BY id LIMIT $2`

	changesOf = `SELECT ` + changeColumns + ` FROM policy_changes
		WHERE id > $1 AND ($2 = '' OR tenant = $2 OR tenant = '') ORDER BY id LIMIT $3`
)

func putChange(c *conn, p expiry.PolicyChange) error {
	var before any
	var upload time.Duration
	if p.Before != nil {
		text, err := encodePolicy(*p.Before)
		if err != nil {
			return err
		}
		before, upload = text, p.Before.UploadTTL
	}
	after, err := encodePolicy(p.After)
	if err != nil {
		return err
	}
	_, err = c.exec(insertChange, p.ID[:], p.Tenant, p.Name, micros(p.At), p.By, before, after,
		flag(p.ApplyToStored), duration(upload), noID[:], microsOrNull(p.FinishedAt))
	return err
}

func readChange(r *row, failed *error) expiry.PolicyChange {
	p := expiry.PolicyChange{ID: r.id(), Tenant: r.text(), Name: r.text(), At: r.time(), By: r.text()}
	if text := r.text(); text != "" {
		p.Before = new(decodePolicy(text, failed))
	}
	p.After = decodePolicy(r.text(), failed)
	p.ApplyToStored = r.bool()
	p.Blobs, p.Bytes, p.FinishedAt = r.int(), r.int(), r.time()
	return p
}

// Changes implements expiry.PolicyStore.
func (s *Store) Changes(ctx context.Context, tenant string, after uuid.UUID, limit int) ([]expiry.PolicyChange, error) {
	return s.changes(ctx, changesOf, after[:], tenant, int64(limit))
}

// OpenChanges implements expiry.PolicyStore.
func (s *Store) OpenChanges(ctx context.Context, limit int) ([]expiry.PolicyChange, error) {
	return s.changes(ctx, openChanges, noID[:], int64(limit))
}

func (s *Store) changes(ctx context.Context, query string, args ...any) (ps []expiry.PolicyChange, err error) {
	var failed error
	err = s.readLong(ctx, func(c *conn) error {
		ps = nil
		return c.query(ctx, query, args, func(r *row) { ps = append(ps, readChange(r, &failed)) })
	})
	if err == nil {
		err = failed
	}
	return ps, err
}

// recordedPolicy is a policy as the record keeps it: readable as it is, and the same
// whatever the columns of policies will be. Durations are seconds.
type recordedPolicy struct {
	Name         string        `json:"name"`
	Origin       expiry.Origin `json:"origin"`
	Unlimited    bool          `json:"unlimited"`
	SharedTicket bool          `json:"shared_ticket"`
	Internal     bool          `json:"internal"`
	UnopenedTTL  int64         `json:"unopened_ttl"`
	ReportWindow int64         `json:"report_window"`
	ResumeWindow int64         `json:"resume_window"`
	UploadTTL    int64         `json:"upload_ttl"`
	TombstoneTTL int64         `json:"tombstone_ttl"`
	MaxSize      int64         `json:"max_size"`
}

func encodePolicy(p expiry.PolicyInUse) (string, error) {
	seconds := func(d time.Duration) int64 { return int64(d / time.Second) }
	text, err := json.Marshal(recordedPolicy{
		Name: p.Name, Origin: p.Origin, Unlimited: p.Unlimited, SharedTicket: p.SharedTicket, Internal: p.Internal,
		UnopenedTTL: seconds(p.UnopenedTTL), ReportWindow: seconds(p.ReportWindow), ResumeWindow: seconds(p.ResumeWindow),
		UploadTTL: seconds(p.UploadTTL), TombstoneTTL: seconds(p.TombstoneTTL), MaxSize: p.MaxSize,
	})
	return string(text), err
}

func decodePolicy(text string, failed *error) expiry.PolicyInUse {
	var p recordedPolicy
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		*failed = fmt.Errorf("the record of a policy's change: %w", err)
	}
	seconds := func(n int64) time.Duration { return time.Duration(n) * time.Second }
	return expiry.PolicyInUse{Origin: p.Origin, Policy: expiry.Policy{
		Name: p.Name, Unlimited: p.Unlimited, SharedTicket: p.SharedTicket, Internal: p.Internal,
		UnopenedTTL: seconds(p.UnopenedTTL), ReportWindow: seconds(p.ReportWindow), ResumeWindow: seconds(p.ResumeWindow),
		UploadTTL: seconds(p.UploadTTL), TombstoneTTL: seconds(p.TombstoneTTL), MaxSize: p.MaxSize,
	}}
}
