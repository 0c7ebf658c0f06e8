package client

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/internal/openapi"
	"mayfly/tickets"
)

// NewBlob is what a backend says of a blob before its bytes.
type NewBlob struct {
	// Policy by name; "" is the server's default, view-once.
	Policy string
	// Size in bytes, exactly.
	Size int64
	// SHA256 of the bytes, if it is known beforehand: the server then refuses others.
	SHA256 *blobstore.Digest
	// Recipients get a ticket each. None is one ticket without a name.
	Recipients []string
	// ExpiresIn shortens the policy's deadline, in whole seconds; 0 leaves it.
	ExpiresIn time.Duration
}

// Announced is a blob that waits for its bytes.
type Announced struct {
	ID      uuid.UUID
	Grant   Grant
	Tickets []IssuedTicket
}

// IssuedTicket is one recipient's ticket.
type IssuedTicket struct {
	ID        uuid.UUID
	Recipient string
	Token     tickets.Token
	// ExpiresAt is the latest that the deadline can come to be.
	ExpiresAt time.Time
}

// Grant is the right to upload one blob, as the backend hands it to the client
// that has the bytes. It prints redacted.
type Grant struct {
	Method, URL string
	// Header is to be sent as it is. It holds the grant's token.
	Header    map[string]string
	ExpiresAt time.Time
}

// Format prints no field, for any verb.
func (Grant) Format(f fmt.State, _ rune) { fmt.Fprint(f, "upload grant") }

// LogValue is the redacted form.
func (Grant) LogValue() slog.Value { return slog.StringValue("upload grant") }

// Announce announces a blob and gets its grant and tickets. If its answer is
// lost it is repeated: the blob of the first call then never gets its bytes and
// is purged. Fails with ErrServer, ErrNoKey, *Problem, *UnreachableError,
// ErrRedirect or ErrAnswer.
func (c *Client) Announce(ctx context.Context, b NewBlob) (Announced, error) {
	if c.Key.IsZero() {
		return Announced{}, ErrNoKey
	}
	body := openapi.NewBlob{Size: b.Size}
	if b.Policy != "" {
		body.Policy = &b.Policy
	}
	if b.SHA256 != nil {
		sum := b.SHA256.String()
		body.Sha256 = &sum
	}
	if len(b.Recipients) > 0 {
		body.Recipients = &b.Recipients
	}
	if b.ExpiresIn != 0 {
		seconds := int64(b.ExpiresIn / time.Second)
		body.ExpiresIn = &seconds
	}
	var answer openapi.CreatedBlob
	err := c.call(ctx, shortly, http.StatusCreated, &answer, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.CreateBlob(ctx, nil, body, bearer(c.Key))
	})
	if err != nil {
		return Announced{}, err
	}
	return c.announced(answer, max(1, len(b.Recipients)))
}

func (c *Client) announced(answer openapi.CreatedBlob, recipients int) (Announced, error) {
	if answer.Upload == nil || len(answer.Tickets) != recipients {
		return Announced{}, fmt.Errorf("%w: no upload grant, or not one ticket for each recipient", ErrAnswer)
	}
	if err := c.checkAddress(answer.Upload.URL); err != nil {
		return Announced{}, fmt.Errorf("where the server wants the upload: %w", err)
	}
	a := Announced{ID: answer.ID, Grant: Grant{
		Method: answer.Upload.Method, URL: answer.Upload.URL, Header: answer.Upload.Headers, ExpiresAt: answer.Upload.ExpiresAt,
	}}
	for _, t := range answer.Tickets {
		token, err := tickets.ParseToken(tickets.KindTicket, t.Token)
		if err != nil {
			return Announced{}, fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		a.Tickets = append(a.Tickets, IssuedTicket{ID: t.ID, Recipient: t.Recipient, Token: token, ExpiresAt: t.ExpiresAt})
	}
	return a, nil
}

// Unsend takes a blob back: no ticket of it opens any more, and its bytes are due
// for deletion. Idempotent. Fails like Announce.
func (c *Client) Unsend(ctx context.Context, id uuid.UUID) error {
	if c.Key.IsZero() {
		return ErrNoKey
	}
	return c.call(ctx, shortly, http.StatusNoContent, nil, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.UnsendBlob(ctx, id, bearer(c.Key))
	})
}

// Ticket is what a ticket is good for now.
type Ticket struct {
	// State is ready, opened, delivered, expired or revoked.
	State string
	// Size in bytes.
	Size int64
	// SHA256 is nil until the bytes are stored.
	SHA256    *blobstore.Digest
	ExpiresAt time.Time
}

// Ticket looks at a ticket. It never spends it. Fails like Announce.
func (c *Client) Ticket(ctx context.Context, token tickets.Token) (Ticket, error) {
	return c.look(ctx, shortly, token)
}

func (c *Client) look(ctx context.Context, b bounds, token tickets.Token) (Ticket, error) {
	var answer openapi.TicketView
	err := c.call(ctx, b, http.StatusOK, &answer, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.GetTicket(ctx, bearer(token))
	})
	if err != nil {
		return Ticket{}, err
	}
	t := Ticket{State: string(answer.State), Size: answer.Size, ExpiresAt: answer.ExpiresAt}
	if answer.Sha256 != nil {
		sum, err := blobstore.ParseDigest(*answer.Sha256)
		if err != nil {
			return Ticket{}, fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		t.SHA256 = &sum
	}
	if t.Size < 0 || !answer.State.Valid() {
		return Ticket{}, fmt.Errorf("%w: no such ticket can be", ErrAnswer)
	}
	return t, nil
}
