package sqlstore

import (
	"context"
	"time"

	"github.com/google/uuid"

	"mayfly/tickets"
)

// moreTickets is one caller's AddTickets.
type moreTickets struct {
	tenant  string
	blob    uuid.UUID
	tickets []tickets.Ticket
	limit   int
	now     time.Time
}

// AddTickets implements tickets.Store.
func (s *Store) AddTickets(ctx context.Context, tenant string, id uuid.UUID, ts []tickets.Ticket, limit int, now time.Time) (tickets.Blob, error) {
	return s.db.addTickets(ctx, moreTickets{tenant, id, ts, limit, now})
}

// check says why blob b, which has so many tickets, takes no more of them; nil if it does.
func (m moreTickets) check(b tickets.Blob, have int64) error {
	if err := openToMore(b, m.now); err != nil {
		return err
	}
	if have+int64(len(m.tickets)) > int64(m.limit) {
		return tickets.ErrTooManyTickets
	}
	return nil
}

// openToMore says why the blob takes no more tickets, nil if it does.
func openToMore(b tickets.Blob, now time.Time) error {
	deadline := b.ExpiresAt
	if b.State == tickets.BlobPending {
		deadline = b.UploadUntil
	}
	switch {
	case !deadline.IsZero() && micros(deadline) <= micros(now):
		return tickets.ErrExpired
	case b.State != tickets.BlobPending && b.State != tickets.BlobStored:
		return tickets.ErrErased
	}
	return nil
}

// keptForMore is purge_at of a blob that has one more ticket. A pending blob has no
// deadline yet, and its upload gets no more time by this.
const keptForMore = `CASE WHEN expires_at > purge_at THEN expires_at ELSE purge_at END`
