package reports

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Moderator is who works on reports: a key of a tenant, and with it a person.
type Moderator struct {
	Tenant string
	Key    uuid.UUID
}

func (m Moderator) of(report uuid.UUID) Who {
	return Who{Report: report, Tenant: m.Tenant, Actor: m.Key.String()}
}

// Reports are a tenant's that the query is about, oldest first.
func (s *Service) Reports(ctx context.Context, tenant string, q Query) ([]Report, error) {
	q.Now = s.now()
	rs, err := s.Store.Reports(ctx, tenant, q)
	return rs, known(err, "list the reports")
}

// Report is a tenant's report. Fails with ErrUnknownReport or *StoreError.
func (s *Service) Report(ctx context.Context, tenant string, id uuid.UUID) (Report, error) {
	r, err := s.Store.Report(ctx, tenant, id)
	return r, known(err, "find the report")
}

// change lets rule decide what becomes of a report that a moderator acts on.
func (s *Service) change(ctx context.Context, m Moderator, id uuid.UUID, op string, rule func(Report, time.Time) (Change, error)) (Report, error) {
	now := s.now()
	r, err := s.Store.Change(ctx, m.of(id), now, func(r Report) (Change, error) { return rule(r, now) })
	return r, known(err, op)
}

// Claim gives the moderator an open report for half an hour, or for another one. Fails
// with ErrUnknownReport, ErrNotOpen, ErrClaimed, ErrSamePerson (the moderator has decided
// what was reopened since) or *StoreError.
func (s *Service) Claim(ctx context.Context, m Moderator, id uuid.UUID) (Report, error) {
	return s.change(ctx, m, id, "claim the report", func(r Report, now time.Time) (Change, error) {
		switch {
		case r.State != StateOpen:
			return Change{}, ErrNotOpen
		case r.Claim.live(now) && r.Claim.By != m.Key:
			return Change{}, ErrClaimed
		case r.Decision.By == m.Key:
			return Change{}, ErrSamePerson
		}
		r.Claim = Claim{By: m.Key, Until: now.Add(claimTime)}
		return Change{Report: r, Acts: []Record{{Act: ActClaimed}}}, nil
	})
}

// Release gives a claimed report back to the queue. Fails with ErrUnknownReport,
// ErrClaimed, ErrNotClaimed or *StoreError.
func (s *Service) Release(ctx context.Context, m Moderator, id uuid.UUID) error {
	_, err := s.change(ctx, m, id, "release the report", func(r Report, now time.Time) (Change, error) {
		if err := r.claimedBy(m, now); err != nil {
			return Change{}, err
		}
		r.Claim = Claim{}
		return Change{Report: r, Acts: []Record{{Act: ActReleased}}}, nil
	})
	return err
}

// claimedBy says why the moderator does not have the report, nil if he does.
func (r Report) claimedBy(m Moderator, now time.Time) error {
	switch {
	case !r.Claim.live(now):
		return ErrNotClaimed
	case r.Claim.By != m.Key:
		return ErrClaimed
	}
	return nil
}
