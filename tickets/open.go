package tickets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
)

// Download is an opened blob on its way to a client. Close it in any case.
type Download struct {
	Blob   Blob
	Ticket Ticket
	// Offset and Length are the bytes that Body holds, out of Blob.Size.
	Offset, Length int64
	// Body is as the blob store gave it: an *os.File where the bytes are local, so
	// that net/http can use sendfile. It may hold more than Length.
	Body io.ReadCloser

	transfer *transfer
}

// Context ends when the transfer is cut: the blob was unsent, or the caller's own
// context ended. Whoever copies Body stops then.
func (d *Download) Context() context.Context { return d.transfer.ctx }

// Close ends the transfer.
func (d *Download) Close() error {
	d.transfer.end()
	return d.Body.Close()
}

// Span is a part of a blob, in bytes.
type Span struct{ Offset, Length int64 }

// Open spends a ticket and gives out the whole blob. The same claim key may open
// again within the resume window: that is a retry after a lost answer, not a
// second open. Fails with ErrUnknownTicket, ErrOpened, ErrExpired, ErrRevoked,
// ErrErased, ErrNotUploaded or *StoreError. After any error no byte is given out,
// and after ErrNotUploaded and a *StoreError of the blob store the ticket is
// not spent (P3).
func (s *Service) Open(ctx context.Context, token Token, claim ClaimKey) (*Download, error) {
	t, b, err := s.find(ctx, token)
	if err != nil {
		return nil, err
	}
	now := s.now()
	retry := !b.Terms.Unlimited && t.State == TicketOpened && t.resumable(b, claim, now) == nil
	if err := t.openable(b, now); err != nil && !retry {
		s.contest(t, err)
		return nil, err
	}
	d, err := s.begin(ctx, t, b, Span{0, b.Size})
	if err != nil {
		return nil, err
	}
	if retry || s.openRecorded(t, b) {
		return s.confirm(ctx, d)
	}
	// P2: from here on it is the one conditional statement that decides.
	if err := s.spend(ctx, t, token, claim, b.IsEvidence()); err != nil {
		d.Close()
		return nil, err
	}
	s.keepReading(d)
	return d, nil
}

// openRecorded reports whether an open of the ticket leaves nothing to record: it is
// unlimited, was opened before, and the bytes are kept long enough.
func (s *Service) openRecorded(t Ticket, b Blob) bool {
	return b.Terms.Unlimited && t.State != TicketReady && !s.now().Add(b.Terms.Keep()).After(b.PurgeAt)
}

