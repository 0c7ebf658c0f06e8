package reports

import (
	"context"

	"github.com/google/uuid"
)

// Handled is the report that a handle leads to. Fails with ErrUnknownReport or *StoreError.
func (s *Service) Handled(ctx context.Context, id uuid.UUID, handle Hash) (Report, error) {
	r, err := s.Store.HandledReport(ctx, id, handle)
	return r, known(err, "find the report")
}

// Withdraw takes the consent back: the copy is due for deletion, and the sealed key and the
// comment are gone when it returns. Idempotent. Fails with ErrUnknownReport, ErrOnHold or
// *StoreError.
func (s *Service) Withdraw(ctx context.Context, id uuid.UUID, handle Hash) error {
	now := s.now()
	_, err := s.Store.Change(ctx, Who{Report: id, Handle: handle, Actor: ActorReporter}, now, func(r Report) (Change, error) {
		switch {
		case r.State == StateWithdrawn:
			return Change{Report: r}, nil
		case r.HoldAt(now) != nil:
			return Change{}, ErrOnHold
		}
		r.State, r.WithdrawnAt = StateWithdrawn, now
		r.Comment, r.SealedKey = "", ""
		r.Claim, r.Hold = Claim{}, nil
		return Change{Report: r, Acts: []Record{{Act: ActWithdrawn}}}, nil
	})
	if err != nil {
		return known(err, "withdraw the report")
	}
	if s.Cut != nil {
		s.Cut(id)
	}
	return nil
}
