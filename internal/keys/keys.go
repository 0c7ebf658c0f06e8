// Package keys has the API keys with which backends, moderators and operators
// call Mayfly. A key belongs to one tenant and has one role; of its token only the
// SHA-256 is kept.
package keys

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/google/uuid"

	"mayfly/tickets"
)

// Role is what a key may do.
type Role string

// The roles of keys.
const (
	RoleBackend   Role = "backend"   // uploads, tickets, unsend
	RoleModerator Role = "moderator" // reported media
	RoleOps       Role = "ops"       // retention, audit; of one tenant or of EveryTenant
)

// ErrUnknown is returned for a key that does not exist.
var ErrUnknown = errors.New("unknown API key")

// Key is the row of an API key.
type Key struct {
	ID        uuid.UUID
	Tenant    string
	Role      Role
	Hash      tickets.Hash
	CreatedAt time.Time
	// RevokedAt is zero while the key is good.
	RevokedAt time.Time
}

// Store keeps the keys.
type Store interface {
	// CreateKey records a key.
	CreateKey(ctx context.Context, k Key) error
	// FindKey is the key with this id and token that is not revoked; a read.
	// ErrUnknown.
	FindKey(ctx context.Context, id uuid.UUID, h tickets.Hash) (Key, error)
	// Keys are all keys, revoked ones too, by time of creation; a read.
	Keys(ctx context.Context) ([]Key, error)
	// RevokeKey ends a key at once. Idempotent. ErrUnknown.
	RevokeKey(ctx context.Context, id uuid.UUID, now time.Time) error
}

var tenantName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// EveryTenant in place of a tenant is the operator of the installation, who may see and
// change what holds for all tenants. Only keys of role ops belong to it.
const EveryTenant = "*"

// New makes a key and its token, which is kept nowhere. It is good once a Store has
// the key.
func New(role Role, tenant string, now time.Time) (Key, tickets.Token, error) {
	switch role {
	case RoleBackend, RoleModerator, RoleOps:
	default:
		return Key{}, tickets.Token{}, fmt.Errorf("role %q is none of %s, %s, %s", role, RoleBackend, RoleModerator, RoleOps)
	}
	if tenant == EveryTenant && role != RoleOps {
		return Key{}, tickets.Token{}, fmt.Errorf("tenant %q is the operator of the installation: it goes with role %s only", tenant, RoleOps)
	}
	if tenant != EveryTenant && !tenantName.MatchString(tenant) {
		return Key{}, tickets.Token{}, fmt.Errorf("tenant %q: 1 to 63 of a-z, 0-9, dot, dash and underscore, beginning with a letter or digit", tenant)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Key{}, tickets.Token{}, err
	}
	token := tickets.NewToken(tickets.KindKey, id)
	return Key{ID: id, Tenant: tenant, Role: role, Hash: token.Hash(), CreatedAt: now.UTC().Truncate(time.Microsecond)}, token, nil
}
