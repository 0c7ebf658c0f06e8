package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strconv"
	"time"

	"mayfly/blobstore"
	"mayfly/expiry"
	"mayfly/internal/keys"
	"mayfly/internal/metrics"
	"mayfly/internal/openapi"
	"mayfly/reports"
	"mayfly/reports/envelope"
	"mayfly/tickets"
)

// problem is what the client is told of a kind of error.
type problem struct {
	is     func(error) bool
	status int
	code   openapi.ProblemCode
	title  string
	// retryAfter is in seconds; 0 where it makes no sense to try again.
	retryAfter int
}

// problems is the one table from errors to answers; the first row that fits counts.
// What is in none is internal: a 500 that tells the client nothing and the log all.
//
// blobstore.ErrNotFound is no answer of its own, and not one of the store's passing
// failures either: a ticket that can be opened and a blob that is not there, or of
// another size, is a broken promise (P1), and has to be seen.
var problems = [...]problem{
	{is(blobstore.ErrNotFound), internal.status, internal.code, internal.title, 0},
	{is(tickets.ErrDamaged), internal.status, internal.code, internal.title, 0},

	{as[*violations](), 400, "invalid_request", "The request is malformed.", 0},
	{as[*tickets.FieldError](), 400, "invalid_request", "The request is malformed.", 0},
	{as[*expiry.PolicyFieldError](), 400, "invalid_request", "The request is malformed.", 0},

	{is(errTokenRequired), 401, "token_required", "The call needs a token.", 0},
	{is(tickets.ErrToken), 401, "malformed_token", "The token is malformed.", 0},
	{is(keys.ErrUnknown), 401, "unknown_key", "There is no such key, or it is revoked.", 0},
	{is(errForbidden), 403, "forbidden", "This key may not do that.", 0},
	{is(errNotFound), 404, "not_found", "There is nothing at this path.", 0},
	{is(errMethodNotAllowed), 405, "method_not_allowed", "The path does not take this method.", 0},

	{is(tickets.ErrUnknownBlob), 404, "unknown_blob", "There is no such blob.", 0},
	{is(tickets.ErrUnknownTicket), 404, "unknown_ticket", "There is no such ticket.", 0},
	{is(tickets.ErrUnknownGrant), 404, "unknown_grant", "There is no such upload grant.", 0},
	{is(expiry.ErrUnknownPolicy), 404, "unknown_policy", "There is no such policy.", 0},
	{is(expiry.ErrOnlyPolicy), 409, "policy_needed", "Blobs may name this policy.", 0},
	{is(expiry.ErrPolicyChanging), 409, "policy_changing", "Stored blobs still follow the last change of this policy.", 0},
	{is(expiry.ErrPlanDrifted), 409, "plan_drifted", "The plan does not hold any more.", 0},
	{is(expiry.ErrTooManyPolicies), 409, "too_many_policies", "There are too many policies.", 0},
	{is(expiry.ErrBrake), 409, "purge_braked", "Too much is due at once.", 0},
	{is(expiry.ErrStopped), 409, "deletion_stopped", "Deletion is stopped.", 0},
	{is(tickets.ErrAlreadyStored), 409, "already_stored", "The blob is stored already.", 0},
	{is(tickets.ErrNotUploaded), 409, "not_uploaded", "The blob is not uploaded yet.", 5},
	{is(tickets.ErrNotOpened), 409, "not_opened", "The ticket is not opened.", 0},
	{is(tickets.ErrTooManyTickets), 409, "too_many_tickets", "The blob has too many tickets.", 0},
	{is(errRevokeOpened), 409, "opened", "This ticket has been opened.", 0},
	{is(tickets.ErrOpened), 410, "opened", "This ticket has been opened.", 0},
	{is(tickets.ErrExpired), 410, "expired", "The deadline has passed.", 0},
	{is(tickets.ErrRevoked), 410, "revoked", "The sender took the ticket back.", 0},
	{is(tickets.ErrErased), 410, "erased", "The blob is erased.", 0},
	{is(tickets.ErrTooLate), 410, "too_late", "It is too late to upload.", 0},

	{as[*reports.FieldError](), 400, "invalid_request", "The request is malformed.", 0},
	{is(reports.ErrUnknownTicket), 404, "unknown_ticket", "There is no such ticket.", 0},
	{is(reports.ErrUnknownReport), 404, "unknown_report", "There is no such report.", 0},
	{is(reports.ErrNotUploaded), 409, "not_uploaded", "The blob is not uploaded yet.", 5},
	{is(reports.ErrAlreadyReported), 409, "already_reported", "This ticket has been used for a report.", 0},
	{is(reports.ErrNotReportable), 409, "not_reportable", "This ticket is for evidence.", 0},
	{is(reports.ErrMediaNotAwaited), 409, "media_not_awaited", "The report waits for no media.", 0},
	{is(reports.ErrOnHold), 409, "on_hold", "The evidence is on hold.", 0},
	{is(reports.ErrNotOnHold), 409, "not_on_hold", "The evidence is not on hold.", 0},
	{is(reports.ErrClaimed), 409, "claimed", "Another moderator has the report.", 0},
	{is(reports.ErrNotClaimed), 409, "not_claimed", "You have not claimed the report.", 0},
	{is(reports.ErrNotOpen), 409, "not_open", "The report waits for no decision.", 0},
	{is(reports.ErrNotDecided), 409, "not_decided", "The report is not decided.", 0},
	{is(reports.ErrSamePerson), 409, "same_person", "It takes another moderator.", 0},
	{is(reports.ErrNoEvidence), 409, "no_evidence", "There is no evidence yet.", 0},
	{is(reports.ErrForgotten), 410, "forgotten", "What was reported is forgotten.", 0},
	{is(reports.ErrWithdrawn), 410, "withdrawn", "The report is withdrawn.", 0},
	{is(reports.ErrErased), 410, "erased", "The blob is erased.", 0},
	{is(reports.ErrConsentRequired), 422, "consent_required", "A report needs the consent of the reporter.", 0},
	{is(reports.ErrIdempotency), 422, "idempotency_mismatch", "Another request had this Idempotency-Key.", 0},
	{as[*envelope.UnknownRecipientError](), 422, "unknown_recipient", "The key is sealed to somebody who is no moderator here.", 0},
	{is(envelope.ErrTooLarge), 413, "too_large", "The body is too large.", 0},
	{is(envelope.ErrNotAge), 422, "sealed_key_refused", "The sealed key is refused.", 0},
	{is(envelope.ErrAddress), 422, "sealed_key_refused", "The sealed key is refused.", 0},
	{is(reports.ErrModerationOff), 503, "moderation_off", "No reports are taken here.", 0},

	{is(errLengthRequired), 411, "length_required", "The body needs a Content-Length.", 0},
	{as[*tickets.TooLargeError](), 413, "too_large", "The body is too large.", 0},
	{as[*http.MaxBytesError](), 413, "too_large", "The body is too large.", 0},
	{is(errMediaType), 415, "unsupported_media_type", "The Content-Type is not supported.", 0},
	{as[*unsatisfiable](), 416, "range_not_satisfiable", "The range is outside of the blob.", 0},
	{is(blobstore.ErrSize), 422, "size_mismatch", "The body has another size than announced.", 0},
	{is(blobstore.ErrDigest), 422, "digest_mismatch", "The body has another SHA-256 than announced.", 0},
	{is(errRateLimited), 429, "rate_limited", "Too many requests.", 10},

	{bodyStalled, 408, "body_timeout", "The body came too slowly.", 0},
	{as[*tickets.BodyError](), gone.status, gone.code, gone.title, 0},
	{as[*reports.BodyError](), gone.status, gone.code, gone.title, 0},
	{is(blobstore.ErrNoSpace), 507, "insufficient_storage", "The store is full.", 60},
	{as[*tickets.StoreError](), 503, "unavailable", "The service cannot do this now.", 5},
	{as[*reports.StoreError](), 503, "unavailable", "The service cannot do this now.", 5},
	{is(errNotReady), 503, "unavailable", "The service cannot do this now.", 5},
}

