package client

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/internal/openapi"
	"mayfly/tickets"
)

// Moderation is what a report is made of. Its lists are empty where no reports are taken.
type Moderation struct {
	// Recipients are age recipients; a report is sealed to all of them.
	Recipients []string
	// Statements are what a reporter can consent to, each in one language.
	Statements []Statement
	// Reasons are those that a report can have.
	Reasons []string
}

// Statement is a text that a reporter reads, word for word, before consenting.
type Statement struct {
	ID     string           `json:"id"`
	Locale string           `json:"locale"`
	Text   string           `json:"text"`
	SHA256 blobstore.Digest `json:"sha256"`
}

// Moderation asks what a report is made of. It needs no token. Fails with ErrServer,
// *Problem, *UnreachableError, ErrRedirect, or ErrAnswer, also if a statement is not the
// text that the consent would be recorded of.
func (c *Client) Moderation(ctx context.Context) (Moderation, error) {
	var answer struct {
		Recipients []struct{ Recipient string }
		Statements []Statement
		Reasons    []string
	}
	err := c.call(ctx, shortly, http.StatusOK, &answer, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.GetModeration(ctx)
	})
	if err != nil {
		return Moderation{}, err
	}
	m := Moderation{Statements: answer.Statements, Reasons: answer.Reasons}
	for _, r := range answer.Recipients {
		m.Recipients = append(m.Recipients, r.Recipient)
	}
	for _, s := range m.Statements {
		if s.ID == "" || s.SHA256 != sha256.Sum256([]byte(s.Text)) {
			return Moderation{}, fmt.Errorf("%w: a statement of consent is not the text that its digest is of", ErrAnswer)
		}
	}
	return m, nil
}

// Reportable is the blob of a ticket, as its sender uploaded it.
type Reportable struct {
	Blob uuid.UUID
	// Size in bytes.
	Size int64
	// SHA256 is nil until the bytes are stored.
	SHA256 *blobstore.Digest
}

// Reportable looks what a ticket is of. It never spends it. Fails like Announce.
func (c *Client) Reportable(ctx context.Context, ticket tickets.Token) (Reportable, error) {
	var answer struct {
		BlobID uuid.UUID         `json:"blob_id"`
		Size   int64             `json:"size"`
		SHA256 *blobstore.Digest `json:"sha256"`
	}
	err := c.call(ctx, shortly, http.StatusOK, &answer, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.GetTicket(ctx, bearer(ticket))
	})
	switch {
	case err != nil:
		return Reportable{}, err
	case answer.BlobID == uuid.Nil || answer.Size < 0:
		return Reportable{}, fmt.Errorf("%w: it does not say of which blob the ticket is", ErrAnswer)
	}
	return Reportable{Blob: answer.BlobID, Size: answer.Size, SHA256: answer.SHA256}, nil
}

// NewReport is what a reporter's client says. Who fills it in has the reporter's consent
// to the statement.
type NewReport struct {
	// Ticket of what is reported, opened or not.
	Ticket          tickets.Token
	Reason, Comment string
	// Statement and Locale are of the text that the reporter has read.
	Statement, Locale string
	// SealedKey is an envelope to the moderators.
	SealedKey string
}

// FiledReport is a report on the server.
type FiledReport struct {
	ID uuid.UUID
	// State is copying, awaiting_media, or a later one.
	State string
	// Handle is all that leads the reporter to the report.
	Handle tickets.Token
	// MediaUntil is until when the bytes may be brought, while the state is awaiting_media.
	MediaUntil *time.Time
}

// UnansweredReportError says that a report failed and that nobody knows whether it was
// filed: the server was asked, and no answer told. Its handle, if it was, is lost.
type UnansweredReportError struct{ Err error }

func (e *UnansweredReportError) Error() string { return e.Err.Error() + "; it may be filed" }
func (e *UnansweredReportError) Unwrap() error { return e.Err }

