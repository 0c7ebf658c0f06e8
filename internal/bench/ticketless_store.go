package main

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/internal/keys"
	"mayfly/tickets"
)

// ticketless is a tickets.Store that knows some tickets by heart, ready for ever, and does
// nothing but find them.
type ticketless struct {
	unable
	spec  ticketlessSpec
	known map[uuid.UUID]knownTicket
}

func newTicketless(spec ticketlessSpec) *ticketless {
	s := &ticketless{spec: spec, known: make(map[uuid.UUID]knownTicket)}
	for _, t := range spec.Known {
		s.known[t.ID] = t
	}
	s.spec.Known = nil
	return s
}

// FindTicket tells what Mayfly's own store tells of a ticket that was never opened, of a
// blob under the policy view-once.
func (s *ticketless) FindTicket(_ context.Context, id uuid.UUID, h tickets.Hash) (tickets.Ticket, tickets.Blob, error) {
	t, ok := s.known[id]
	if !ok || tickets.Hash(t.Hash) != h {
		return tickets.Ticket{}, tickets.Blob{}, tickets.ErrUnknownTicket
	}
	digest := s.spec.SHA256
	return tickets.Ticket{ID: id, BlobID: t.Blob, Hash: h, State: tickets.TicketReady}, tickets.Blob{
		ID: t.Blob, State: tickets.BlobStored,
		Terms: tickets.Terms{UnopenedTTL: unopenedTTL, ReportWindow: reportWindow, ResumeWindow: resumeWindow},
		Size:  s.spec.Size, SHA256: &digest, Key: t.Key,
		ExpiresAt: s.spec.Expires, PurgeAt: s.spec.Expires,
	}, nil
}

// Spend records nothing.
func (s *ticketless) Spend(context.Context, tickets.Spend) (bool, error) { return true, nil }

// noKeys are no API keys.
type noKeys struct{}

func (noKeys) FindKey(context.Context, uuid.UUID, tickets.Hash) (keys.Key, error) {
	return keys.Key{}, keys.ErrUnknown
}

var errUnable = errors.New("this server only opens")

// unable is what a Store cannot do that only finds tickets.
type unable struct{}

func (unable) Begin(context.Context, tickets.Blob, []tickets.Ticket, tickets.Hash) error {
	return errUnable
}

func (unable) Reserve(context.Context, []tickets.Attempt) error { return errUnable }

func (unable) Create(context.Context, tickets.Blob, []tickets.Ticket) error { return errUnable }

func (unable) FindGrant(context.Context, uuid.UUID, tickets.Hash) (tickets.Blob, error) {
	return tickets.Blob{}, errUnable
}

func (unable) BeginAttempt(context.Context, uuid.UUID, blobstore.Key, time.Time, time.Time) error {
	return errUnable
}

func (unable) DropAttempt(context.Context, uuid.UUID, blobstore.Key) error { return errUnable }

func (unable) Commit(context.Context, tickets.Commit) error { return errUnable }

func (unable) Keep(context.Context, uuid.UUID, time.Time) error { return errUnable }

func (unable) Acknowledge(context.Context, uuid.UUID, tickets.Hash, tickets.Hash, time.Time) (bool, error) {
	return false, errUnable
}

func (unable) Contest(context.Context, map[uuid.UUID]int64) error { return errUnable }

func (unable) Blob(context.Context, string, uuid.UUID, int) (tickets.Blob, []tickets.Ticket, error) {
	return tickets.Blob{}, nil, errUnable
}

func (unable) AddTickets(context.Context, string, uuid.UUID, []tickets.Ticket, int, time.Time) (tickets.Blob, error) {
	return tickets.Blob{}, errUnable
}

func (unable) Revoke(context.Context, string, uuid.UUID, uuid.UUID, time.Time) error {
	return errUnable
}

func (unable) Unsend(context.Context, string, uuid.UUID, time.Time) error { return errUnable }
