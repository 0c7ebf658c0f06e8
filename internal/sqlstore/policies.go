package sqlstore

import (
	"context"
	"time"

	"github.com/google/uuid"

	"mayfly/expiry"
)

var _ expiry.PolicyStore = (*Store)(nil)

const (
	// With the tenant '' only those of all tenants.
	policiesOf = `SELECT tenant, name, unlimited, shared_ticket, unopened_ttl, report_window,
		resume_window, upload_ttl, tombstone_ttl, max_size
		FROM policies WHERE tenant IN ('', $1) ORDER BY tenant, name`

	putPolicy = `INSERT INTO policies (tenant, name, unlimited, shared_ticket, unopened_ttl, report_window,
		resume_window, upload_ttl, tombstone_ttl, max_size)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (tenant, name) DO UPDATE SET unlimited = excluded.unlimited, shared_ticket = excluded.shared_ticket,
		unopened_ttl = excluded.unopened_ttl, report_window = excluded.report_window, resume_window = excluded.resume_window,
		upload_ttl = excluded.upload_ttl, tombstone_ttl = excluded.tombstone_ttl, max_size = excluded.max_size`

	dropPolicy = `DELETE FROM policies WHERE tenant = $1 AND name = $2`
)

// Policies implements expiry.PolicyStore.
func (s *Store) Policies(ctx context.Context, tenant string) (ps []expiry.StoredPolicy, err error) {
	err = s.read(ctx, func(c *conn) error {
		ps, err = policies(ctx, c, tenant)
		return err
	})
	return ps, err
}

func policies(ctx context.Context, c *conn, tenant string) (ps []expiry.StoredPolicy, err error) {
	err = c.query(ctx, policiesOf, []any{tenant}, func(r *row) {
		ps = append(ps, expiry.StoredPolicy{Tenant: r.text(), Policy: expiry.Policy{
			Name: r.text(), Unlimited: r.bool(), SharedTicket: r.bool(),
			UnopenedTTL: r.duration(), ReportWindow: r.duration(), ResumeWindow: r.duration(),
			UploadTTL: r.duration(), TombstoneTTL: r.duration(), MaxSize: r.int(),
		}})
	})
	return ps, err
}

// The conditions on the values are what leads both to their indexes.
const (
	longestUpload = `SELECT MAX(upload_ttl) FROM policies WHERE upload_ttl > 0`
	longestBefore = `SELECT MAX(upload_ttl) FROM policy_changes WHERE changed_at > $1`
)

// LongestUploadTTL implements expiry.PolicyStore.
func (s *Store) LongestUploadTTL(ctx context.Context, since time.Time) (longest time.Duration, err error) {
	err = s.readLong(ctx, func(c *conn) error {
		return c.snapshot(func() error { // a change between the two would be in neither
			at := func(r *row) { longest = max(longest, r.duration()) }
			if _, err := c.first(longestUpload, nil, at); err != nil {
				return err
			}
			_, err := c.first(longestBefore, []any{micros(since)}, at)
			return err
		})
	})
	return longest, err
}

// lockPolicies lets one change at a time be made, whatever it is about.
const lockPolicies = `SELECT id FROM policy_lock WHERE id = 1`

// SetPolicy implements expiry.PolicyStore.
func (s *Store) SetPolicy(ctx context.Context, tenant, name string, decide func([]expiry.StoredPolicy) (expiry.PolicyChange, error)) (change expiry.PolicyChange, err error) {
	err = s.write(ctx, 2, func(c *conn) error {
		if err := c.hold(lockPolicies); err != nil {
			return err
		}
		stored, err := policies(context.Background(), c, tenant)
		if err != nil {
			return err
		}
		if change, err = decide(stored); err != nil {
			return refuse(err)
		}
		open, err := c.first(openChange, []any{noID[:], name, tenant}, func(*row) {})
		switch {
		case err != nil:
			return err
		case open:
			return refuse(expiry.ErrPolicyChanging)
		}
		if err := putChange(c, change); err != nil {
			return err
		}
		p := change.After
		if own := p.Origin == expiry.OriginTenant || tenant == expiry.AllTenants && p.Origin == expiry.OriginInstallation; !own {
			_, err = c.exec(dropPolicy, tenant, name)
			return err
		}
		_, err = c.exec(putPolicy, tenant, name, flag(p.Unlimited), flag(p.SharedTicket), duration(p.UnopenedTTL), duration(p.ReportWindow),
			duration(p.ResumeWindow), duration(p.UploadTTL), duration(p.TombstoneTTL), p.MaxSize)
		return err
	})
	if err != nil {
		return expiry.PolicyChange{}, err
	}
	return change, nil
}

// noID is before every id: it begins a walk.
var noID uuid.UUID
