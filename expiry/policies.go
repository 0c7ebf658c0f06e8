package expiry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// AllTenants in place of a tenant's name means the policies of the installation, which
// hold for every tenant that has none of its own by that name.
const AllTenants = ""

// maxPolicies is how many policies one tenant, or the installation, may set.
const maxPolicies = 100

var (
	// ErrUnknownPolicy: there is no policy of this tenant's own by that name.
	ErrUnknownPolicy = errors.New("unknown policy")
	// ErrOnlyPolicy: blobs may name the policy, and there is none beneath it.
	ErrOnlyPolicy = errors.New("no policy is beneath this one")
	// ErrTooManyPolicies: no more than a hundred can be set.
	ErrTooManyPolicies = errors.New("too many policies")
	// ErrPlanDrifted: things are not as the plan has them any more.
	ErrPlanDrifted = errors.New("the plan does not hold any more")
	// ErrPolicyChanging: stored blobs still follow the policy's last change.
	ErrPolicyChanging = errors.New("the policy's last change is not finished")
)

// Origin says where a policy in use comes from.
type Origin string

// The origins, each of which goes before those above it.
const (
	OriginBuiltin      Origin = "builtin"      // as Mayfly comes with it
	OriginInstallation Origin = "installation" // set for all tenants
	OriginTenant       Origin = "tenant"       // the tenant's own
)

// PolicyInUse is a policy as it holds for a tenant.
type PolicyInUse struct {
	Policy
	Origin Origin
}

// Base is a digest of the policy as it is, by which a plan knows it again.
func (p PolicyInUse) Base() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %q %t %t %d %d %d %d %d %d", p.Origin, p.Name, p.Unlimited, p.SharedTicket,
		p.UnopenedTTL, p.ReportWindow, p.ResumeWindow, p.UploadTTL, p.TombstoneTTL, p.MaxSize))
	return hex.EncodeToString(sum[:])
}

// baseOf is the base of a policy that there may not be.
func baseOf(p *PolicyInUse) string {
	if p == nil {
		return PolicyInUse{}.Base()
	}
	return p.Base()
}

// StoredPolicy is a policy that was set: for a tenant, or for AllTenants.
type StoredPolicy struct {
	Tenant string
	Policy
}

