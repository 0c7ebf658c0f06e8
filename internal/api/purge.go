package api

import (
	"context"
	"errors"

	"mayfly/expiry"
	"mayfly/internal/keys"
	"mayfly/internal/openapi"
	"mayfly/tickets"
)

// purgeBatch and purgeBatches bound what one call erases: its client waits.
const (
	purgeBatch   = 1000
	purgeBatches = 10
)

// RunPurge is POST /v1/purge.
func (e *endpoints) RunPurge(ctx context.Context, request openapi.RunPurgeRequestObject) (openapi.RunPurgeResponseObject, error) {
	switch {
	case callOf(ctx).tenant != keys.EveryTenant:
		return nil, &refusal{errForbidden, "A purge is for all tenants: it needs a key of the operator, whose tenant is *."}
	case e.Purge == nil:
		return nil, errNotReady
	}
	p := *e.Purge
	p.Force, p.Batch, p.MaxBatches = value(request.Params.Force), purgeBatch, purgeBatches
	if value(request.Params.DryRun) {
		due, err := p.Preview(ctx)
		if err != nil {
			return nil, &tickets.StoreError{Op: "look at what is due", Err: err}
		}
		list := make([]openapi.Due, len(due))
		for i, d := range due {
			list[i] = openapi.Due{Reason: openapi.DueReason(d.Reason), Blobs: d.Blobs, Bytes: d.Bytes, OldestDueAt: d.OldestDueAt.UTC()}
		}
		return openapi.RunPurge200JSONResponse{Body: openapi.Purge{DryRun: true, Due: &list}}, nil
	}
	r, err := p.Run(ctx)
	if e.Purged != nil {
		e.Purged(r, err)
	}
	switch {
	case errors.Is(err, expiry.ErrBrake), errors.Is(err, expiry.ErrStopped):
		return nil, &refusal{err, err.Error()}
	case err != nil:
		return nil, &tickets.StoreError{Op: "purge", Err: err}
	}
	return openapi.RunPurge200JSONResponse{Body: openapi.Purge{Erased: &r.Erased, Bytes: &r.Bytes, Failed: &r.Failed, More: &r.More}}, nil
}
