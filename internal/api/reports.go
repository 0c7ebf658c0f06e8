package api

import (
	"context"
	"crypto/rand"

	"github.com/google/uuid"

	"mayfly/internal/openapi"
	"mayfly/internal/stamp"
	"mayfly/reports"
	"mayfly/tickets"
)

// Reports are what the calls of reporters and moderators are answered with.
type Reports struct {
	Service *reports.Service
	// Stamps verifies what was stamped at an upload; nil if nothing is stamped.
	Stamps *stamp.Keyring
}

// GetModeration is GET /v1/moderation/recipients.
func (e *endpoints) GetModeration(ctx context.Context, _ openapi.GetModerationRequestObject) (openapi.GetModerationResponseObject, error) {
	var offer reports.Offer // of a server without moderators: nothing
	if service, err := e.reports(); err == nil {
		if offer, err = service.Offer(ctx); err != nil {
			return nil, err
		}
	}
	answer := openapi.Moderation{
		Recipients: make([]openapi.ModerationRecipient, len(offer.Recipients)),
		Statements: make([]openapi.ConsentStatement, len(offer.Statements)),
		Reasons:    append([]string{}, offer.Reasons...),
	}
	for i, r := range offer.Recipients {
		answer.Recipients[i] = openapi.ModerationRecipient{ID: r.ID(), Recipient: r.String()}
	}
	for i, s := range offer.Statements {
		answer.Statements[i] = openapi.ConsentStatement{ID: s.ID, Locale: s.Locale, Text: s.Text, Sha256: s.SHA256().String()}
	}
	return openapi.GetModeration200JSONResponse{Body: answer}, nil
}

// reports is the service; ErrModerationOff if there is none.
func (e *endpoints) reports() (*reports.Service, error) {
	if e.Reports.Service == nil {
		return nil, reports.ErrModerationOff
	}
	return e.Reports.Service, nil
}

// CreateReport is POST /v1/reports.
func (e *endpoints) CreateReport(ctx context.Context, request openapi.CreateReportRequestObject) (openapi.CreateReportResponseObject, error) {
	c, body := callOf(ctx), request.Body
	service, err := e.reports()
	if err != nil {
		return nil, err
	}
	r := reports.Request{
		Ticket: c.token.ID(), TicketHash: reports.Hash(c.token.Hash()),
		Reason: body.Reason, Comment: value(body.Comment), SealedKey: value(body.SealedKey),
		Idempotency: value(request.Params.IdempotencyKey),
	}
	if given := body.Consent; given != nil {
		r.Consent = &reports.Given{Granted: given.Granted, Statement: given.Statement, Locale: value(given.Locale)}
	}
	if key := request.Params.IdempotencyKey; key != nil && *key == "" {
		// Who sends one counts on it: a header that is empty is a mistake, and no request without.
		return nil, violation("Idempotency-Key", "must be 16 to 128 visible ASCII characters")
	}
	// With an Idempotency-Key the handle can be made again: it is kept nowhere (P8).
	salt := []byte(r.Idempotency)
	if len(salt) == 0 {
		salt = make([]byte, 32)
		rand.Read(salt)
	}
	handle := func(id uuid.UUID) tickets.Token { return c.token.Derive(tickets.KindReport, id, salt) }
	r.Handle = func(id uuid.UUID) reports.Hash { return reports.Hash(handle(id).Hash()) }
	report, err := service.File(ctx, r)
	if err != nil {
		return nil, err
	}
	location := e.path("/v1/reports/" + report.ID.String())
	answer := openapi.CreatedReport{ID: report.ID, State: reporterState(report), Token: handle(report.ID).Reveal()}
	if report.State == reports.StateAwaitingMedia {
		answer.MediaUntil = moment(report.MediaUntil)
	}
	return openapi.CreateReport201JSONResponse{Body: answer, Headers: openapi.CreateReport201ResponseHeaders{Location: &location}}, nil
}

// GetReport is GET /v1/reports/{id}, for a reporter and for a moderator.
func (e *endpoints) GetReport(ctx context.Context, request openapi.GetReportRequestObject) (openapi.GetReportResponseObject, error) {
	c := callOf(ctx)
	service, err := e.reports()
	if err != nil {
		return nil, err
	}
	if c.kind == tickets.KindKey {
		r, err := service.Report(ctx, c.tenant, request.ID)
		if err != nil {
			return nil, err
		}
		return openapi.GetReport200JSONResponse{Body: e.moderatorView(r)}, nil
	}
	handle, err := handleOf(c, request.ID)
	if err != nil {
		return nil, err
	}
	r, err := service.Handled(ctx, request.ID, handle)
	if err != nil {
		return nil, err
	}
	return openapi.GetReport200JSONResponse{Body: e.reporterView(r)}, nil
}

// handleOf is the hash of the handle of a call, which must be that report's.
func handleOf(c *call, id uuid.UUID) (reports.Hash, error) {
	if c.token.ID() != id {
		return reports.Hash{}, reports.ErrUnknownReport
	}
	return reports.Hash(c.token.Hash()), nil
}

// WithdrawReport is DELETE /v1/reports/{id}.
func (e *endpoints) WithdrawReport(ctx context.Context, request openapi.WithdrawReportRequestObject) (openapi.WithdrawReportResponseObject, error) {
	service, err := e.reports()
	if err != nil {
		return nil, err
	}
	handle, err := handleOf(callOf(ctx), request.ID)
	if err != nil {
		return nil, err
	}
	if err := service.Withdraw(ctx, request.ID, handle); err != nil {
		return nil, err
	}
	return openapi.WithdrawReport204Response{}, nil
}

// UploadMedia is PUT /v1/reports/{id}/media.
func (e *endpoints) UploadMedia(ctx context.Context, request openapi.UploadMediaRequestObject) (openapi.UploadMediaResponseObject, error) {
	c := callOf(ctx)
	service, err := e.reports()
	if err != nil {
		return nil, err
	}
	handle, err := handleOf(c, request.ID)
	if err != nil {
		return nil, err
	}
	var r reports.Report
	err = e.upload(c, func() (err error) {
		r, err = service.ReceiveMedia(ctx, request.ID, handle, request.Body, c.in.ContentLength)
		return err
	})
	if err != nil {
		return nil, err
	}
	return openapi.UploadMedia200JSONResponse{Body: e.reporterView(r)}, nil
}

// reporterState does not tell a reporter when a moderator is at work.
func reporterState(r reports.Report) openapi.ReportState { return openapi.ReportState(r.State) }

// reporterView is what a reporter is told.
func (e *endpoints) reporterView(r reports.Report) openapi.Report {
	view := openapi.Report{
		ID: r.ID, State: reporterState(r), Reason: r.Reason, FiledAt: r.FiledAt, Size: &r.Size, Sha256: hexDigest(&r.SHA256),
		OnHold: new(r.HoldAt(e.Reports.Service.Time()) != nil), EvidenceExpiresAt: moment(r.ExpiresAt),
		ErasedAt: moment(r.ErasedAt), WithdrawnAt: moment(r.WithdrawnAt), DecidedAt: moment(r.Decision.At),
	}
	if r.State == reports.StateAwaitingMedia {
		view.MediaUntil = moment(r.MediaUntil)
	}
	return view
}
