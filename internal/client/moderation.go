package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/internal/openapi"
	"mayfly/tickets"
)

// The calls here need a key of role moderator. Where nothing else is said they fail like
// Announce; a *Problem says that nothing was changed. They may be made again: an answer
// that was lost is told from a refusal by looking at the report.

// ReportQuery chooses reports; its zero value all.
type ReportQuery struct {
	State, Reason string
	// Held, if not nil, chooses by whether there is a hold.
	Held *bool
	// After is the Next of the page before.
	After *uuid.UUID
}

// ReportPage are some reports, oldest first.
type ReportPage struct {
	Reports []Report
	// Next is the After of the page behind; nil at the end.
	Next *uuid.UUID
}

// Reports are the next reports of the queue.
func (c *Client) Reports(ctx context.Context, q ReportQuery) (ReportPage, error) {
	params := &openapi.ListReportsParams{Held: q.Held, Cursor: q.After}
	if q.State != "" {
		params.State = new(openapi.ReportState(q.State))
	}
	if q.Reason != "" {
		params.Reason = &q.Reason
	}
	var answer struct {
		Reports []Report
		Next    *uuid.UUID
	}
	err := c.callAs(ctx, shortly, &answer, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.ListReports(ctx, params, bearer(c.Key))
	})
	if err != nil {
		return ReportPage{}, err
	}
	for _, r := range answer.Reports {
		if err := r.check(r.ID); err != nil {
			return ReportPage{}, err
		}
	}
	if answer.Next != nil && (len(answer.Reports) == 0 || q.After != nil && *answer.Next == *q.After) {
		return ReportPage{}, fmt.Errorf("%w: the list does not end", ErrAnswer)
	}
	return ReportPage{Reports: answer.Reports, Next: answer.Next}, nil
}

// Report is a report as a moderator sees it.
func (c *Client) Report(ctx context.Context, id uuid.UUID) (Report, error) {
	if c.Key.IsZero() {
		return Report{}, ErrNoKey
	}
	return c.report(ctx, id, c.Key)
}

// ClaimReport makes an open report this moderator's for half an hour, or for another one.
func (c *Client) ClaimReport(ctx context.Context, id uuid.UUID) (Report, error) {
	return c.act(ctx, id, nil, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.ClaimReport(ctx, id, bearer(c.Key))
	})
}

// ReleaseReport gives a claimed report back to the queue.
func (c *Client) ReleaseReport(ctx context.Context, id uuid.UUID) error {
	released := func(r Report) bool { return r.ClaimedBy == nil || *r.ClaimedBy != c.Key.ID() }
	_, err := c.act(ctx, id, released, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.ReleaseReport(ctx, id, bearer(c.Key))
	})
	return err
}

// Decision is what a moderator decides.
type Decision struct {
	// Outcome is dismissed, upheld or escalated.
	Outcome string
	// Policy is the rule or law that it refers to.
	Policy, Note string
}

// DecideReport decides a report that this moderator has claimed.
func (c *Client) DecideReport(ctx context.Context, id uuid.UUID, d Decision) (Report, error) {
	body := openapi.Decision{Outcome: openapi.Outcome(d.Outcome), Policy: textOrNil(d.Policy), Note: textOrNil(d.Note)}
	decided := func(r Report) bool {
		return r.State == d.Outcome && by(r.DecidedBy, c.Key) && r.Policy == d.Policy && r.Note == d.Note
	}
	return c.act(ctx, id, decided, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.DecideReport(ctx, id, body, bearer(c.Key))
	})
}

// ReopenReport opens a decided report again.
func (c *Client) ReopenReport(ctx context.Context, id uuid.UUID) (Report, error) {
	reopened := func(r Report) bool { return by(r.ReopenedBy, c.Key) }
	return c.act(ctx, id, reopened, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.ReopenReport(ctx, id, bearer(c.Key))
	})
}

// NewHold is what a moderator asks for.
type NewHold struct {
	// Class is legal or review.
	Class, Reason string
	Until         time.Time
}

