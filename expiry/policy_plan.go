package expiry

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// PlanDays is how many days ahead a plan tells one by one.
const PlanDays = 7

// PolicyPlan is what a change would do to stored blobs: which ones would go earlier
// than they do now, and when. What is due already is not among them.
type PolicyPlan struct {
	// Base of the policy as it is.
	Base string
	// DueNow is what becomes due at once.
	DueNow Amount
	// Days is what becomes due within the first day from now, within the second…
	Days [PlanDays]Amount
	// Later is what becomes due after those.
	Later Amount
	// OldestDueAt and NewestDueAt are when the first and the last of them become due;
	// zero if there are none.
	OldestDueAt, NewestDueAt time.Time
}

// Amount is a number of blobs and of their bytes.
type Amount struct{ Blobs, Bytes int64 }

func (a *Amount) add(b Amount) { a.Blobs, a.Bytes = a.Blobs+b.Blobs, a.Bytes+b.Bytes }

// Total of all that goes earlier.
func (p PolicyPlan) Total() Amount {
	sum := p.DueNow
	for _, d := range p.Days {
		sum.add(d)
	}
	sum.add(p.Later)
	return sum
}

// add adds a part to the whole.
func (p *PolicyPlan) add(part PolicyPlan) {
	p.DueNow.add(part.DueNow)
	for i := range p.Days {
		p.Days[i].add(part.Days[i])
	}
	p.Later.add(part.Later)
	p.Extend(part.OldestDueAt, part.NewestDueAt)
}

// Extend makes room for times that lie between these; zero ones are none.
func (p *PolicyPlan) Extend(oldest, newest time.Time) {
	if !oldest.IsZero() && (p.OldestDueAt.IsZero() || oldest.Before(p.OldestDueAt)) {
		p.OldestDueAt = oldest
	}
	if newest.After(p.NewestDueAt) {
		p.NewestDueAt = newest
	}
}

// planPage is how many blobs one read looks at.
const planPage = 5000

// plan walks through all blobs, a page at a time, and changes nothing.
func (p *Policies) plan(ctx context.Context, c PolicyChange, now time.Time) (PolicyPlan, error) {
	plan := PolicyPlan{Base: baseOf(c.Before)}
	if !c.ApplyToStored {
		return plan, nil
	}
	var after uuid.UUID
	for {
		part, last, err := p.Store.PlanPolicy(ctx, c.Tenant, c.After.Policy, after, planPage, now)
		if err != nil {
			return PolicyPlan{}, fmt.Errorf("plan: %w", err)
		}
		plan.add(part)
		if last == after {
			return plan, ctx.Err()
		}
		after = last
	}
}

// holds says whether things are still as somebody was told: the same policy, and not
// more to delete at once, but for a few that time itself has added.
func (p PolicyPlan) holds(e Expectation) error {
	switch most := e.DueNow + e.DueNow/10 + 10; {
	case p.Base != e.Base:
		return fmt.Errorf("%w: the policy is not the one that was planned for", ErrPlanDrifted)
	case p.DueNow.Blobs > most:
		return fmt.Errorf("%w: %d blobs would become due at once, and %d were planned", ErrPlanDrifted, p.DueNow.Blobs, e.DueNow)
	}
	return nil
}