var internal = problem{nil, 500, "internal", "Something broke on our side.", 0}

// gone stands for an answer that nobody would read. It is not sent.
var gone = problem{nil, statusClientGone, clientGone, "", 0}

const clientGone openapi.ProblemCode = metrics.OutcomeClientGone

// The errors of this package, beside the domain's.
var (
	errTokenRequired    = errors.New("token required")
	errForbidden        = errors.New("key has another role")
	errNotFound         = errors.New("no such path")
	errMethodNotAllowed = errors.New("method not allowed")
	errLengthRequired   = errors.New("length required")
	errMediaType        = errors.New("unsupported media type")
	errRateLimited      = errors.New("rate limited")
	errNotReady         = errors.New("not ready")
	// errRevokeOpened: a ticket that was opened cannot be revoked. The same code as
	// ErrOpened, but the ticket is not gone for the backend that asks.
	errRevokeOpened = errors.New("revoke: ticket is opened")
)

// refusal is an error with what was wrong this time, in words for the client.
type refusal struct {
	error
	detail string
}

func (r *refusal) Unwrap() error { return r.error }

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func as[E error]() func(error) bool {
	return func(err error) bool { _, ok := errors.AsType[E](err); return ok }
}

// bodyStalled: a deadline ended the reading of the body.
func bodyStalled(err error) bool {
	_, ours := errors.AsType[*tickets.BodyError](err)
	_, reporters := errors.AsType[*reports.BodyError](err)
	return (ours || reporters) && errors.Is(err, os.ErrDeadlineExceeded)
}

