package api

import (
	"context"

	"github.com/google/uuid"

	"mayfly/internal/openapi"
	"mayfly/internal/stamp"
	"mayfly/reports"
	"mayfly/tickets"
)

// defaultReports is how many reports an answer has; openapi.yaml says so.
const defaultReports = 50

// ListReports is GET /v1/reports.
func (e *endpoints) ListReports(ctx context.Context, request openapi.ListReportsRequestObject) (openapi.ListReportsResponseObject, error) {
	service, err := e.reports()
	if err != nil {
		return nil, err
	}
	p := request.Params
	q := reports.Query{
		State: reports.State(value(p.State)), Reason: value(p.Reason), Held: p.Held, After: value(p.Cursor), Limit: defaultReports,
	}
	if p.Limit != nil {
		q.Limit = *p.Limit
	}
	limit := q.Limit
	q.Limit++ // one more tells whether there is more
	page, err := service.Reports(ctx, callOf(ctx).tenant, q)
	if err != nil {
		return nil, err
	}
	more := len(page) > limit
	page = page[:min(limit, len(page))]
	answer := openapi.Reports{Reports: make([]openapi.Report, len(page))}
	for i, r := range page {
		answer.Reports[i] = e.moderatorView(r)
	}
	if more {
		answer.Next = &page[len(page)-1].ID
	}
	return openapi.ListReports200JSONResponse{Body: answer}, nil
}

// moderates is the service and who calls it.
func (e *endpoints) moderates(ctx context.Context) (*reports.Service, reports.Moderator, error) {
	c := callOf(ctx)
	service, err := e.reports()
	return service, reports.Moderator{Tenant: c.tenant, Key: c.token.ID()}, err
}

// ClaimReport is POST /v1/reports/{id}/claim.
func (e *endpoints) ClaimReport(ctx context.Context, request openapi.ClaimReportRequestObject) (openapi.ClaimReportResponseObject, error) {
	service, m, err := e.moderates(ctx)
	if err != nil {
		return nil, err
	}
	r, err := service.Claim(ctx, m, request.ID)
	if err != nil {
		return nil, err
	}
	return openapi.ClaimReport200JSONResponse{Body: e.moderatorView(r)}, nil
}

// ReleaseReport is POST /v1/reports/{id}/release.
func (e *endpoints) ReleaseReport(ctx context.Context, request openapi.ReleaseReportRequestObject) (openapi.ReleaseReportResponseObject, error) {
	service, m, err := e.moderates(ctx)
	if err != nil {
		return nil, err
	}
	if err := service.Release(ctx, m, request.ID); err != nil {
		return nil, err
	}
	return openapi.ReleaseReport204Response{}, nil
}

// DecideReport is POST /v1/reports/{id}/decision.
func (e *endpoints) DecideReport(ctx context.Context, request openapi.DecideReportRequestObject) (openapi.DecideReportResponseObject, error) {
	service, m, err := e.moderates(ctx)
	if err != nil {
		return nil, err
	}
	v := reports.Verdict{Outcome: reports.State(request.Body.Outcome), Policy: value(request.Body.Policy), Note: value(request.Body.Note)}
	r, err := service.Decide(ctx, m, request.ID, v)
	if err != nil {
		return nil, err
	}
	return openapi.DecideReport200JSONResponse{Body: e.moderatorView(r)}, nil
}

// ReopenReport is POST /v1/reports/{id}/reopen.
func (e *endpoints) ReopenReport(ctx context.Context, request openapi.ReopenReportRequestObject) (openapi.ReopenReportResponseObject, error) {
	service, m, err := e.moderates(ctx)
	if err != nil {
		return nil, err
	}
	r, err := service.Reopen(ctx, m, request.ID)
	if err != nil {
		return nil, err
	}
	return openapi.ReopenReport200JSONResponse{Body: e.moderatorView(r)}, nil
}

// HoldReport is PUT /v1/reports/{id}/hold.
func (e *endpoints) HoldReport(ctx context.Context, request openapi.HoldReportRequestObject) (openapi.HoldReportResponseObject, error) {
	service, m, err := e.moderates(ctx)
	if err != nil {
		return nil, err
	}
	b := request.Body
	r, err := service.PutHold(ctx, m, request.ID, reports.NewHold{Class: reports.HoldClass(b.Class), Reason: b.Reason, Until: b.Until})
	if err != nil {
		return nil, err
	}
	return openapi.HoldReport200JSONResponse{Body: e.moderatorView(r)}, nil
}

