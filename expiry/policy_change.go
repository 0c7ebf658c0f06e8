package expiry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// PolicyChange is an entry of the record: who changed which policy, when, and from
// what to what.
type PolicyChange struct {
	// ID is zero of one that was only planned, and of one that changes nothing.
	ID uuid.UUID
	// Tenant whose policy it is; AllTenants for the installation's.
	Tenant, Name string
	At           time.Time
	// By is the id of the API key with which it was made.
	By string
	// Before is nil for a policy that there was not.
	Before *PolicyInUse
	After  PolicyInUse
	// ApplyToStored: blobs that are stored already follow, where that is shorter.
	ApplyToStored bool
	// Blobs, and their Bytes, whose bytes go earlier by it, so far.
	Amount
	// FinishedAt is zero as long as stored blobs have still to follow.
	FinishedAt time.Time
}

// PolicyFields are the fields that a request sets. One that is nil is as in the policy
// beneath: for a tenant the installation's, for the installation the builtin one, and
// for a new policy as the builtin ones have it in common.
type PolicyFields struct {
	Unlimited, SharedTicket                                          *bool
	UnopenedTTL, ReportWindow, ResumeWindow, UploadTTL, TombstoneTTL *time.Duration
	MaxSize                                                          *int64
}

// PolicyRequest asks for a change of one policy.
type PolicyRequest struct {
	// Tenant whose policy it is; AllTenants for the installation's.
	Tenant, Name string
	// By is who asks.
	By     string
	Fields PolicyFields
	// Remove takes the tenant's own policy away, so that the one beneath holds again.
	Remove bool
	// ApplyToStored asks for blobs that are stored already to follow.
	ApplyToStored bool
	// DryRun only plans.
	DryRun bool
	// Expect is what a plan has said, if there was one: else nothing is changed.
	Expect *Expectation
}

// Expectation is what must still hold for a plan to be carried out.
type Expectation struct {
	// Base of the policy.
	Base string
	// DueNow is how many blobs the change makes due at once.
	DueNow int64
}

// finishFor is how long a request waits for stored blobs to follow. What is left then
// Finish does.
const finishFor = 10 * time.Second

// Set changes a policy, or with DryRun only says what that would do. For new blobs it
// holds from here on, in other replicas after five seconds at the most; an upload
// that is under way keeps the terms that it began with. Fails with
// *PolicyFieldError (joined), ErrUnknownPolicy, ErrOnlyPolicy, ErrTooManyPolicies,
// ErrPolicyChanging, ErrPlanDrifted or an error of the store; then nothing is changed.
func (p *Policies) Set(ctx context.Context, r PolicyRequest) (PolicyChange, PolicyPlan, error) {
	now := clock(p.Now)
	stored, err := p.Store.Policies(ctx, r.Tenant)
	if err != nil {
		return PolicyChange{}, PolicyPlan{}, err
	}
	c, err := r.change(stored, now)
	if err != nil {
		return PolicyChange{}, PolicyPlan{}, err
	}
	plan, err := p.plan(ctx, c, now)
	if err == nil && r.Expect != nil {
		err = plan.holds(*r.Expect)
	}
	if err != nil || r.DryRun || !c.changesAnything() {
		return c, plan, err
	}
	c, err = p.Store.SetPolicy(ctx, r.Tenant, r.Name, func(stored []StoredPolicy) (PolicyChange, error) {
		c, err := r.change(stored, now)
		if err == nil && baseOf(c.Before) != plan.Base {
			err = fmt.Errorf("%w: somebody else has just changed the policy", ErrPlanDrifted)
		}
		c.ID = uuid.Must(uuid.NewV7())
		return c, err
	})
	p.forget()
	if err != nil {
		return PolicyChange{}, PolicyPlan{}, err
	}
	// The change is made: what goes wrong from here on is done by Finish.
	waiting, cancel := context.WithTimeout(ctx, finishFor)
	defer cancel()
	if done, err := p.finish(waiting, c); err == nil {
		c = done
	}
	return c, plan, nil
}

