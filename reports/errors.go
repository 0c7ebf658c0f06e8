package reports

import (
	"errors"
	"fmt"
)

var (
	// ErrUnknownReport and ErrUnknownTicket: no such row, or it is another tenant's. The two
	// are told apart nowhere.
	ErrUnknownReport = errors.New("unknown report")
	ErrUnknownTicket = errors.New("unknown ticket")

	// ErrModerationOff: there are no moderators to whom a report could be sealed.
	ErrModerationOff = errors.New("no reports are taken")
	// ErrConsentRequired: the reporter has not consented.
	ErrConsentRequired = errors.New("consent required")
	// ErrNotUploaded: there is nothing to report yet.
	ErrNotUploaded = errors.New("blob is not uploaded")
	// ErrNotReportable: the ticket is a moderator's.
	ErrNotReportable = errors.New("evidence cannot be reported")
	// ErrAlreadyReported: there is a report of this ticket.
	ErrAlreadyReported = errors.New("ticket has been used for a report")
	// ErrIdempotency: the ticket's report was another request with the same Idempotency-Key.
	ErrIdempotency = errors.New("another request had this Idempotency-Key")

	// ErrMediaNotAwaited: the report has its bytes, or they are being copied.
	ErrMediaNotAwaited = errors.New("report waits for no media")
	// ErrForgotten: it is too late to bring the bytes.
	ErrForgotten = errors.New("what was reported is forgotten")
	// ErrWithdrawn: the reporter took the consent back.
	ErrWithdrawn = errors.New("report is withdrawn")
	// ErrErased: there is no evidence any more.
	ErrErased = errors.New("evidence is erased")
	// ErrNoEvidence: there is no evidence yet.
	ErrNoEvidence = errors.New("no evidence yet")

	// ErrOnHold: a hold keeps the evidence, and can only be made longer.
	ErrOnHold = errors.New("evidence is on hold")
	// ErrNotOnHold: there is no hold to end.
	ErrNotOnHold = errors.New("evidence is not on hold")

	// ErrClaimed: another moderator has the report.
	ErrClaimed = errors.New("report is claimed by another")
	// ErrNotClaimed: the moderator has not claimed the report, or the claim ran out.
	ErrNotClaimed = errors.New("report is not claimed")
	// ErrNotOpen: the report waits for no decision.
	ErrNotOpen = errors.New("report is not open")
	// ErrNotDecided: there is nothing to reopen.
	ErrNotDecided = errors.New("report is not decided")
	// ErrSamePerson: it takes another moderator.
	ErrSamePerson = errors.New("it takes another person")

	// ErrTooLate: the evidence takes no bytes any more. It is the Store's answer to who
	// copies, and nobody else's.
	ErrTooLate = errors.New("too late to store evidence")
)

// FieldError says which field of a request is wrong, and what would be right.
type FieldError struct {
	// Field by its name in the API, "consent.statement".
	Field string
	// Problem as a sentence fragment: "is not one of …".
	Problem string
}

func (e *FieldError) Error() string { return e.Field + " " + e.Problem }

// StoreError is a failure on our side: of the metadata store or the blob store.
type StoreError struct {
	Op  string
	Err error
}

func (e *StoreError) Error() string { return fmt.Sprintf("%s: %v", e.Op, e.Err) }
func (e *StoreError) Unwrap() error { return e.Err }

// BodyError says that the reporter's bytes could not be read to their end. Nothing of
// them is kept.
type BodyError struct{ Err error }

func (e *BodyError) Error() string { return "reading the body: " + e.Err.Error() }
func (e *BodyError) Unwrap() error { return e.Err }

// known passes on an error that is an answer, and wraps any other as a failure of op.
func known(err error, op string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*FieldError](err); ok {
		return err
	}
	for _, answer := range answers {
		if errors.Is(err, answer) {
			return err
		}
	}
	return &StoreError{op, err}
}

var answers = [...]error{
	ErrUnknownReport, ErrUnknownTicket, ErrNotUploaded, ErrNotReportable, ErrAlreadyReported, ErrIdempotency,
	ErrMediaNotAwaited, ErrForgotten, ErrWithdrawn, ErrErased, ErrNoEvidence, ErrOnHold, ErrNotOnHold,
	ErrClaimed, ErrNotClaimed, ErrNotOpen, ErrNotDecided, ErrSamePerson,
}
