package api

import (
	"context"
	"errors"
	"time"

	"mayfly/blobstore"
	"mayfly/internal/openapi"
	"mayfly/tickets"
)

// GetTicket is GET /v1/ticket.
func (e *endpoints) GetTicket(ctx context.Context, _ openapi.GetTicketRequestObject) (openapi.GetTicketResponseObject, error) {
	t, b, err := e.Tickets.Peek(ctx, callOf(ctx).token)
	if err != nil {
		return nil, err
	}
	return openapi.GetTicket200JSONResponse{Body: openapi.TicketView{
		State: openapi.TicketState(t.State), BlobID: b.ID, Size: b.Size, Sha256: hexDigest(b.SHA256), ExpiresAt: b.LatestExpiry(),
	}}, nil
}

// HeadTicket is HEAD /v1/ticket.
func (e *endpoints) HeadTicket(ctx context.Context, _ openapi.HeadTicketRequestObject) (openapi.HeadTicketResponseObject, error) {
	if _, _, err := e.Tickets.Peek(ctx, callOf(ctx).token); err != nil {
		return nil, err
	}
	return openapi.HeadTicket200Response{}, nil
}

// AddTickets is POST /v1/blobs/{id}/tickets.
func (e *endpoints) AddTickets(ctx context.Context, request openapi.AddTicketsRequestObject) (openapi.AddTicketsResponseObject, error) {
	issued, err := e.Tickets.AddTickets(ctx, callOf(ctx).tenant, request.ID, request.Body.Recipients)
	if err != nil {
		return nil, err
	}
	return openapi.AddTickets201JSONResponse{Body: openapi.AddedTickets{Tickets: issuedTickets(issued)}}, nil
}

// RevokeTicket is DELETE /v1/blobs/{id}/tickets/{ticket_id}.
func (e *endpoints) RevokeTicket(ctx context.Context, request openapi.RevokeTicketRequestObject) (openapi.RevokeTicketResponseObject, error) {
	switch err := e.Tickets.Revoke(ctx, callOf(ctx).tenant, request.ID, request.TicketID); {
	case errors.Is(err, tickets.ErrOpened):
		return nil, errRevokeOpened
	case err != nil:
		return nil, err
	}
	return openapi.RevokeTicket204Response{}, nil
}

// issuedTickets are tickets with their tokens: the one answer that reveals them.
func issuedTickets(issued tickets.Issued) []openapi.IssuedTicket {
	list := make([]openapi.IssuedTicket, len(issued.Tickets))
	for i, t := range issued.Tickets {
		list[i] = openapi.IssuedTicket{
			ID: t.ID, Recipient: t.Recipient, Token: t.Token.Reveal(), ExpiresAt: issued.Blob.LatestExpiry(),
		}
	}
	return list
}

func hexDigest(d *blobstore.Digest) *string {
	if d == nil {
		return nil
	}
	text := d.String()
	return &text
}

// moment is a time that may not have come.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
