package api

import (
	"context"

	"github.com/google/uuid"

	"mayfly/internal/keys"
	"mayfly/internal/openapi"
	"mayfly/reports"
	"mayfly/tickets"
)

// defaultEntries is how many entries an answer has; openapi.yaml says so.
const defaultEntries = 1000

// ListAudit is GET /v1/audit.
func (e *endpoints) ListAudit(ctx context.Context, request openapi.ListAuditRequestObject) (openapi.ListAuditResponseObject, error) {
	service, err := e.reports()
	if err != nil {
		return nil, err
	}
	tenant, err := auditTenant(callOf(ctx), request.Params.Tenant)
	if err != nil {
		return nil, err
	}
	limit := defaultEntries
	if request.Params.Limit != nil {
		limit = *request.Params.Limit
	}
	entries, head, err := service.Store.Audit(ctx, tenant, value(request.Params.After), limit)
	if err != nil {
		return nil, &tickets.StoreError{Op: "read the audit log", Err: err}
	}
	answer := openapi.Audit{
		Entries: make([]openapi.AuditEntry, len(entries)),
		Head:    openapi.AuditHead{Tenant: head.Tenant, Number: head.Number, Hash: head.Hash.String()},
	}
	for i, entry := range entries {
		answer.Entries[i] = entryView(entry)
	}
	return openapi.ListAudit200JSONResponse{Body: answer}, nil
}

// auditTenant is whose chain a call is about. The operator of the installation has none.
func auditTenant(c *call, tenant *openapi.TenantName) (string, error) {
	switch {
	case c.tenant == keys.EveryTenant && tenant == nil:
		return "", violation("query tenant", "is required: each tenant has a chain of its own")
	case c.tenant == keys.EveryTenant:
		return *tenant, nil
	case tenant == nil || *tenant == c.tenant:
		return c.tenant, nil
	}
	return "", &refusal{errForbidden, "A tenant's key reads the audit log of its own tenant only."}
}

func entryView(e reports.Entry) openapi.AuditEntry {
	view := openapi.AuditEntry{
		Number: e.Number, At: e.At, Act: string(e.Act), Actor: e.Actor, ReportID: e.Report,
		Digest: hexDigest(e.Digest), Previous: e.Previous.String(), Hash: e.Hash.String(),
	}
	if e.Subject != (uuid.UUID{}) {
		view.Subject = &e.Subject
	}
	return view
}