// HoldReport puts evidence on hold, or makes a hold longer.
func (c *Client) HoldReport(ctx context.Context, id uuid.UUID, h NewHold) (Report, error) {
	body := openapi.NewHold{Class: openapi.HoldClass(h.Class), Reason: h.Reason, Until: h.Until}
	return c.act(ctx, id, nil, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.HoldReport(ctx, id, body, bearer(c.Key))
	})
}

// FreeReport ends a hold, if another moderator has asked for it before; else it asks, and
// freed is false. The Report is the zero one if freed.
func (c *Client) FreeReport(ctx context.Context, id uuid.UUID) (r Report, freed bool, err error) {
	asked := func(r Report) bool { return r.Hold == nil || by(r.Hold.FreeAskedBy, c.Key) }
	r, err = c.act(ctx, id, asked, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.FreeReport(ctx, id, bearer(c.Key))
	})
	return r, err == nil && r.Hold == nil, err
}

// by reports whether it was the key's owner: a token has its row's id within.
func by(who *uuid.UUID, key tickets.Token) bool { return who != nil && *who == key.ID() }

// act makes a call that changes a report, and gives the report as it is then, the zero one
// if the answer has no content. A repetition may be refused because a try came through whose
// answer was lost: done tells that from the report; nil if a repetition is not refused.
func (c *Client) act(ctx context.Context, id uuid.UUID, done func(Report) bool,
	send func(context.Context, *openapi.Client) (*http.Response, error)) (Report, error) {
	if c.Key.IsZero() {
		return Report{}, ErrNoKey
	}
	api, err := c.api()
	if err != nil {
		return Report{}, err
	}
	doubt := false
	want := []int{http.StatusOK, http.StatusAccepted, http.StatusNoContent}
	r, err := retry(ctx, c, shortly, func() (Report, error) {
		var r *Report // nil without content
		sent, err := c.ask(ctx, &r, want, func(ctx context.Context) (*http.Response, error) { return send(ctx, api) })
		doubt = doubt || maybe(err, sent)
		if err != nil || r == nil {
			return Report{}, err
		}
		return *r, r.check(id)
	})
	var problem *Problem
	if doubt && done != nil && errors.As(err, &problem) && problem.Status == http.StatusConflict {
		if seen, lookErr := c.Report(ctx, id); lookErr == nil && done(seen) {
			return seen, nil
		}
	}
	return r, err
}

// Evidence is a moderator's right to download what was reported, once, and the key to it,
// sealed. It prints redacted.
type Evidence struct {
	// TicketID and Ticket are for Open.
	TicketID  uuid.UUID
	Ticket    tickets.Token
	ExpiresAt time.Time
	// SealedKey is an envelope, which must be bound to Blob, SHA256 and Size.
	SealedKey string
	Blob      uuid.UUID
	SHA256    blobstore.Digest
	Size      int64
	// KeyCommitment is the sender's, or empty.
	KeyCommitment string
}

// Format prints no field but the id, for any verb.
func (e Evidence) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "evidence ticket %s", e.TicketID) }

// LogValue is the redacted form.
func (e Evidence) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(e)) }

// PullReport gets a ticket for the evidence of a report. If its answer is lost it gets
// another, and the first is never opened.
func (c *Client) PullReport(ctx context.Context, id uuid.UUID) (Evidence, error) {
	if c.Key.IsZero() {
		return Evidence{}, ErrNoKey
	}
	var answer openapi.EvidenceTicket
	err := c.call(ctx, shortly, http.StatusCreated, &answer, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.PullReport(ctx, id, bearer(c.Key))
	})
	if err != nil {
		return Evidence{}, err
	}
	token, err := tickets.ParseToken(tickets.KindTicket, answer.Token)
	if err != nil {
		return Evidence{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	sum, err := blobstore.ParseDigest(answer.Sha256)
	if err != nil {
		return Evidence{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	e := Evidence{
		TicketID: answer.ID, Ticket: token, ExpiresAt: answer.ExpiresAt, SealedKey: answer.SealedKey,
		Blob: answer.BlobID, SHA256: sum, Size: answer.Size,
	}
	if answer.KeyCommitment != nil {
		e.KeyCommitment = *answer.KeyCommitment
	}
	return e, nil
}