// change is what the request makes of the policies as they are stored.
func (r PolicyRequest) change(stored []StoredPolicy, now time.Time) (PolicyChange, error) {
	c := PolicyChange{
		Tenant: r.Tenant, Name: r.Name, At: now, By: r.By, ApplyToStored: r.ApplyToStored,
		Before: find(inUse(stored), r.Name),
	}
	own := func(s StoredPolicy) bool { return s.Tenant == r.Tenant }
	beneath := find(inUse(slices.DeleteFunc(slices.Clone(stored), own)), r.Name)
	if r.Remove {
		switch {
		case !slices.ContainsFunc(stored, func(s StoredPolicy) bool { return own(s) && s.Name == r.Name }):
			return c, ErrUnknownPolicy
		case beneath == nil:
			return c, ErrOnlyPolicy
		}
		c.After = *beneath
	} else {
		after, err := r.Fields.on(beneath, r.Name)
		if err != nil {
			return c, err
		}
		c.After = PolicyInUse{after, OriginTenant}
		if r.Tenant == AllTenants {
			c.After.Origin = OriginInstallation
		}
	}
	if c.After.Internal && r.ApplyToStored {
		// A hold keeps evidence for longer than its policy does.
		return c, &PolicyFieldError{"query apply_to_stored", "cannot be asked for an internal policy"}
	}
	isOwn := c.Before != nil && c.Before.Origin == c.After.Origin
	if n := len(slices.DeleteFunc(slices.Clone(stored), func(s StoredPolicy) bool { return !own(s) })); !isOwn && !r.Remove && n >= maxPolicies {
		return c, fmt.Errorf("%w: there are %d", ErrTooManyPolicies, n)
	}
	if !c.ApplyToStored {
		c.FinishedAt = now
	}
	return c, nil
}

// on is the policy with these fields over the one beneath.
func (f PolicyFields) on(beneath *PolicyInUse, name string) (Policy, error) {
	p := newPolicy(name)
	var missing error
	if beneath != nil {
		p = beneath.Policy
	} else if f.UnopenedTTL == nil {
		missing = &PolicyFieldError{"unopened_ttl", "is required for a new policy"}
		p.UnopenedTTL = minUnopenedTTL // so that nothing else is said of it
	}
	set(&p.Unlimited, f.Unlimited)
	set(&p.SharedTicket, f.SharedTicket)
	set(&p.UnopenedTTL, f.UnopenedTTL)
	set(&p.ReportWindow, f.ReportWindow)
	set(&p.ResumeWindow, f.ResumeWindow)
	set(&p.UploadTTL, f.UploadTTL)
	set(&p.TombstoneTTL, f.TombstoneTTL)
	set(&p.MaxSize, f.MaxSize)
	return p, errors.Join(missing, p.Check())
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// changesAnything: a policy that is set to what it is may still be followed by blobs
// that are stored since it was longer.
func (c PolicyChange) changesAnything() bool {
	return c.ApplyToStored || c.Before == nil || *c.Before != c.After
}

// shortenPage is how many blobs are looked at in one transaction: what it locks must
// not keep an open waiting.
const shortenPage = 250

// finish lets stored blobs follow the change, page by page.
func (p *Policies) finish(ctx context.Context, c PolicyChange) (PolicyChange, error) {
	for c.FinishedAt.IsZero() {
		if err := ctx.Err(); err != nil {
			return c, err
		}
		next, err := p.Store.Shorten(ctx, c.ID, shortenPage, clock(p.Now))
		if err != nil {
			return c, fmt.Errorf("let blobs follow policy %s: %w", c.Name, err)
		}
		c = next
	}
	return c, nil
}

// Finish lets stored blobs follow the changes that are not finished: of requests that
// took too long, and of processes that died. Several processes may do so at once.
func (p *Policies) Finish(ctx context.Context) ([]PolicyChange, error) {
	open, err := p.Store.OpenChanges(ctx, maxPolicies)
	if err != nil {
		return nil, err
	}
	var errs []error
	for i := range open {
		if open[i], err = p.finish(ctx, open[i]); err != nil {
			errs = append(errs, err)
		}
	}
	return open, errors.Join(errs...)
}

// maxUnfinished bounds what a scrape of the metrics reads.
const maxUnfinished = 1000

// Unfinished is how many changes stored blobs have still to follow, a thousand at the
// most, and when the oldest of them was made: the zero time if there is none.
func (p *Policies) Unfinished(ctx context.Context) (n int64, oldest time.Time, err error) {
	open, err := p.Store.OpenChanges(ctx, maxUnfinished)
	for _, c := range open {
		if oldest.IsZero() || c.At.Before(oldest) {
			oldest = c.At
		}
	}
	return int64(len(open)), oldest, err
}