func problemOf(err error) *problem {
	for i := range problems {
		if problems[i].is(err) {
			return &problems[i]
		}
	}
	return &internal
}

// problemOf is the row for an error of this call: where a store failed because the
// client had left, it was not the store.
func (c *call) problemOf(err error) *problem {
	p := problemOf(err)
	if p.status == gone.status || p.status == http.StatusServiceUnavailable && c.in.Context().Err() != nil {
		return &gone
	}
	return p
}

// outcome is what the metrics call an error: its problem's code.
func (c *call) outcome(err error) string { return string(c.problemOf(err).code) }

// fail answers with an error. Everything that fails ends here, the generated code's
// complaints included. After the answer began nothing can be said any more: the
// connection is aborted, so that what was sent does not look complete.
func (e *endpoints) fail(w http.ResponseWriter, r *http.Request, err error) {
	c := callOf(r.Context())
	p := c.problemOf(err)
	if c.status != 0 || p == &gone {
		// The text of a failed write would have the client's address in it.
		c.code = string(clientGone)
		panic(http.ErrAbortHandler)
	}
	if p.status >= 500 && !errors.Is(err, reports.ErrModerationOff) { // which is as it was set up
		c.err = err
	}
	e.countFailure(c, p)

	h := w.Header()
	switch {
	case p.status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case p.status == http.StatusRequestedRangeNotSatisfiable:
		u, _ := errors.AsType[*unsatisfiable](err)
		h.Set("Content-Range", "bytes */"+strconv.FormatInt(u.size, 10))
	}
	body := p.body(c)
	body.Detail, body.Errors = explain(c, err)
	e.send(c, p, body)
}

// failBinding is fail for what the generated code cannot make sense of.
func (e *endpoints) failBinding(w http.ResponseWriter, r *http.Request, err error) {
	e.fail(w, r, unbound(err))
}

// answer writes a problem about which there is nothing more to say.
func (e *endpoints) answer(c *call, p *problem) { e.send(c, p, p.body(c)) }

func (p *problem) body(c *call) openapi.Problem {
	return openapi.Problem{
		Type: "urn:mayfly:problem:" + string(p.code), Title: p.title, Status: p.status, Code: p.code, RequestID: c.id,
	}
}

// lingerTimeout is how long net/http may wait for the rest of a refused body, which
// it reads before it answers so that clients which only listen after they have sent
// all get the answer too.
const lingerTimeout = 5 * time.Second

func (e *endpoints) send(c *call, p *problem, body openapi.Problem) {
	c.code = string(p.code)
	if c.in.ContentLength != 0 && p.status != http.StatusRequestTimeout {
		_ = c.control.SetReadDeadline(time.Now().Add(min(lingerTimeout, e.limits.Stall)))
	}
	h := c.Header()
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings and numbers; it cannot fail
	}
	h["Cache-Control"] = noStore
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	c.WriteHeader(p.status)
	if c.in.Method != http.MethodHead {
		_, _ = c.Write(text) // nobody is left to tell
	}
}

// explain says what of an error is fit for the client: only texts that were written
// for him.
func explain(c *call, err error) (detail *string, fields *[]openapi.FieldProblem) {
	if list := fieldProblems(c, err); len(list) > 0 {
		text := list[0].Field + " " + list[0].Problem
		if len(list) > 1 {
			text += ", and " + strconv.Itoa(len(list)-1) + " more"
		}
		return &text, &list
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		return &r.detail, nil
	}
	for _, refused := range []error{envelope.ErrNotAge, envelope.ErrAddress, envelope.ErrTooLarge} {
		if errors.Is(err, refused) {
			return new("sealed_key: " + err.Error() + "."), nil // it quotes nothing of it
		}
	}
	if unknown, ok := errors.AsType[*envelope.UnknownRecipientError](err); ok {
		return new(unknown.Error() + ". Seal to the recipients of GET /v1/moderation/recipients as they are now."), nil
	}
	if large, ok := errors.AsType[*tickets.TooLargeError](err); ok {
		text := large.Error()
		return &text, nil
	}
	return nil, nil
}