// File files a report. A random Idempotency-Key goes with the request, so that an answer
// that is lost is asked for again, and has the same handle: for long, once there is one
// to be lost. Fails with *UnansweredReportError, or like Announce; then nothing is filed.
func (c *Client) File(ctx context.Context, r NewReport) (FiledReport, error) {
	api, err := c.api()
	if err != nil {
		return FiledReport{}, err
	}
	key := rand.Text()
	body := openapi.NewReport{
		Reason: r.Reason, Comment: textOrNil(r.Comment), SealedKey: &r.SealedKey,
		Consent: &openapi.Consent{Granted: true, Statement: r.Statement, Locale: textOrNil(r.Locale)},
	}
	doubt, tries := false, uint(0)
	answer, err := retry(ctx, c, c.patiently(), func() (openapi.CreatedReport, error) {
		tries++
		var answer openapi.CreatedReport
		sent, err := c.ask(ctx, &answer, []int{http.StatusCreated}, func(ctx context.Context) (*http.Response, error) {
			return api.CreateReport(ctx, &openapi.CreateReportParams{IdempotencyKey: &key}, body, bearer(r.Ticket))
		})
		// No later refusal takes it back: the moderators may have changed since the try that came through.
		doubt = doubt || maybe(err, sent)
		if err != nil && !doubt && tries >= shortly.tries {
			err = backoff.Permanent(err)
		}
		return answer, err
	})
	switch {
	case err != nil && doubt:
		return FiledReport{}, &UnansweredReportError{err}
	case err != nil:
		return FiledReport{}, err
	}
	handle, err := tickets.ParseToken(tickets.KindReport, answer.Token)
	if err != nil || answer.ID == uuid.Nil || handle.ID() != answer.ID || !answer.State.Valid() {
		return FiledReport{}, &UnansweredReportError{fmt.Errorf("%w: no report, or not its handle", ErrAnswer)}
	}
	return FiledReport{ID: answer.ID, State: string(answer.State), Handle: handle, MediaUntil: answer.MediaUntil}, nil
}

// maybe reports whether a call that failed may have done its work all the same.
func maybe(err error, sent bool) bool { return lost(err, sent) || failed(err) }

// ask makes a small call a single time. The answer is decoded into out, if it has content.
// sent reports whether there was a connection to send the request on.
func (c *Client) ask(ctx context.Context, out any, want []int, send func(context.Context) (*http.Response, error)) (sent bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.stall(), ErrStalled)
	defer cancel()
	var connected atomic.Bool
	resp, err := send(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}))
	if err != nil {
		return connected.Load(), err
	}
	defer resp.Body.Close()
	switch {
	case !slices.Contains(want, resp.StatusCode):
		return true, problemOf(resp)
	case resp.StatusCode == http.StatusNoContent:
		return true, nil
	}
	return true, decode(ctx, resp, out)
}

// FiledStatus is where a report stands, as its reporter sees it. Fails like Announce.
func (c *Client) FiledStatus(ctx context.Context, handle tickets.Token) (Report, error) {
	return c.report(ctx, handle.ID(), handle)
}

// Withdraw takes the consent to a report back. Idempotent. Fails like Announce; with the
// *Problem on_hold nothing is changed.
func (c *Client) Withdraw(ctx context.Context, handle tickets.Token) error {
	return c.call(ctx, shortly, http.StatusNoContent, nil, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.WithdrawReport(ctx, handle.ID(), bearer(handle))
	})
}

// Media is the ciphertext of what was reported, for a server that has erased its own.
type Media struct {
	// Size in bytes.
	Size int64
	// Open gives the bytes from their beginning, for each try.
	Open func() (io.ReadCloser, error)
	// Progress, if set, is told how many bytes of this try are sent.
	Progress func(sent int64)
}

// BringMedia sends the bytes that a report waits for, and returns when they are stored.
// It begins again as Upload does. Fails with *Problem, *UnreachableError, ErrLength,
// ErrAnswer, ErrRedirect, or an error of Open or its reader.
func (c *Client) BringMedia(ctx context.Context, handle tickets.Token, m Media) (Report, error) {
	if err := c.Check(); err != nil {
		return Report{}, err
	}
	up := Upload{
		Grant: Grant{
			URL:    strings.TrimRight(c.Server, "/") + "/v1/reports/" + handle.ID().String() + "/media",
			Header: map[string]string{"Authorization": "Bearer " + handle.Reveal(), "Content-Type": "application/octet-stream"},
		},
		Size: m.Size, Open: m.Open, Progress: m.Progress,
	}
	whole := false // a try was sent to its end
	return retry(ctx, c, uploading, func() (Report, error) {
		body, err := up.open(ctx, c.stall())
		if err != nil {
			return Report{}, backoff.Permanent(err)
		}
		r, err := c.putMedia(up, handle, body)
		_, sent, broken := body.end()
		whole = whole || sent
		var problem *Problem
		switch {
		case broken != nil:
			return Report{}, backoff.Permanent(broken)
		case errors.As(err, &problem) && problem.Code == "media_not_awaited" && whole:
			// The answer of a try was lost. The server takes no other bytes than these.
			if r, err = c.FiledStatus(ctx, handle); err != nil {
				return Report{}, backoff.Permanent(err)
			}
		}
		return r, err
	})
}

