package tickets

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"mayfly/blobstore"
)

// Request is what a backend asks for when it announces or uploads a blob.
type Request struct {
	Tenant string
	// Policy by name; empty for the default.
	Policy string
	// Size in bytes.
	Size int64
	// SHA256 that the bytes must have, nil if the backend does not know.
	SHA256 *blobstore.Digest
	// Recipients get a ticket each; none given means one ticket without a name.
	Recipients []string
	// ExpiresIn shortens the policy's deadline; zero leaves it.
	ExpiresIn time.Duration
	// KeyCommitment and Context are kept as they are, for reports.
	KeyCommitment, Context string
}

// Issued is a blob with the tokens made for it: the only moment that they exist
// outside of their holders' hands.
type Issued struct {
	Blob Blob
	// Grant lets a client upload the bytes; zero if they are here already.
	Grant Token
	// Direct is how a client may bring the bytes to the blob store itself; nil if not.
	Direct  *Direct
	Tickets []IssuedTicket
}

// IssuedTicket is a fresh ticket and its token.
type IssuedTicket struct {
	Ticket
	Token Token
}

// Announce records a blob whose bytes a client will upload with the grant. Fails
// with *FieldError, *TooLargeError or *StoreError; then nobody can upload anything.
func (s *Service) Announce(ctx context.Context, r Request) (Issued, error) {
	terms, err := s.termsOf(ctx, r)
	if err != nil {
		return Issued{}, err
	}
	issued := prepare(r, terms, newID(), s.now())
	b := issued.Blob
	issued.Grant = NewToken(KindGrant, b.ID)
	if issued.Direct, err = s.direct(ctx, b, issued.Grant); err != nil {
		return Issued{}, err
	}
	if err := s.Store.Begin(ctx, b, rows(issued.Tickets), issued.Grant.Hash()); err != nil {
		return Issued{}, &StoreError{"record the blob", err}
	}
	if issued.Direct == nil {
		return issued, nil
	}
	// On record before anybody can put a byte (P5).
	if err := s.Store.BeginAttempt(ctx, b.ID, directKey(issued.Grant), b.UploadUntil, b.CreatedAt); err != nil {
		return Issued{}, &StoreError{"record the upload", err}
	}
	return issued, nil
}

// AddTickets issues tickets for more recipients of a blob. Fails with
// *FieldError, ErrUnknownBlob, ErrExpired, ErrErased, ErrTooManyTickets or
// *StoreError; then none is issued.
func (s *Service) AddTickets(ctx context.Context, tenant string, id uuid.UUID, recipients []string) (Issued, error) {
	if len(recipients) == 0 {
		return Issued{}, &FieldError{"recipients", "must name at least one recipient"}
	}
	if err := checkRecipients(recipients); err != nil {
		return Issued{}, err
	}
	now := s.now()
	ts := issue(id, recipients, now)
	b, err := s.Store.AddTickets(ctx, tenant, id, rows(ts), MaxTickets, now)
	if err != nil {
		return Issued{}, known(err, "add tickets", ErrUnknownBlob, ErrExpired, ErrErased, ErrTooManyTickets)
	}
	return Issued{Blob: b, Tickets: ts}, nil
}

// termsOf checks the request against its policy.
func (s *Service) termsOf(ctx context.Context, r Request) (Terms, error) {
	terms, ok, err := s.Policies(ctx, r.Tenant, r.Policy)
	if err != nil {
		return Terms{}, &StoreError{"find the policy", err}
	}
	if !ok {
		return Terms{}, &FieldError{"policy", "is not one of the policies of this service"}
	}
	switch {
	case r.Size < 0:
		return Terms{}, &FieldError{"size", "must not be negative"}
	case r.Size > terms.MaxSize:
		return Terms{}, &TooLargeError{r.Size, terms.MaxSize}
	case r.ExpiresIn < 0:
		return Terms{}, &FieldError{"expires_in", "must not be negative"}
	case r.ExpiresIn > terms.UnopenedTTL:
		return Terms{}, &FieldError{"expires_in", fmt.Sprintf(
			"may shorten the policy's deadline of %d seconds, not lengthen it", int64(terms.UnopenedTTL/time.Second))}
	case terms.SharedTicket && len(r.Recipients) > 1:
		return Terms{}, &FieldError{"recipients", "must be one at the most: this policy has one ticket for all readers"}
	}
	if err := errors.Join(
		checkText("key_commitment", r.KeyCommitment, maxCommitmentBytes),
		checkText("context", r.Context, maxContextBytes),
		checkRecipients(r.Recipients),
	); err != nil {
		return Terms{}, err
	}
	if r.ExpiresIn > 0 {
		terms.UnopenedTTL = r.ExpiresIn
	}
	return terms, nil
}

// prepare makes the rows, in memory.
func prepare(r Request, terms Terms, id uuid.UUID, now time.Time) Issued {
	recipients := r.Recipients
	if len(recipients) == 0 {
		recipients = []string{""}
	}
	until := now.Add(terms.UploadTTL)
	return Issued{
		Blob: Blob{
			ID: id, Tenant: r.Tenant, State: BlobPending, Terms: terms,
			Size: r.Size, Announced: r.SHA256, KeyCommitment: r.KeyCommitment, Context: r.Context,
			CreatedAt: now, UploadUntil: until, PurgeAt: until,
		},
		Tickets: issue(id, recipients, now),
	}
}

func checkRecipients(recipients []string) error {
	if len(recipients) > MaxRecipients {
		return &FieldError{"recipients", fmt.Sprintf("must be %d at the most, not %d", MaxRecipients, len(recipients))}
	}
	for i, name := range recipients {
		if err := checkText(fmt.Sprintf("recipients[%d]", i), name, maxRecipientBytes); err != nil {
			return err
		}
	}
	return nil
}

// checkText bounds what is kept for a backend, and refuses what not every
// database can hold as text.
func checkText(field, text string, limit int) error {
	switch {
	case len(text) > limit:
		return &FieldError{field, fmt.Sprintf("is longer than %d bytes", limit)}
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return &FieldError{field, "is not UTF-8 text without NUL"}
	}
	return nil
}

func issue(blob uuid.UUID, recipients []string, now time.Time) []IssuedTicket {
	ts := make([]IssuedTicket, len(recipients))
	for i, name := range recipients {
		id := newID()
		token := NewToken(KindTicket, id)
		ts[i] = IssuedTicket{
			Ticket: Ticket{ID: id, BlobID: blob, Hash: token.Hash(), Recipient: name, State: TicketReady, CreatedAt: now},
			Token:  token,
		}
	}
	return ts
}

func rows(ts []IssuedTicket) []Ticket {
	out := make([]Ticket, len(ts))
	for i, t := range ts {
		out[i] = t.Ticket
	}
	return out
}

// newID makes a UUID of version 7 (RFC 9562 §5.7): its first bits are the time, so
// that fresh rows lie together in every index.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