// FreeReport is DELETE /v1/reports/{id}/hold.
func (e *endpoints) FreeReport(ctx context.Context, request openapi.FreeReportRequestObject) (openapi.FreeReportResponseObject, error) {
	service, m, err := e.moderates(ctx)
	if err != nil {
		return nil, err
	}
	r, freed, err := service.Free(ctx, m, request.ID)
	switch {
	case err != nil:
		return nil, err
	case freed:
		return openapi.FreeReport204Response{}, nil
	}
	return openapi.FreeReport202JSONResponse{Body: e.moderatorView(r)}, nil
}

// PullReport is POST /v1/reports/{id}/tickets.
func (e *endpoints) PullReport(ctx context.Context, request openapi.PullReportRequestObject) (openapi.PullReportResponseObject, error) {
	service, m, err := e.moderates(ctx)
	if err != nil {
		return nil, err
	}
	var token tickets.Token
	p, err := service.Pull(ctx, m, request.ID, func(id uuid.UUID) reports.Hash {
		token = tickets.NewToken(tickets.KindTicket, id)
		return reports.Hash(token.Hash())
	})
	if err != nil {
		return nil, err
	}
	r := p.Report
	return openapi.PullReport201JSONResponse{Body: openapi.EvidenceTicket{
		ID: p.Ticket.ID, Token: token.Reveal(), ExpiresAt: p.ExpiresAt, SealedKey: r.SealedKey,
		BlobID: r.Blob, Size: r.Size, Sha256: r.SHA256.String(), KeyCommitment: orNil(r.KeyCommitment),
	}}, nil
}

// moderatorView is what a moderator is told. Who reported is not in it, nor the sealed key.
func (e *endpoints) moderatorView(r reports.Report) openapi.Report {
	now := e.Reports.Service.Time()
	view := e.reporterView(r)
	view.State = openapi.ReportState(r.StateAt(now))
	if r.Claim.Until.After(now) {
		view.ClaimedBy, view.ClaimedUntil = &r.Claim.By, moment(r.Claim.Until)
	}
	view.Comment, view.BlobID = orNil(r.Comment), &r.Blob
	view.KeyCommitment, view.Context, view.UploadedAt = orNil(r.KeyCommitment), orNil(r.Context), moment(r.UploadedAt)
	view.Stamp = &openapi.Stamp{Stamp: orNil(r.Stamp), Verdict: openapi.StampVerdict(e.stampVerdict(r.Reported))}
	view.Consent = &openapi.ConsentRecord{
		Statement: r.Consent.Statement, Sha256: r.Consent.SHA256.String(), Locale: r.Consent.Locale, GrantedAt: r.Consent.At,
	}
	for _, shared := range r.Consent.Shared {
		view.Consent.Shared = append(view.Consent.Shared, openapi.ConsentRecordShared(shared))
	}
	if !r.Decision.At.IsZero() {
		view.DecidedBy, view.Policy, view.Note = &r.Decision.By, orNil(r.Decision.Policy), orNil(r.Decision.Note)
	}
	if !r.Reopened.At.IsZero() {
		view.ReopenedBy, view.ReopenedAt = &r.Reopened.By, moment(r.Reopened.At)
	}
	if h := r.HoldAt(now); h != nil {
		view.Hold = &openapi.Hold{Class: openapi.HoldClass(h.Class), Reason: h.Reason, Until: h.Until, Since: h.Since, By: h.By}
		if !h.FreeAskedAt.IsZero() {
			view.Hold.FreeAskedBy, view.Hold.FreeAskedAt = &h.FreeAskedBy, moment(h.FreeAskedAt)
		}
	}
	return view
}

// stampVerdict says whether a blob was uploaded as its row says.
func (e *endpoints) stampVerdict(r reports.Reported) stamp.Verdict {
	switch {
	case r.Stamp == "":
		return stamp.None
	case e.Reports.Stamps == nil:
		return stamp.UnknownKey
	}
	return e.Reports.Stamps.Verify(stamp.Upload{
		Blob: r.Blob, SHA256: r.SHA256, Size: r.Size, KeyCommitment: r.KeyCommitment, Context: r.Context, StoredAt: r.UploadedAt,
	}, r.Stamp)
}