// putMedia is one try. The body is closed, or will be by the transport.
func (c *Client) putMedia(u Upload, handle tickets.Token, body *uploadBody) (Report, error) {
	var r Report
	if err := c.putBody(u, body, &r); err != nil {
		return Report{}, err
	}
	return r, r.check(handle.ID())
}

// Report is a report, as its reporter or as a moderator sees it: what only moderators are
// told is from Claim on. In JSON it is as in the API.
type Report struct {
	ID      uuid.UUID `json:"id"`
	State   string    `json:"state"`
	Reason  string    `json:"reason"`
	FiledAt time.Time `json:"filed_at"`
	// Size in bytes and SHA256 of the blob that was reported.
	Size              *int64            `json:"size,omitempty"`
	SHA256            *blobstore.Digest `json:"sha256,omitempty"`
	MediaUntil        *time.Time        `json:"media_until,omitempty"`
	OnHold            bool              `json:"on_hold"`
	EvidenceExpiresAt *time.Time        `json:"evidence_expires_at,omitempty"`
	ErasedAt          *time.Time        `json:"erased_at,omitempty"`
	WithdrawnAt       *time.Time        `json:"withdrawn_at,omitempty"`
	DecidedAt         *time.Time        `json:"decided_at,omitempty"`

	ClaimedBy     *uuid.UUID     `json:"claimed_by,omitempty"`
	ClaimedUntil  *time.Time     `json:"claimed_until,omitempty"`
	Comment       string         `json:"comment,omitempty"`
	Blob          *uuid.UUID     `json:"blob_id,omitempty"`
	KeyCommitment string         `json:"key_commitment,omitempty"`
	Context       string         `json:"context,omitempty"`
	UploadedAt    *time.Time     `json:"uploaded_at,omitempty"`
	Stamp         *Stamp         `json:"stamp,omitempty"`
	Consent       *ConsentRecord `json:"consent,omitempty"`
	DecidedBy     *uuid.UUID     `json:"decided_by,omitempty"`
	Policy        string         `json:"policy,omitempty"`
	Note          string         `json:"note,omitempty"`
	ReopenedBy    *uuid.UUID     `json:"reopened_by,omitempty"`
	ReopenedAt    *time.Time     `json:"reopened_at,omitempty"`
	Hold          *Hold          `json:"hold,omitempty"`
}

// Stamp is whether what the server says of an upload is what it stamped when it was stored.
type Stamp struct {
	// Verdict is valid, invalid, unknown_key or none.
	Verdict string `json:"verdict"`
	Stamp   string `json:"stamp,omitempty"`
}

// ConsentRecord is what the reporter consented to.
type ConsentRecord struct {
	Statement string           `json:"statement"`
	SHA256    blobstore.Digest `json:"sha256"`
	Locale    string           `json:"locale"`
	GrantedAt time.Time        `json:"granted_at"`
	Shared    []string         `json:"shared"`
}

// Hold keeps evidence from being deleted.
type Hold struct {
	// Class is legal or review.
	Class  string    `json:"class"`
	Reason string    `json:"reason"`
	Until  time.Time `json:"until"`
	Since  time.Time `json:"since"`
	// By and FreeAskedBy are moderators' keys.
	By          uuid.UUID  `json:"by"`
	FreeAskedBy *uuid.UUID `json:"free_asked_by,omitempty"`
	FreeAskedAt *time.Time `json:"free_asked_at,omitempty"`
}

func (r Report) check(id uuid.UUID) error {
	if r.ID != id || !openapi.ReportState(r.State).Valid() {
		return fmt.Errorf("%w: not the report that was asked for", ErrAnswer)
	}
	return nil
}

// report looks at a report with a handle or a moderator's key.
func (c *Client) report(ctx context.Context, id uuid.UUID, token tickets.Token) (Report, error) {
	var r Report
	err := c.call(ctx, shortly, http.StatusOK, &r, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.GetReport(ctx, id, bearer(token))
	})
	if err != nil {
		return Report{}, err
	}
	return r, r.check(id)
}