// inUse are the policies that hold for a tenant: what is stored goes before the
// builtin ones, and the tenant's own before the installation's. The builtin ones
// are first, in their order, then the others by name.
func inUse(stored []StoredPolicy) []PolicyInUse {
	var all []PolicyInUse
	for _, p := range Builtin() {
		all = append(all, PolicyInUse{p, OriginBuiltin})
	}
	builtins := len(all)
	for _, origin := range []Origin{OriginInstallation, OriginTenant} {
		for _, s := range stored {
			if (s.Tenant == AllTenants) != (origin == OriginInstallation) {
				continue
			}
			p := PolicyInUse{s.Policy, origin}
			if i := slices.IndexFunc(all, func(p PolicyInUse) bool { return p.Name == s.Name }); i >= 0 {
				p.Internal = all[i].Internal // it is the name's, and not stored
				all[i] = p
				continue
			}
			all = append(all, p)
		}
	}
	slices.SortFunc(all[builtins:], func(a, b PolicyInUse) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// find is the policy with that name, nil if there is none.
func find(policies []PolicyInUse, name string) *PolicyInUse {
	for i := range policies {
		if policies[i].Name == name {
			return &policies[i]
		}
	}
	return nil
}

// Policies are the policies in use, and the way to change them. Store is required.
type Policies struct {
	Store PolicyStore
	// Now is the clock; time.Now if nil.
	Now func() time.Time

	mu     sync.Mutex
	cached map[string]cachedPolicies
}

// PolicyStore keeps the policies that were set, and the record of their changes. Every
// method that changes something is durable when it returns nil; all may be called
// by many processes at once. Times have microseconds.
type PolicyStore interface {
	// Policies are those stored for the tenant and for AllTenants; a read.
	Policies(ctx context.Context, tenant string) ([]StoredPolicy, error)

	// LongestUploadTTL is the longest that any stored policy has, or had before a
	// change that was made after since; a read.
	LongestUploadTTL(ctx context.Context, since time.Time) (time.Duration, error)

	// SetPolicy asks decide for the change of a policy, records it and makes
	// it hold, in one transaction in which nobody else changes policies: what decide
	// is given are the Policies of that tenant. An error of decide is the answer,
	// and nothing is changed; decide may be called more than once. A change
	// whose After is no longer the tenant's own takes the tenant's row away.
	// ErrPolicyChanging if blobs still follow a change that is about the same name
	// and some of the same tenants.
	SetPolicy(ctx context.Context, tenant, name string, decide func([]StoredPolicy) (PolicyChange, error)) (PolicyChange, error)

	// Changes are up to limit changes after that one, in their order, of the tenant
	// and of AllTenants; with AllTenants those of everybody. A read.
	Changes(ctx context.Context, tenant string, after uuid.UUID, limit int) ([]PolicyChange, error)

	// OpenChanges are up to limit changes that blobs still have to follow; a read.
	OpenChanges(ctx context.Context, limit int) ([]PolicyChange, error)

	// PlanPolicy sums up what Shorten would do, at now, to those among the up to
	// limit blobs after that id which the policy is about. last is the id of the last
	// blob it looked at: after itself, if there are no more. A read.
	PlanPolicy(ctx context.Context, tenant string, p Policy, after uuid.UUID, limit int, now time.Time) (plan PolicyPlan, last uuid.UUID, err error)

	// Shorten lets the next blobs follow a change, up to limit of them, and answers
	// with the change as it is then: FinishedAt is set when none was left. Of a blob
	// that is pending or stored and has the policy, each term that is
	// longer than After's becomes After's, ExpiresAt moves to StoredAt + UnopenedTTL
	// if that is earlier, and PurgeAt to what design §4 makes of the terms, never
	// later than it was. Where another process is at it they take turns.
	Shorten(ctx context.Context, change uuid.UUID, limit int, now time.Time) (PolicyChange, error)
}

// InUse are the policies that hold for a tenant, or with AllTenants for those that
// have none of their own.
func (p *Policies) InUse(ctx context.Context, tenant string) ([]PolicyInUse, error) {
	stored, err := p.Store.Policies(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return inUse(stored), nil
}

// Changes is the record: up to limit changes after that one.
func (p *Policies) Changes(ctx context.Context, tenant string, after uuid.UUID, limit int) ([]PolicyChange, error) {
	return p.Store.Changes(ctx, tenant, after, limit)
}

// SweepAge is the least MinAge of a sweep: longer than any upload can still be under
// way. A policy whose upload time was made shorter counts as it was for as long as
// uploads may run that began before.
func (p *Policies) SweepAge(ctx context.Context) (time.Duration, error) {
	longest, err := p.Store.LongestUploadTTL(ctx, clock(p.Now).Add(-2*maxUploadTTL))
	if err != nil {
		return 0, fmt.Errorf("find the longest upload time: %w", err)
	}
	return SweepAge(append(Builtin(), Policy{UploadTTL: longest})), nil
}

const (
	// cacheFor is how long a replica may go on with what it knows of a tenant's
	// policies: each upload asks for one.
	cacheFor = 5 * time.Second
	// maxCached bounds for how many tenants it does.
	maxCached = 1024
)

type cachedPolicies struct {
	policies []PolicyInUse
	loaded   time.Time
}

// ForSender is the policy that a tenant's sender names, empty for the default, as it
// was some seconds ago at the most; false for an unknown or internal one.
func (p *Policies) ForSender(ctx context.Context, tenant, name string) (Policy, bool, error) {
	policies, err := p.recent(ctx, tenant)
	if err != nil {
		return Policy{}, false, err
	}
	if name == "" {
		name = DefaultPolicy
	}
	found := find(policies, name)
	if found == nil || found.Internal {
		return Policy{}, false, nil
	}
	return found.Policy, true, nil
}

// Evidence is the policy of evidence as it holds for a tenant, as it was some seconds ago
// at the most.
func (p *Policies) Evidence(ctx context.Context, tenant string) (Policy, error) {
	policies, err := p.recent(ctx, tenant)
	if err != nil {
		return Policy{}, err
	}
	return find(policies, EvidencePolicy).Policy, nil // it is builtin: there always is one
}

func (p *Policies) recent(ctx context.Context, tenant string) ([]PolicyInUse, error) {
	now := clock(p.Now) // before the read, which may wait
	p.mu.Lock()
	c, ok := p.cached[tenant]
	p.mu.Unlock()
	// A clock that was set back must not make it last.
	if age := now.Sub(c.loaded); ok && age >= 0 && age < cacheFor {
		return c.policies, nil
	}
	policies, err := p.InUse(ctx, tenant)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cached == nil || len(p.cached) >= maxCached {
		p.cached = make(map[string]cachedPolicies)
	}
	p.cached[tenant] = cachedPolicies{policies, now}
	return policies, nil
}

// forget makes the next upload look: whoever has changed a policy here sees it at once.
func (p *Policies) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cached = nil
}
