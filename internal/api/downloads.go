package api

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"

	"mayfly/internal/openapi"
	"mayfly/tickets"
)

var (
	acceptRanges = []string{"bytes"}
	octetStream  = []string{mediaBytes}
)

// OpenBlob is POST /v1/download.
func (e *endpoints) OpenBlob(ctx context.Context, request openapi.OpenBlobRequestObject) (openapi.OpenBlobResponseObject, error) {
	c := callOf(ctx)
	claim, err := parseClaimKey(request.Params.ClaimKey)
	if err != nil {
		return nil, err
	}
	d, err := e.Tickets.Open(ctx, c.token, claim)
	if err != nil {
		e.metrics.Open(c.outcome(err))
		return nil, err
	}
	return &download{e: e, c: c, Download: d, status: http.StatusOK, opening: true}, nil
}

// ResumeBlob is GET /v1/download.
func (e *endpoints) ResumeBlob(ctx context.Context, request openapi.ResumeBlobRequestObject) (openapi.ResumeBlobResponseObject, error) {
	c, params := callOf(ctx), request.Params
	claim, err := parseClaimKey(params.ClaimKey)
	if err != nil {
		return nil, err
	}
	if err := tooLong(params); err != nil {
		return nil, err
	}
	status := http.StatusOK
	d, err := e.Tickets.Resume(ctx, c.token, claim, func(b tickets.Blob) (tickets.Span, error) {
		whole := tickets.Span{Length: b.Size}
		if params.Range == nil || params.IfRange != nil && *params.IfRange != etag(b) {
			return whole, nil
		}
		asked, ok := parseRange(*params.Range)
		if !ok || b.Size == 0 && asked.suffix {
			return whole, nil
		}
		span, ok := asked.of(b.Size)
		if !ok {
			return tickets.Span{}, &unsatisfiable{b.Size}
		}
		status = http.StatusPartialContent
		return span, nil
	})
	if err != nil {
		return nil, err
	}
	return &download{e: e, c: c, Download: d, status: status}, nil
}

// AcknowledgeBlob is POST /v1/download/ack.
func (e *endpoints) AcknowledgeBlob(ctx context.Context, request openapi.AcknowledgeBlobRequestObject) (openapi.AcknowledgeBlobResponseObject, error) {
	claim, err := parseClaimKey(request.Params.ClaimKey)
	if err != nil {
		return nil, err
	}
	switch err := e.Tickets.Acknowledge(ctx, callOf(ctx).token, claim); {
	case errors.Is(err, tickets.ErrClaimRequired):
		return nil, violation("Claim-Key", "is required")
	case err != nil:
		return nil, err
	}
	return openapi.AcknowledgeBlob204Response{}, nil
}

// parseClaimKey reads the header. What is wrong with it is told without any of it.
func parseClaimKey(header *string) (tickets.ClaimKey, error) {
	if header == nil {
		return tickets.ClaimKey{}, nil
	}
	claim, err := tickets.ParseClaimKey(*header)
	if err != nil {
		return tickets.ClaimKey{}, violation("Claim-Key", "must be 16 to 64 bytes in base64url")
	}
	return claim, nil
}

// maxRangeHeader is the bound of openapi.yaml for Range and If-Range.
const maxRangeHeader = 128

func tooLong(params openapi.ResumeBlobParams) error {
	var found violations
	if params.Range != nil && len(*params.Range) > maxRangeHeader {
		found.add("Range", "is longer than 128 characters")
	}
	if params.IfRange != nil && len(*params.IfRange) > maxRangeHeader {
		found.add("If-Range", "is longer than 128 characters")
	}
	return found.err()
}

// etag is the blob's digest: as strong a validator as there can be.
func etag(b tickets.Blob) string { return `"` + b.SHA256.String() + `"` }

// header sets what both answers with bytes have.
func (d *download) header(h http.Header) {
	b := d.Blob
	h["Content-Type"] = octetStream
	h["Accept-Ranges"] = acceptRanges
	h["Etag"] = []string{etag(b)}
	h["Repr-Digest"] = []string{"sha-256=:" + base64.StdEncoding.EncodeToString(b.SHA256[:]) + ":"}
	h["Content-Length"] = []string{strconv.FormatInt(d.Length, 10)}
	if d.status == http.StatusPartialContent {
		h.Set("Content-Range", contentRange(tickets.Span{Offset: d.Offset, Length: d.Length}, b.Size))
	}
}
