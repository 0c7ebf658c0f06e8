package reports

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// HoldClass says why evidence is held.
type HoldClass string

// The classes of holds.
const (
	HoldLegal  HoldClass = "legal"  // the law requires it: 365 days at least
	HoldReview HoldClass = "review" // we want to
)

// Hold keeps evidence from being deleted, whatever else says that it is due.
type Hold struct {
	Class  HoldClass
	Reason string
	// By is the moderator's key who set it.
	By           uuid.UUID
	Since, Until time.Time
	// FreeAskedBy asked first that it end; zero before.
	FreeAskedBy uuid.UUID
	FreeAskedAt time.Time
}

func (h Hold) record() Record {
	said := digestOf(string(h.Class), h.Reason, h.Until.UTC().Format(time.RFC3339Nano))
	return Record{Act: ActHeld, Digest: &said}
}

// NewHold is what a moderator asks for.
type NewHold struct {
	Class  HoldClass
	Reason string
	Until  time.Time
}

// PutHold puts evidence on hold, or makes a hold longer. Fails with *FieldError,
// ErrUnknownReport, ErrNoEvidence, ErrErased, ErrWithdrawn, ErrOnHold (the hold there is
// lasts longer, or is a legal one) or *StoreError.
func (s *Service) PutHold(ctx context.Context, m Moderator, id uuid.UUID, n NewHold) (Report, error) {
	if err := n.check(s.now()); err != nil {
		return Report{}, err
	}
	return s.change(ctx, m, id, "hold the evidence", func(r Report, now time.Time) (Change, error) {
		old := r.HoldAt(now)
		switch {
		case r.State == StateWithdrawn:
			return Change{}, ErrWithdrawn
		case r.Evidence == EvidenceNone:
			return Change{}, ErrNoEvidence
		case r.Evidence == EvidenceGone:
			return Change{}, ErrErased
		case old != nil && (n.Until.Before(old.Until) || old.Class == HoldLegal && n.Class != HoldLegal):
			return Change{}, ErrOnHold
		}
		until := n.Until.UTC().Truncate(time.Microsecond)
		if old != nil && old.Class == n.Class && old.Reason == n.Reason && old.By == m.Key && old.Until.Equal(until) {
			return Change{Report: r}, nil // said twice: the answer was lost
		}
		hold := Hold{Class: n.Class, Reason: n.Reason, By: m.Key, Since: now, Until: until}
		r.Hold = &hold
		return Change{Report: r, Acts: []Record{hold.record()}}, nil
	})
}

func (n NewHold) check(now time.Time) error {
	least := now
	switch n.Class {
	case HoldLegal:
		least = now.Add(legalHold - time.Minute) // who asks for 365 days has asked a moment ago
	case HoldReview:
	default:
		return &FieldError{"class", "must be legal or review"}
	}
	switch {
	case n.Reason == "":
		return &FieldError{"reason", "is missing"}
	case n.Class == HoldLegal && n.Until.Before(least):
		return &FieldError{"until", fmt.Sprintf("must be %d days ahead at least: it is a legal hold", legalHold/day)}
	case !n.Until.After(least):
		return &FieldError{"until", "must be in the future"}
	case n.Until.After(now.Add(longHold)):
		return &FieldError{"until", fmt.Sprintf("must be %d days ahead at the most", longHold/day)}
	}
	return checkText("reason", n.Reason, MaxHoldReason)
}

// Free ends a hold when a second moderator asks for it; freed is false for the first.
// Fails with ErrUnknownReport, ErrNotOnHold, ErrSamePerson or *StoreError.
func (s *Service) Free(ctx context.Context, m Moderator, id uuid.UUID) (r Report, freed bool, err error) {
	r, err = s.change(ctx, m, id, "end the hold", func(r Report, now time.Time) (Change, error) {
		hold := r.HoldAt(now)
		switch {
		case hold == nil:
			return Change{}, ErrNotOnHold
		case hold.FreeAskedBy == m.Key:
			return Change{}, ErrSamePerson
		case hold.FreeAskedBy == (uuid.UUID{}):
			asked := *hold
			asked.FreeAskedBy, asked.FreeAskedAt = m.Key, now
			r.Hold = &asked
			return Change{Report: r, Acts: []Record{{Act: ActFreeAsked}}}, nil
		}
		r.Hold = nil
		return Change{Report: r, Acts: []Record{{Act: ActFreed}}}, nil
	})
	return r, err == nil && r.Hold == nil, err
}
