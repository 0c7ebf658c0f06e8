package reports

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"
)

// Verdict is what a moderator decides.
type Verdict struct {
	// Outcome is StateDismissed, StateUpheld or StateEscalated.
	Outcome State
	// Policy is the rule or law that it refers to.
	Policy, Note string
}

// Decide records the outcome of a report that the moderator has claimed, and with it how
// long the evidence is kept; escalated evidence is put on a legal hold. Fails with
// *FieldError, ErrUnknownReport, ErrNotOpen, ErrClaimed, ErrNotClaimed or *StoreError.
func (s *Service) Decide(ctx context.Context, m Moderator, id uuid.UUID, v Verdict) (Report, error) {
	if !v.Outcome.decided() {
		return Report{}, &FieldError{"outcome", "must be dismissed, upheld or escalated"}
	}
	if err := cmp.Or(checkText("policy", v.Policy, MaxPolicy), checkText("note", v.Note, MaxNote)); err != nil {
		return Report{}, err
	}
	return s.change(ctx, m, id, "decide the report", func(r Report, now time.Time) (Change, error) {
		if r.State != StateOpen {
			return Change{}, ErrNotOpen
		}
		if err := r.claimedBy(m, now); err != nil {
			return Change{}, err
		}
		r.State, r.Claim, r.Reopened = v.Outcome, Claim{}, Reopened{}
		r.Decision = Decision{By: m.Key, At: now, Policy: v.Policy, Note: v.Note}
		r.KeepUntil = now.Add(s.keep(v.Outcome))
		said := digestOf(v.Policy, v.Note)
		acts := []Record{{Act: Act(v.Outcome), Digest: &said}}
		if v.Outcome == StateEscalated && r.Evidence == EvidenceStored {
			hold := Hold{Class: HoldLegal, Reason: "escalated", By: m.Key, Since: now, Until: now.Add(escalatedHold)}
			old := r.HoldAt(now)
			if old != nil && old.Until.After(hold.Until) {
				hold.Until = old.Until // a hold is never made shorter
			}
			if old == nil || old.Class != HoldLegal || old.Until.Before(hold.Until) {
				r.Hold = &hold
				acts = append(acts, hold.record())
			}
		}
		return Change{Report: r, Acts: acts}, nil
	})
}

// keep is how long evidence is kept after a decision, without a hold.
func (s *Service) keep(outcome State) time.Duration {
	if outcome == StateDismissed {
		return cmp.Or(s.KeepDismissed, keepDismissed)
	}
	return cmp.Or(s.KeepUpheld, keepUpheld)
}

// Reopen makes a decided report open again, by another moderator than the one who decided.
// Fails with ErrUnknownReport, ErrNotDecided, ErrSamePerson, ErrErased or *StoreError.
func (s *Service) Reopen(ctx context.Context, m Moderator, id uuid.UUID) (Report, error) {
	terms, err := s.Terms(ctx, m.Tenant)
	if err != nil {
		return Report{}, &StoreError{"find the policy of evidence", err}
	}
	return s.change(ctx, m, id, "reopen the report", func(r Report, now time.Time) (Change, error) {
		switch {
		case !r.State.decided():
			return Change{}, ErrNotDecided
		case r.Decision.By == m.Key:
			return Change{}, ErrSamePerson
		case r.Evidence != EvidenceStored:
			return Change{}, ErrErased
		}
		r.State, r.Reopened = StateOpen, Reopened{By: m.Key, At: now}
		if until := now.Add(terms.Keep); r.KeepUntil.Before(until) {
			r.KeepUntil = until
		}
		return Change{Report: r, Acts: []Record{{Act: ActReopened}}}, nil
	})
}
