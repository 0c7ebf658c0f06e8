package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"mayfly/blobstore"
	"mayfly/internal/openapi"
	"mayfly/tickets"
)

// CreateBlob is POST /v1/blobs: with JSON it announces a blob, with bytes it
// uploads one.
func (e *endpoints) CreateBlob(ctx context.Context, request openapi.CreateBlobRequestObject) (openapi.CreateBlobResponseObject, error) {
	if request.JSONBody != nil {
		return e.announce(ctx, *request.JSONBody)
	}
	return e.uploadNow(ctx, request.Params, request.Body)
}

func (e *endpoints) announce(ctx context.Context, body openapi.NewBlob) (openapi.CreateBlobResponseObject, error) {
	c := callOf(ctx)
	digest, err := parseDigest("sha256", body.Sha256)
	if err != nil {
		return nil, err
	}
	target, err := e.publicURL(c.in, "/v1/uploads")
	if err != nil {
		return nil, err
	}
	issued, err := e.Tickets.Announce(ctx, tickets.Request{
		Tenant: c.tenant, Policy: value(body.Policy), Size: body.Size, SHA256: digest, Recipients: value(body.Recipients),
		ExpiresIn: seconds(body.ExpiresIn), KeyCommitment: value(body.KeyCommitment), Context: value(body.Context),
	})
	if err != nil {
		return nil, err
	}
	answer := created(issued)
	answer.Upload = &openapi.Upload{
		Method: "PUT",
		URL:    target,
		Headers: map[string]string{
			"Authorization": "Bearer " + issued.Grant.Reveal(),
			"Content-Type":  mediaBytes,
		},
		ExpiresAt: issued.Blob.UploadUntil,
	}
	if d := issued.Direct; d != nil {
		complete, err := e.publicURL(c.in, "/v1/uploads/complete")
		if err != nil {
			return nil, err
		}
		answer.Direct = &openapi.DirectUpload{
			Method: "PUT", URL: d.URL.Reveal(), Headers: d.Headers, ExpiresAt: d.ExpiresAt, CompleteURL: complete,
		}
	}
	return e.createdBlob(answer), nil
}

func (e *endpoints) uploadNow(ctx context.Context, params openapi.CreateBlobParams, bytes io.Reader) (openapi.CreateBlobResponseObject, error) {
	c := callOf(ctx)
	digest, err := parseDigest("query sha256", params.Sha256)
	if err != nil {
		return nil, err
	}
	var issued tickets.Issued
	err = e.upload(c, func() error {
		issued, err = e.Tickets.UploadNow(ctx, tickets.Request{
			Tenant: c.tenant, Policy: value(params.Policy), Size: c.in.ContentLength, SHA256: digest,
			Recipients: value(params.Recipient), ExpiresIn: seconds(params.ExpiresIn),
			KeyCommitment: value(params.KeyCommitment), Context: value(params.Context),
		}, bytes)
		return err
	})
	if err != nil {
		return nil, err
	}
	answer := created(issued)
	answer.Size, answer.Sha256 = &issued.Blob.Size, hexDigest(issued.Blob.SHA256)
	return e.createdBlob(answer), nil
}

func created(issued tickets.Issued) openapi.CreatedBlob {
	return openapi.CreatedBlob{
		ID: issued.Blob.ID, State: openapi.BlobState(issued.Blob.State), Tickets: issuedTickets(issued),
	}
}

func (e *endpoints) createdBlob(body openapi.CreatedBlob) openapi.CreateBlob201JSONResponse {
	location := e.path("/v1/blobs/" + body.ID.String())
	return openapi.CreateBlob201JSONResponse{
		Body: body, Headers: openapi.CreateBlob201ResponseHeaders{Location: &location},
	}
}

// GetBlob is GET /v1/blobs/{id}.
func (e *endpoints) GetBlob(ctx context.Context, request openapi.GetBlobRequestObject) (openapi.GetBlobResponseObject, error) {
	b, ts, err := e.Tickets.Status(ctx, callOf(ctx).tenant, request.ID)
	if err != nil {
		return nil, err
	}
	list := make([]openapi.Ticket, len(ts))
	for i, t := range ts {
		list[i] = openapi.Ticket{
			ID: t.ID, Recipient: t.Recipient, State: openapi.TicketState(t.State), CreatedAt: t.CreatedAt.UTC(),
			OpenedAt: moment(t.OpenedAt), DeliveredAt: moment(t.DeliveredAt), RevokedAt: moment(t.RevokedAt),
			Contested: t.Contested,
		}
	}
	answer := openapi.Blob{
		ID: b.ID, State: openapi.BlobState(b.State), Policy: b.Terms.Policy, Size: b.Size, Sha256: hexDigest(b.SHA256),
		KeyCommitment: orNil(b.KeyCommitment), Context: orNil(b.Context),
		CreatedAt: b.CreatedAt.UTC(), StoredAt: moment(b.StoredAt), ExpiresAt: moment(b.ExpiresAt),
		PurgeAt: moment(b.PurgeAt), ErasedAt: moment(b.ErasedAt), Tickets: list,
	}
	if b.State == tickets.BlobPending {
		answer.UploadUntil = moment(b.UploadUntil)
	}
	answer.Stamp = orNil(b.Stamp)
	if b.Receipt != "" {
		answer.Receipt = new(openapi.Receipt)
		if err := json.Unmarshal([]byte(b.Receipt), answer.Receipt); err != nil {
			return nil, fmt.Errorf("receipt of blob %s: %w", b.ID, err)
		}
	}
	if b.Reason != "" {
		reason := openapi.BlobReason(b.Reason)
		answer.Reason = &reason
	}
	return openapi.GetBlob200JSONResponse{Body: answer}, nil
}

// UnsendBlob is DELETE /v1/blobs/{id}.
func (e *endpoints) UnsendBlob(ctx context.Context, request openapi.UnsendBlobRequestObject) (openapi.UnsendBlobResponseObject, error) {
	if err := e.Tickets.Unsend(ctx, callOf(ctx).tenant, request.ID); err != nil {
		return nil, err
	}
	return openapi.UnsendBlob204Response{}, nil
}

func parseDigest(field string, text *string) (*blobstore.Digest, error) {
	if text == nil {
		return nil, nil
	}
	d, err := blobstore.ParseDigest(*text)
	if err != nil {
		return nil, violation(field, "must be 64 lower-case hex digits")
	}
	return &d, nil
}

// value is what an optional field has, or its zero.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func seconds(n *int64) time.Duration { return time.Duration(value(n)) * time.Second }
