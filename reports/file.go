package reports

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"mayfly/blobstore"
)

// Request is what a reporter's client asks for.
type Request struct {
	// Ticket of the blob, and the SHA-256 of its token.
	Ticket     uuid.UUID
	TicketHash Hash
	Reason     string
	Comment    string
	Consent    *Given
	SealedKey  string
	// Idempotency is the client's Idempotency-Key; empty for none.
	Idempotency string
	// Handle makes the report handle for an id, and returns its SHA-256. With an
	// Idempotency-Key it makes the same one each time.
	Handle func(report uuid.UUID) Hash
}

// The bounds of an Idempotency-Key, in characters.
const (
	minIdempotency = 16
	maxIdempotency = 128
)

// File takes a report. The report is copying or awaiting_media, or as it is now if it is
// an earlier one of the same request. Fails with ErrModerationOff, ErrConsentRequired,
// *FieldError, the errors of envelope.Inspect, ErrUnknownTicket, ErrNotReportable,
// ErrNotUploaded, ErrAlreadyReported, ErrIdempotency or *StoreError; then nothing is copied,
// and nothing kept.
func (s *Service) File(ctx context.Context, r Request) (Report, error) {
	now := s.now()
	consent, err := s.check(ctx, r)
	if err != nil {
		// What was taken once is not judged anew: since then moderators may have come and gone.
		if filed, ok := s.filed(ctx, r); ok {
			return filed, nil
		}
		return Report{}, err
	}
	tenant, _, err := s.Store.Reported(ctx, r.Ticket, r.TicketHash)
	if err != nil {
		return Report{}, known(err, "find what is reported")
	}
	terms, err := s.Terms(ctx, tenant)
	if err != nil {
		return Report{}, &StoreError{"find the policy of evidence", err}
	}
	id := uuid.Must(uuid.NewV7())
	report, _, err := s.Store.File(ctx, Filing{
		Report: id, Ticket: r.Ticket, TicketHash: r.TicketHash, Handle: r.Handle(id),
		Reason: r.Reason, Comment: r.Comment, Consent: consent, SealedKey: r.SealedKey,
		Idempotency: r.idempotency(), Body: r.body(),
		Terms: terms, Now: now, PinUntil: now.Add(pinTime),
	})
	if err != nil {
		return Report{}, known(err, "record the report")
	}
	if report.State == StateCopying {
		s.wake.up()
	}
	return report, nil
}

// filed is the report that an earlier request with this Idempotency-Key has made.
func (s *Service) filed(ctx context.Context, r Request) (Report, bool) {
	if r.Idempotency == "" || r.Consent == nil || !r.Consent.Granted {
		return Report{}, false
	}
	report, err := s.Store.Filed(ctx, Filing{Ticket: r.Ticket, TicketHash: r.TicketHash, Idempotency: r.idempotency(), Body: r.body()})
	return report, err == nil
}

// check looks at all that can be judged without the ticket. The consent comes first:
// without it nothing else matters.
func (s *Service) check(ctx context.Context, r Request) (Consent, error) {
	offer, err := s.Offer(ctx)
	switch {
	case err != nil:
		return Consent{}, err
	case len(offer.Recipients) == 0:
		return Consent{}, ErrModerationOff
	}
	consent, err := r.Consent.record(offer.Statements, r.Comment, s.now())
	if err != nil {
		return Consent{}, err
	}
	if !slices.Contains(offer.Reasons, r.Reason) {
		return Consent{}, &FieldError{"reason", "is not one of: " + strings.Join(offer.Reasons, ", ")}
	}
	if err := checkText("comment", r.Comment, MaxComment); err != nil {
		return Consent{}, err
	}
	if r.Idempotency != "" && !isIdempotencyKey(r.Idempotency) {
		return Consent{}, &FieldError{"Idempotency-Key", fmt.Sprintf("must be %d to %d visible ASCII characters", minIdempotency, maxIdempotency)}
	}
	if r.SealedKey == "" {
		return Consent{}, &FieldError{"sealed_key", "is missing"}
	}
	return consent, inspect(r.SealedKey, offer.Recipients)
}

func isIdempotencyKey(s string) bool {
	if len(s) < minIdempotency || len(s) > maxIdempotency {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// idempotency is the zero Hash without a key.
func (r Request) idempotency() Hash {
	if r.Idempotency == "" {
		return Hash{}
	}
	return sha256.Sum256([]byte(r.Idempotency))
}

// body is a digest of all that a repetition must have in common with the first request.
func (r Request) body() Hash {
	return digestOf(r.Reason, r.Comment, r.Consent.Statement, r.Consent.Locale, r.SealedKey)
}

// digestOf is the SHA-256 of texts. Each has its length before it, so that no two lists of
// them are hashed alike.
func digestOf(texts ...string) blobstore.Digest {
	var all []byte
	for _, text := range texts {
		all = binary.BigEndian.AppendUint32(all, uint32(len(text)))
		all = append(all, text...)
	}
	return sha256.Sum256(all)
}

// checkText bounds what is kept for people, and refuses what not every database can hold
// as text.
func checkText(field, text string, limit int) error {
	switch {
	case len(text) > limit:
		return &FieldError{field, fmt.Sprintf("is longer than %d bytes", limit)}
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return &FieldError{field, "is not UTF-8 text without NUL"}
	}
	return nil
}
