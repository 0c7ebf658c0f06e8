package api

import (
	"context"

	"mayfly/internal/metrics"
	"mayfly/internal/openapi"
	"mayfly/tickets"
)

// UploadBlob is PUT /v1/uploads.
func (e *endpoints) UploadBlob(ctx context.Context, request openapi.UploadBlobRequestObject) (openapi.UploadBlobResponseObject, error) {
	c := callOf(ctx)
	var b tickets.Blob
	err := e.upload(c, func() (err error) {
		b, err = e.Tickets.Upload(ctx, c.token, request.Body, c.in.ContentLength)
		return err
	})
	if err != nil {
		return nil, err
	}
	return openapi.UploadBlob200JSONResponse(uploaded(b)), nil
}

// upload counts a transfer of bytes to us.
func (e *endpoints) upload(c *call, receive func() error) error {
	e.metrics.Receiving()
	defer func() { e.metrics.Received(c.body.read) }()
	err := receive()
	if err != nil {
		e.metrics.Upload(c.outcome(err))
		return err
	}
	e.metrics.Upload(metrics.OutcomeStored)
	return nil
}

// CompleteUpload is POST /v1/uploads/complete.
func (e *endpoints) CompleteUpload(ctx context.Context, _ openapi.CompleteUploadRequestObject) (openapi.CompleteUploadResponseObject, error) {
	c := callOf(ctx)
	b, err := e.Tickets.Complete(ctx, c.token)
	if err != nil {
		e.metrics.Upload(c.outcome(err))
		return nil, err
	}
	e.metrics.Upload(metrics.OutcomeStored)
	return openapi.CompleteUpload200JSONResponse(uploaded(b)), nil
}

func uploaded(b tickets.Blob) openapi.Uploaded {
	return openapi.Uploaded{
		ID: b.ID, State: openapi.BlobState(b.State), Size: b.Size, Sha256: b.SHA256.String(), ExpiresAt: b.ExpiresAt,
	}
}