// confirm looks once more, now that the transfer is registered, whether the blob
// was unsent since it was found: otherwise an unsend between the two would cut
// nothing. Where a ticket is spent the spend itself tells.
func (s *Service) confirm(ctx context.Context, d *Download) (*Download, error) {
	t, b, err := s.held(ctx, d.Ticket.ID, d.Ticket.Hash)
	switch {
	case err != nil:
		err = known(err, "find the ticket", ErrUnknownTicket)
	case b.State != BlobStored:
		err = t.purged(b, s.now())
	case t.State == TicketRevoked:
		err = ErrRevoked
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	s.keepReading(d)
	return d, nil
}

// Resume gives out the part of an opened blob that span chooses, to the holder of
// ticket and claim key, within the resume window. It changes nothing (P7). The
// holder of an unlimited ticket needs no claim key. Fails like Open, with
// ErrNotOpened for a ticket that is still ready, and with span's own error.
func (s *Service) Resume(ctx context.Context, token Token, claim ClaimKey, span func(Blob) (Span, error)) (*Download, error) {
	t, b, err := s.find(ctx, token)
	if err != nil {
		return nil, err
	}
	if err := t.resumable(b, claim, s.now()); err != nil {
		return nil, err
	}
	sp, err := span(b)
	if err != nil {
		return nil, err
	}
	d, err := s.begin(ctx, t, b, sp)
	if err != nil {
		return nil, err
	}
	return s.confirm(ctx, d)
}

// Acknowledge records that the client has the whole blob, which ends the resume
// window. Idempotent for the same claim key. Fails with ErrClaimRequired,
// ErrUnknownTicket, ErrNotOpened, ErrOpened (by another claim key), ErrRevoked,
// ErrExpired or *StoreError.
func (s *Service) Acknowledge(ctx context.Context, token Token, claim ClaimKey) error {
	if claim.IsZero() {
		return ErrClaimRequired
	}
	t, b, err := s.find(ctx, token)
	if err != nil {
		return err
	}
	now := s.now()
	switch {
	case t.State == TicketRevoked:
		return ErrRevoked
	case t.State == TicketReady:
		if b.expired(now) {
			return ErrExpired
		}
		return ErrNotOpened
	case !b.Terms.Unlimited && claim.hash != t.Claim:
		return ErrOpened
	case t.State == TicketDelivered:
		return nil
	}
	if _, err := s.Store.Acknowledge(ctx, t.ID, token.Hash(), claim.hash, now); err != nil {
		return &StoreError{"acknowledge", err}
	}
	return nil
}

// Peek is a ticket and its blob as they are now. It never spends (P7). Fails
// with ErrUnknownTicket or *StoreError.
func (s *Service) Peek(ctx context.Context, token Token) (Ticket, Blob, error) {
	t, b, err := s.find(ctx, token)
	if err != nil {
		return Ticket{}, Blob{}, err
	}
	t.State = t.StateAt(b, s.now())
	return t, b, nil
}

func (s *Service) find(ctx context.Context, token Token) (Ticket, Blob, error) {
	t, b, err := s.held(ctx, token.ID(), token.Hash())
	return t, b, known(err, "find the ticket", ErrUnknownTicket)
}

// held is what the holder of a ticket has. A moderator's ticket ends long before the
// evidence does.
func (s *Service) held(ctx context.Context, id uuid.UUID, h Hash) (Ticket, Blob, error) {
	t, b, err := s.Store.FindTicket(ctx, id, h)
	if err == nil && b.IsEvidence() {
		if until := issuedAt(id).Add(EvidenceTTL); until.Before(b.ExpiresAt) {
			b.ExpiresAt = until
		}
	}
	return t, b, err
}

// issuedAt is when newID made an id of version 7, which begins with the time in
// milliseconds (RFC 9562 §5.7).
func issuedAt(id uuid.UUID) time.Time {
	sec, nsec := id.Time().UnixTime()
	return time.Unix(sec, nsec).UTC()
}

// begin opens the blob at the store and registers the transfer.
func (s *Service) begin(ctx context.Context, t Ticket, b Blob, sp Span) (*Download, error) {
	one := s.transfers.begin(ctx, b.ID)
	body, info, err := s.Blobs.Open(one.ctx, b.Key, sp.Offset)
	if err != nil {
		one.end()
		return nil, s.missing(one.ctx, t, err)
	}
	if sp == (Span{0, b.Size}) {
		body = verify(body, b)
	}
	d := &Download{Blob: b, Ticket: t, Offset: sp.Offset, Length: sp.Length, Body: body, transfer: one}
	if info.Size != b.Size {
		d.Close()
		return nil, &StoreError{"open the blob", fmt.Errorf("%w: %d bytes, not %d", ErrDamaged, info.Size, b.Size)}
	}
	return d, nil
}

// missing tells a blob that a purge took between our read and now from one that
// the store has lost.
func (s *Service) missing(ctx context.Context, t Ticket, err error) error {
	if errors.Is(err, blobstore.ErrNotFound) {
		ctx, cancel := settle(ctx)
		defer cancel()
		t, b, findErr := s.held(ctx, t.ID, t.Hash)
		if findErr == nil && b.State != BlobStored {
			return t.purged(b, s.now())
		}
	}
	return &StoreError{"open the blob", err}
}

// purged is what the holder of the ticket is told once the bytes are due.
func (t Ticket) purged(b Blob, now time.Time) error {
	if err := t.openable(b, now); err != nil {
		return err
	}
	return ErrErased
}

// spend turns the ticket over, durably, or says who was faster.
func (s *Service) spend(ctx context.Context, t Ticket, token Token, claim ClaimKey, evidence bool) error {
	now := s.now()
	mark := claim.claimHash()
	won, err := s.Store.Spend(ctx, Spend{Ticket: t.ID, Blob: t.BlobID, Hash: token.Hash(), Claim: mark, Now: now, Again: t.State != TicketReady, Evidence: evidence})
	switch {
	case won:
		return nil
	case errors.Is(err, ErrExpired), errors.Is(err, ErrRevoked):
		return err
	}
	// Lost, or the answer was lost: what the row says now decides.
	ctx, cancel := settle(ctx)
	defer cancel()
	after, b, findErr := s.held(ctx, t.ID, t.Hash)
	switch {
	case findErr != nil && err != nil:
		return &StoreError{"spend the ticket", errors.Join(err, findErr)}
	case findErr != nil:
		return known(findErr, "spend the ticket", ErrUnknownTicket)
	case after.State == TicketOpened && after.Claim == mark:
		return nil
	case err != nil:
		return &StoreError{"spend the ticket", err}
	}
	reason := after.openable(b, now)
	if reason == nil {
		// The row changed back and forth, which it cannot, or this clock runs
		// behind the one that spent it: in doubt nobody gets a byte.
		return &StoreError{"spend the ticket", errors.New("refused, though the ticket reads as ready")}
	}
	s.contest(after, reason)
	return reason
}

// contest counts an attempt to open a spent ticket.
func (s *Service) contest(t Ticket, err error) {
	if errors.Is(err, ErrOpened) {
		s.contests.add(t.ID, 1)
	}
}
