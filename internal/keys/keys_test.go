package keys

import (
	"strings"
	"testing"
	"time"

	"mayfly/tickets"
)

func TestNew(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.November, 22, 9, 30, 0, 1, time.FixedZone("", 3600))
	k, token, err := New(RoleBackend, "acme-eu.1_a", now)
	if err != nil {
		t.Fatal(err)
	}
	if k.ID != token.ID() || k.Hash != token.Hash() || !strings.HasPrefix(token.Reveal(), string(tickets.KindKey)) {
		t.Error("key and token do not belong together")
	}
	if !k.CreatedAt.Equal(now.Truncate(time.Microsecond)) || k.CreatedAt.Location() != time.UTC {
		t.Errorf("created at %v", k.CreatedAt)
	}
}

func TestNewOperator(t *testing.T) {
	t.Parallel()
	if k, _, err := New(RoleOps, EveryTenant, time.Now()); err != nil || k.Tenant != "*" {
		t.Fatal(k, err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		role   Role
		tenant string
	}{
		{"king", "acme"}, {"", "acme"}, {RoleOps, ""}, {RoleOps, "Acme"}, {RoleOps, "-acme"}, {RoleOps, "a b"},
		{RoleBackend, EveryTenant}, {RoleModerator, EveryTenant}, {RoleOps, "**"}, {RoleOps, "acme\n"}, {RoleOps, strings.Repeat("a", 64)},
	} {
		if _, token, err := New(c.role, c.tenant, time.Now()); err == nil || !token.IsZero() {
			t.Errorf("role %q, tenant %q: %v", c.role, c.tenant, err)
		}
	}
}
