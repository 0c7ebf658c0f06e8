package reports

import (
	"context"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/checksum"
)

// Store keeps the rows of reports, of their evidence and of the audit log. Times are
// truncated to microseconds. Every method that changes something is durable when it
// returns nil; all take the clock as a parameter, and may be called by many callers and
// processes at once. An error that is not named in a method's comment means that its
// outcome is unknown.
type Store interface {
	// Reported is the blob that a ticket is for, and its tenant; a read.
	// ErrUnknownTicket, ErrNotReportable, ErrNotUploaded.
	Reported(ctx context.Context, ticket uuid.UUID, h Hash) (tenant string, r Reported, err error)

	// File records a report, the pending blob of its evidence, and the audit entry, in one
	// transaction. If the reported blob's bytes are there they are pinned in it: no purge
	// takes them before f.PinUntil, and the report is copying. If a purge was faster the
	// report is awaiting_media until the tombstone is forgotten. If the ticket has a
	// report already, of a request with the same Idempotency and Body, that one is the
	// answer, and replayed. ErrUnknownTicket, ErrNotReportable, ErrNotUploaded,
	// ErrAlreadyReported, ErrIdempotency; then nothing is changed.
	File(ctx context.Context, f Filing) (r Report, replayed bool, err error)

	// Filed is the report that File would answer a repetition with, a read. ErrUnknownReport
	// if there is none of this ticket, Idempotency and Body.
	Filed(ctx context.Context, f Filing) (Report, error)

	// Report is a tenant's report, a read. ErrUnknownReport.
	Report(ctx context.Context, tenant string, id uuid.UUID) (Report, error)

	// HandledReport is the report that a handle leads to, a read. ErrUnknownReport.
	HandledReport(ctx context.Context, id uuid.UUID, handle Hash) (Report, error)

	// Reports are a tenant's that the query is about, by id, which is the order in which
	// they were filed; a read.
	Reports(ctx context.Context, tenant string, q Query) ([]Report, error)

	// Change locks a report and lets change say what becomes of it: nobody else changes it
	// or its evidence meanwhile. Of what change returns the mutable fields are recorded
	// (all but those that File sets and those of the evidence's blob), the evidence is due
	// at Report.DueAt, and pinned for as long as Hold says; if the report becomes
	// withdrawn it is due at once, its tickets are revoked and the reported blob's pin
	// ends. An error of change is the answer, and nothing is changed. change may be called
	// more than once. ErrUnknownReport.
	Change(ctx context.Context, who Who, now time.Time, change func(Report) (Change, error)) (Report, error)

	// ClaimCopies takes up to limit reports that are copying and due for a try at now, and
	// keeps them from other callers until now + lease.
	ClaimCopies(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]Copy, error)

	// PutOffCopy lets nobody try a copy before then; failed counts a try.
	PutOffCopy(ctx context.Context, id uuid.UUID, until time.Time, failed bool) error

	// AwaitMedia ends the copying of a report whose bytes cannot be had: it waits for the
	// reporter's, until the reported blob's tombstone is forgotten, or its reason to be
	// is. Idempotent: a report that is not copying stays as it is.
	AwaitMedia(ctx context.Context, id uuid.UUID, now time.Time) error

	// BeginEvidence records that bytes are about to be put under key. ErrTooLate if the
	// report takes none any more.
	BeginEvidence(ctx context.Context, id uuid.UUID, key blobstore.Key, now time.Time) error

	// StoreEvidence makes the bytes under key the report's evidence, in one transaction
	// with the end of the reported blob's pin and the audit entry, and opens the report.
	// A second call with the same key is nil. ErrTooLate if the report takes no bytes any
	// more, or a purge has taken the key; then the key remains on record.
	StoreEvidence(ctx context.Context, e StoredEvidence) error

	// DropAttempt forgets a key whose bytes are known to be gone. Idempotent.
	DropAttempt(ctx context.Context, id uuid.UUID, key blobstore.Key) error

	// Audit are up to limit entries of a tenant's chain after that number, and its head,
	// as of one moment; a read.
	Audit(ctx context.Context, tenant string, after int64, limit int) ([]Entry, Head, error)

	// ReportBacklog counts what waits, over all tenants; a read.
	ReportBacklog(ctx context.Context, now time.Time) (Backlog, error)
}

// Filing is what File records.
type Filing struct {
	Report uuid.UUID
	Ticket uuid.UUID
	// TicketHash, Handle: of the ticket's token, and of the report handle.
	TicketHash, Handle Hash
	Reason, Comment    string
	Consent            Consent
	SealedKey          string
	// Idempotency is the SHA-256 of the Idempotency-Key, zero if there is none; Body is of
	// the request.
	Idempotency, Body Hash
	Terms             Terms
	Now, PinUntil     time.Time
}

// Terms are the rules of the policy evidence, as its blob needs them.
type Terms struct {
	// Policy is its name.
	Policy string
	// Keep is how long undecided evidence is kept.
	Keep                                  time.Duration
	ResumeWindow, UploadTTL, TombstoneTTL time.Duration
	// MaxSize of a blob in bytes.
	MaxSize int64
}

// Who says whose report is to be changed, and by whom.
type Who struct {
	Report uuid.UUID
	// Tenant of the moderator; empty if it is the reporter, who has the Handle.
	Tenant string
	Handle Hash
	// Actor as the audit log has it.
	Actor string
}

// Change is what becomes of a report.
type Change struct {
	Report Report
	// Acts are for the audit log, in their order. None: nothing has changed.
	Acts []Record
	// Ticket is issued with it; nil for none.
	Ticket *Ticket
}

// Ticket is a moderator's right to open evidence once.
type Ticket struct {
	ID   uuid.UUID
	Hash Hash
	// Moderator is the key that it is bound to.
	Moderator uuid.UUID
}

// Copy is a report whose evidence is to be copied.
type Copy struct {
	Report uuid.UUID
	// Source is where the reported bytes are; empty if they are not any more.
	Source   blobstore.Key
	SHA256   blobstore.Digest
	Size     int64
	Until    time.Time // the end of the pin
	Failures int
}

// StoredEvidence is what a finished copy tells the Store.
type StoredEvidence struct {
	Report uuid.UUID
	Key    blobstore.Key
	SHA256 blobstore.Digest
	// Checksum is the evidence's own, under a key of its own.
	Checksum checksum.Sum
	Now      time.Time
	// Act is ActCopied or ActMediaReceived.
	Act Act
}

// Query chooses among a tenant's reports.
type Query struct {
	// State and Reason are empty for all; Held is nil for all.
	State  State
	Reason string
	Held   *bool
	// After is the id of the last report that is known; the zero UUID begins.
	After uuid.UUID
	Limit int
	Now   time.Time
}

// Backlog is what waits.
type Backlog struct {
	// Copying, Awaiting and Open count reports in these states, OldestOpen is when the
	// oldest undecided one was filed.
	Copying, Awaiting, Open int64
	OldestOpen              time.Time
	// Held counts the holds that keep evidence.
	Held int64
}
