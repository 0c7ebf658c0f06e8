package tickets

import (
	"errors"
	"fmt"
)

var (
	// ErrUnknownTicket, ErrUnknownBlob and ErrUnknownGrant: no such row, or it is
	// another tenant's. The two are told apart nowhere.
	ErrUnknownTicket = errors.New("unknown ticket")
	ErrUnknownBlob   = errors.New("unknown blob")
	ErrUnknownGrant  = errors.New("unknown upload grant")

	// ErrOpened: the ticket was spent, by another client or without a claim key.
	ErrOpened = errors.New("ticket is opened")
	// ErrExpired: the deadline has passed.
	ErrExpired = errors.New("ticket is expired")
	// ErrRevoked: the sender took the ticket back.
	ErrRevoked = errors.New("ticket is revoked")
	// ErrErased: the bytes are purged or about to be.
	ErrErased = errors.New("blob is erased")
	// ErrNotUploaded: the bytes have not arrived yet. The ticket is not spent.
	ErrNotUploaded = errors.New("blob is not uploaded")
	// ErrNotOpened: there is nothing to resume or acknowledge.
	ErrNotOpened = errors.New("ticket is not opened")
	// ErrClaimRequired: an acknowledgement came without a claim key.
	ErrClaimRequired = errors.New("claim key required")

	// ErrAlreadyStored: the bytes of this blob are complete.
	ErrAlreadyStored = errors.New("blob is already stored")
	// ErrTooLate: the upload grant has run out, or the blob was unsent.
	ErrTooLate = errors.New("too late to upload")
	// ErrDamaged: the blob store holds other bytes than were stored, a broken promise
	// (P1). Nothing of them is given out, and the ticket is not spent.
	ErrDamaged = errors.New("blob is damaged")
	// ErrTooManyTickets: the blob would have more than MaxTickets.
	ErrTooManyTickets = errors.New("too many tickets")
)

// FieldError says which field of a request is wrong, and what would be right.
type FieldError struct {
	// Field by its name in the API, "recipients[3]" for an element.
	Field string
	// Problem as a sentence fragment: "is longer than 256 bytes".
	Problem string
}

func (e *FieldError) Error() string { return e.Field + " " + e.Problem }

// TooLargeError says that a body is larger than its policy, or its grant, allows.
type TooLargeError struct{ Size, Limit int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%d bytes are more than the %d allowed", e.Size, e.Limit)
}

// StoreError wraps a failure of the blob store or of the metadata store: ours,
// not the caller's, and likely to pass.
type StoreError struct {
	// Op is what was tried: "open the blob", "spend the ticket".
	Op  string
	Err error
}

func (e *StoreError) Error() string { return e.Op + ": " + e.Err.Error() }
func (e *StoreError) Unwrap() error { return e.Err }
