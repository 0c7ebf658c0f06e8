package tickets

import (
	"context"

	"github.com/google/uuid"
)

// Status is a tenant's blob and its tickets as they are now. It changes nothing.
// Fails with ErrUnknownBlob or *StoreError.
func (s *Service) Status(ctx context.Context, tenant string, id uuid.UUID) (Blob, []Ticket, error) {
	b, ts, err := s.Store.Blob(ctx, tenant, id, MaxTickets)
	if err != nil {
		return Blob{}, nil, known(err, "find the blob", ErrUnknownBlob)
	}
	now := s.now()
	for i := range ts {
		ts[i].State = ts[i].StateAt(b, now)
	}
	return b, ts, nil
}

// Revoke takes back a ticket that could still be opened. Idempotent. Fails with
// ErrUnknownBlob, ErrUnknownTicket, ErrOpened or *StoreError.
func (s *Service) Revoke(ctx context.Context, tenant string, blob, ticket uuid.UUID) error {
	err := s.Store.Revoke(ctx, tenant, blob, ticket, s.now())
	return known(err, "revoke the ticket", ErrUnknownBlob, ErrUnknownTicket, ErrOpened)
}

// Unsend is the sender's deletion: from its return no ticket of the blob opens,
// transfers under way in this process are cut, and the bytes are due. Idempotent,
// also for a blob that is purged already. Fails with ErrUnknownBlob or *StoreError.
func (s *Service) Unsend(ctx context.Context, tenant string, id uuid.UUID) error {
	if err := s.Store.Unsend(ctx, tenant, id, s.now()); err != nil {
		return known(err, "unsend the blob", ErrUnknownBlob)
	}
	s.Cut(id)
	return nil
}

// Cut ends the transfers of a blob that are under way in this process.
func (s *Service) Cut(id uuid.UUID) { s.transfers.cut(id) }
