package api

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"mayfly/expiry"
	"mayfly/internal/keys"
	"mayfly/internal/openapi"
	"mayfly/tickets"
)

// maxChanges is how many changes one answer has.
const maxChanges = 100

// ListPolicies is GET /v1/policies.
func (e *endpoints) ListPolicies(ctx context.Context, request openapi.ListPoliciesRequestObject) (openapi.ListPoliciesResponseObject, error) {
	tenant, err := e.scope(callOf(ctx), request.Params.Tenant)
	if err != nil {
		return nil, err
	}
	all, err := e.Policies.InUse(ctx, tenant)
	if err != nil {
		return nil, policyError("find the policies", err)
	}
	answer := openapi.Policies{Tenant: orNil(tenant), Policies: make([]openapi.Policy, len(all))}
	for i, p := range all {
		answer.Policies[i] = policyView(p)
	}
	return openapi.ListPolicies200JSONResponse{Body: answer}, nil
}

// SetPolicy is PUT /v1/policies/{name}.
func (e *endpoints) SetPolicy(ctx context.Context, request openapi.SetPolicyRequestObject) (openapi.SetPolicyResponseObject, error) {
	c, body := callOf(ctx), request.Body
	tenant, err := e.scope(c, request.Params.Tenant)
	if err != nil {
		return nil, err
	}
	r := expiry.PolicyRequest{
		Tenant: tenant, Name: request.Name, By: c.token.ID().String(),
		DryRun: value(request.Params.DryRun), ApplyToStored: value(request.Params.ApplyToStored),
		Fields: expiry.PolicyFields{
			Unlimited: body.Unlimited, SharedTicket: body.SharedTicket,
			UnopenedTTL: secondsOrNil(body.UnopenedTTL), ReportWindow: secondsOrNil(body.ReportWindow),
			ResumeWindow: secondsOrNil(body.ResumeWindow), UploadTTL: secondsOrNil(body.UploadTTL),
			TombstoneTTL: secondsOrNil(body.TombstoneTTL), MaxSize: body.MaxSize,
		},
	}
	if body.Plan != nil {
		r.Expect = &expiry.Expectation{Base: body.Plan.Base, DueNow: body.Plan.BlobsDueNow}
	}
	answer, err := e.changePolicy(ctx, r)
	return openapi.SetPolicy200JSONResponse{Body: answer}, err
}

// RemovePolicy is DELETE /v1/policies/{name}.
func (e *endpoints) RemovePolicy(ctx context.Context, request openapi.RemovePolicyRequestObject) (openapi.RemovePolicyResponseObject, error) {
	c := callOf(ctx)
	tenant, err := e.scope(c, request.Params.Tenant)
	if err != nil {
		return nil, err
	}
	answer, err := e.changePolicy(ctx, expiry.PolicyRequest{Tenant: tenant, Name: request.Name, By: c.token.ID().String(), Remove: true})
	return openapi.RemovePolicy200JSONResponse{Body: answer}, err
}

func (e *endpoints) changePolicy(ctx context.Context, r expiry.PolicyRequest) (openapi.PolicyAnswer, error) {
	change, plan, err := e.Policies.Set(ctx, r)
	if err != nil {
		return openapi.PolicyAnswer{}, policyError("change the policy", err)
	}
	return openapi.PolicyAnswer{Change: changeView(change), Plan: planView(plan)}, nil
}

// ListPolicyChanges is GET /v1/policy-changes.
func (e *endpoints) ListPolicyChanges(ctx context.Context, request openapi.ListPolicyChangesRequestObject) (openapi.ListPolicyChangesResponseObject, error) {
	tenant, err := e.scope(callOf(ctx), request.Params.Tenant)
	if err != nil {
		return nil, err
	}
	changes, err := e.Policies.Changes(ctx, tenant, value(request.Params.After), maxChanges)
	if err != nil {
		return nil, policyError("find the changes", err)
	}
	answer := openapi.PolicyChanges{Changes: make([]openapi.PolicyChange, len(changes))}
	for i, change := range changes {
		answer.Changes[i] = changeView(change)
	}
	return openapi.ListPolicyChanges200JSONResponse{Body: answer}, nil
}

// scope is whose policies a call is about. Who manages those that hold for all tenants
// has a key of none of them.
func (e *endpoints) scope(c *call, tenant *openapi.TenantName) (string, error) {
	switch {
	case e.Policies == nil:
		return "", errNotReady
	case c.tenant == keys.EveryTenant && tenant == nil:
		return expiry.AllTenants, nil
	case c.tenant == keys.EveryTenant:
		return *tenant, nil
	case tenant == nil || *tenant == c.tenant:
		return c.tenant, nil
	}
	return "", &refusal{errForbidden, "A tenant's key manages the policies of its own tenant only."}
}

// policyError tells a failure of the store from what was wrong with the request.
func policyError(op string, err error) error {
	switch {
	case errors.Is(err, expiry.ErrPlanDrifted):
		return &refusal{err, err.Error()} // it says what has changed
	case problemOf(err) != &internal:
		return err
	}
	return &tickets.StoreError{Op: op, Err: err}
}

func policyView(p expiry.PolicyInUse) openapi.Policy {
	return openapi.Policy{
		Name: p.Name, Origin: openapi.PolicyOrigin(p.Origin), Base: p.Base(),
		Internal: p.Internal, Unlimited: p.Unlimited, SharedTicket: p.SharedTicket,
		UnopenedTTL: wholeSeconds(p.UnopenedTTL), ReportWindow: wholeSeconds(p.ReportWindow), ResumeWindow: wholeSeconds(p.ResumeWindow),
		UploadTTL: wholeSeconds(p.UploadTTL), TombstoneTTL: wholeSeconds(p.TombstoneTTL), MaxSize: p.MaxSize,
	}
}

func changeView(c expiry.PolicyChange) openapi.PolicyChange {
	view := openapi.PolicyChange{
		Tenant: orNil(c.Tenant), Name: c.Name, ChangedAt: c.At, ChangedBy: c.By, After: policyView(c.After),
		ApplyToStored: c.ApplyToStored, Blobs: c.Blobs, Bytes: c.Bytes,
	}
	if c.Before != nil {
		view.Before = new(policyView(*c.Before))
	}
	if c.ID != (uuid.UUID{}) {
		view.ID, view.FinishedAt = &c.ID, moment(c.FinishedAt)
	}
	return view
}

func planView(p expiry.PolicyPlan) openapi.PolicyPlan {
	view := openapi.PolicyPlan{
		Base: p.Base, DueNow: openapi.PolicyAmount(p.DueNow), Later: openapi.PolicyAmount(p.Later),
		OldestDueAt: moment(p.OldestDueAt), NewestDueAt: moment(p.NewestDueAt),
	}
	for _, d := range p.Days {
		view.Days = append(view.Days, openapi.PolicyAmount(d))
	}
	return view
}

func wholeSeconds(d time.Duration) int64 { return int64(d / time.Second) }

func secondsOrNil(n *int64) *time.Duration {
	if n == nil {
		return nil
	}
	return new(seconds(n))
}
