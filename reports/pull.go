package reports

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// Pulled is what a moderator gets with a ticket.
type Pulled struct {
	Report Report
	Ticket Ticket
	// ExpiresAt is when the ticket, if it is not opened, ends.
	ExpiresAt time.Time
}

// TicketTTL is how long a moderator's ticket is good.
const TicketTTL = 15 * time.Minute

// idAt makes a UUID of version 7 (RFC 9562 §5.7) whose time is that of our clock: whoever
// opens the ticket reads there when it was issued.
func idAt(now time.Time) uuid.UUID {
	id := uuid.Must(uuid.NewV7())
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(id[:6], ms[2:])
	return id
}

// Pull issues a ticket that opens the evidence once; issue makes it, from its id. An
// undecided report must be claimed by the moderator. Fails with ErrUnknownReport,
// ErrNoEvidence, ErrErased, ErrWithdrawn, ErrClaimed, ErrNotClaimed or *StoreError.
func (s *Service) Pull(ctx context.Context, m Moderator, id uuid.UUID, issue func(ticket uuid.UUID) Hash) (Pulled, error) {
	now := s.now()
	t := Ticket{ID: idAt(now), Moderator: m.Key}
	t.Hash = issue(t.ID)
	r, err := s.change(ctx, m, id, "issue a ticket", func(r Report, now time.Time) (Change, error) {
		switch {
		case r.State == StateWithdrawn:
			return Change{}, ErrWithdrawn
		case r.Evidence == EvidenceNone:
			return Change{}, ErrNoEvidence
		case r.Evidence == EvidenceGone, !now.Before(r.ExpiresAt):
			return Change{}, ErrErased
		case r.State == StateOpen:
			if err := r.claimedBy(m, now); err != nil {
				return Change{}, err
			}
		}
		return Change{Report: r, Acts: []Record{{Act: ActTicketIssued, Subject: t.ID}}, Ticket: &t}, nil
	})
	if err != nil {
		return Pulled{}, err
	}
	ends := now.Add(TicketTTL)
	if r.ExpiresAt.Before(ends) {
		ends = r.ExpiresAt // no ticket outlives what it opens
	}
	return Pulled{Report: r, Ticket: t, ExpiresAt: ends}, nil
}
