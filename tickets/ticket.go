package tickets

import (
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/checksum"
)

// BlobState is where a blob is in its life. It only moves forward.
type BlobState string

// The states of a blob.
const (
	BlobPending BlobState = "pending" // the row exists, bytes may be arriving
	BlobStored  BlobState = "stored"  // complete, durable, can be opened
	BlobPurging BlobState = "purging" // no ticket opens, the bytes are being deleted
	BlobErased  BlobState = "erased"  // a tombstone: digest, size, times, no bytes
)

// TicketState is where a ticket is in its life. Nothing goes back to ready.
type TicketState string

// The states of a ticket. TicketExpired is never stored: a ready ticket whose
// deadline has passed reads as expired from that very moment (P4).
const (
	TicketReady     TicketState = "ready"
	TicketOpened    TicketState = "opened"
	TicketDelivered TicketState = "delivered"
	TicketRevoked   TicketState = "revoked"
	TicketExpired   TicketState = "expired"
)

// Reason says why a blob was purged.
type Reason string

// The reasons of a purge.
const (
	ReasonUnopened    Reason = "unopened"     // the deadline came while a ticket was ready
	ReasonOpened      Reason = "opened"       // opened, and the windows after it are over
	ReasonUnsent      Reason = "unsent"       // the sender's deletion
	ReasonNotUploaded Reason = "not_uploaded" // the bytes did not arrive in time
	ReasonRetention   Reason = "retention"    // evidence: its time is over
	ReasonWithdrawn   Reason = "withdrawn"    // evidence: the reporter took the consent back
)

// Blob is the row of a blob: what is known of the bytes, never the bytes.
type Blob struct {
	ID     uuid.UUID
	Tenant string
	State  BlobState
	Terms  Terms

	// Size in bytes, as announced; checked before the blob is stored.
	Size int64
	// Announced is the SHA-256 that the sender announced, nil if none.
	Announced *blobstore.Digest
	// SHA256 of the bytes; nil until they are stored.
	SHA256 *blobstore.Digest
	// Checksum of the bytes, by which they are verified when they are served; none until
	// they are stored, of what was stored before there were any, and of a tombstone.
	Checksum checksum.Sum
	// Key of the bytes in the blob store; empty until they are stored.
	Key blobstore.Key
	// KeyCommitment and Context are the sender's own, opaque to Mayfly.
	KeyCommitment, Context string

	CreatedAt time.Time
	// UploadUntil is when a pending blob stops taking bytes.
	UploadUntil time.Time
	// StoredAt and ExpiresAt are zero while the blob is pending.
	StoredAt, ExpiresAt time.Time
	// PurgeAt is when the bytes are due for deletion.
	PurgeAt time.Time
	// ErasedAt and ForgetAt are zero before the purge; Reason is empty.
	ErasedAt, ForgetAt time.Time
	// Receipt is the signed statement that the blob was erased, a DSSE envelope; empty
	// before that, and where none are made.
	Receipt string
	// Stamp is what Service.Stamp made when the bytes were stored; empty for none.
	Stamp  string
	Reason Reason
}

// IsEvidence reports whether the blob is the evidence of a report, by its key: a moderator's
// tickets open it, and nobody else's.
func (b Blob) IsEvidence() bool { return b.Key.IsEvidence() }

// LatestExpiry is the deadline, or while the blob is pending the latest moment
// that it can come to be.
func (b Blob) LatestExpiry() time.Time {
	if b.ExpiresAt.IsZero() {
		return b.UploadUntil.Add(b.Terms.UnopenedTTL)
	}
	return b.ExpiresAt
}

// Ticket is the row of a ticket: one recipient's right to open a blob.
type Ticket struct {
	ID     uuid.UUID
	BlobID uuid.UUID
	Hash   Hash
	// Recipient is the backend's own name for the recipient, opaque to Mayfly.
	Recipient string
	// State as stored; StateAt tells it as of a moment.
	State     TicketState
	Claim     Hash
	CreatedAt time.Time
	// OpenedAt, DeliveredAt and RevokedAt are zero until then. Of an unlimited
	// ticket OpenedAt is the first open.
	OpenedAt, DeliveredAt, RevokedAt time.Time
	// Contested counts the attempts to open the ticket after it was spent.
	Contested int64
}

// HeldTicket is what Store.FindTicket tells of t.
func HeldTicket(t Ticket) Ticket {
	return Ticket{
		ID: t.ID, BlobID: t.BlobID, Hash: t.Hash,
		State: t.State, Claim: t.Claim, OpenedAt: t.OpenedAt, DeliveredAt: t.DeliveredAt,
	}
}

// HeldBlob is what Store.FindTicket tells of b.
func HeldBlob(b Blob) Blob {
	return Blob{
		ID: b.ID, State: b.State,
		Terms: Terms{
			Unlimited: b.Terms.Unlimited, UnopenedTTL: b.Terms.UnopenedTTL,
			ReportWindow: b.Terms.ReportWindow, ResumeWindow: b.Terms.ResumeWindow,
		},
		Size: b.Size, SHA256: b.SHA256, Checksum: b.Checksum, Key: b.Key,
		UploadUntil: b.UploadUntil, ExpiresAt: b.ExpiresAt, PurgeAt: b.PurgeAt,
	}
}

// StateAt is the ticket's state at now.
func (t Ticket) StateAt(b Blob, now time.Time) TicketState {
	if t.State == TicketReady && b.expired(now) {
		return TicketExpired
	}
	return t.State
}

// expired reports whether the blob's deadline has come. A pending blob has none
// yet, but one that nobody uploaded in time will never be opened either.
func (b Blob) expired(now time.Time) bool {
	if b.State == BlobPending || b.ExpiresAt.IsZero() {
		return b.State != BlobPending || !now.Before(b.UploadUntil)
	}
	return !now.Before(b.ExpiresAt)
}

// openable says why the ticket cannot be opened at now, nil if it can. The same
// conditions stand in the statement of Store.Spend, which is the one that counts:
// this one tells the reason, and spares the store a write that would fail.
func (t Ticket) openable(b Blob, now time.Time) error {
	switch {
	case t.State == TicketRevoked:
		return ErrRevoked
	case t.State != TicketReady && !b.Terms.Unlimited:
		return ErrOpened
	case b.expired(now):
		return ErrExpired
	case b.State == BlobPending:
		return ErrNotUploaded
	case b.State != BlobStored:
		return ErrErased
	}
	return nil
}

// resumable says why claim cannot fetch the rest at now, nil if it can.
func (t Ticket) resumable(b Blob, claim ClaimKey, now time.Time) error {
	switch {
	case t.State == TicketRevoked:
		return ErrRevoked
	case b.Terms.Unlimited && t.State != TicketReady:
		// Until the deadline every holder of the ticket may read; after it only
		// what was begun before could go on, and of that no row is kept.
		return t.openable(b, now)
	case t.State == TicketReady:
		if err := t.openable(b, now); err != nil {
			return err
		}
		return ErrNotOpened
	case t.State != TicketOpened || !claim.set || claim.hash != t.Claim:
		return ErrOpened
	case !now.Before(t.OpenedAt.Add(b.Terms.ResumeWindow)):
		return ErrOpened
	case b.State != BlobStored:
		return ErrErased
	}
	return nil
}
