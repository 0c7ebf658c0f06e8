package sqlstore

import (
	"context"
	"time"

	"github.com/google/uuid"

	"mayfly/internal/keys"
	"mayfly/tickets"
)

const keyColumns = `tenant, role, created_at, revoked_at`

func readKey(r *row, id uuid.UUID, h tickets.Hash) keys.Key {
	return keys.Key{
		ID: id, Hash: h,
		Tenant: r.text(), Role: keys.Role(r.text()), CreatedAt: r.time(), RevokedAt: r.time(),
	}
}

// CreateKey implements keys.Store.
func (s *Store) CreateKey(ctx context.Context, k keys.Key) error {
	return s.write(ctx, 1, func(c *conn) error {
		_, err := c.exec(`INSERT INTO api_keys (id, tenant, role, token_hash, created_at) VALUES ($1, $2, $3, $4, $5)`,
			k.ID[:], k.Tenant, string(k.Role), k.Hash[:], micros(k.CreatedAt))
		return err
	})
}

// FindKey implements keys.Store.
func (s *Store) FindKey(ctx context.Context, id uuid.UUID, h tickets.Hash) (k keys.Key, err error) {
	var found bool
	err = s.read(ctx, func(c *conn) (err error) {
		found, err = c.first(`SELECT `+keyColumns+` FROM api_keys WHERE id = $1 AND token_hash = $2 AND revoked_at IS NULL`,
			[]any{id[:], h[:]}, func(r *row) { k = readKey(r, id, h) })
		return err
	})
	if err == nil && !found {
		err = keys.ErrUnknown
	}
	return k, err
}

// Keys implements keys.Store.
func (s *Store) Keys(ctx context.Context) (ks []keys.Key, err error) {
	err = s.readLong(ctx, func(c *conn) error {
		ks = nil
		return c.query(ctx, `SELECT id, token_hash, `+keyColumns+` FROM api_keys ORDER BY created_at, id`, nil,
			func(r *row) { ks = append(ks, readKey(r, r.id(), r.hash())) })
	})
	return ks, err
}

// RevokeKey implements keys.Store.
func (s *Store) RevokeKey(ctx context.Context, id uuid.UUID, now time.Time) error {
	return s.write(ctx, 1, func(c *conn) error {
		n, err := c.exec(`UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1`, id[:], micros(now))
		if err == nil && n == 0 {
			err = refuse(keys.ErrUnknown)
		}
		return err
	})
}
