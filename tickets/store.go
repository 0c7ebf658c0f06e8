package tickets

import (
	"context"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/checksum"
)

// Store keeps the rows of blobs and tickets. Times are truncated to microseconds.
// Every method is durable when it returns nil, takes the clock as a parameter,
// and may be called by many callers and processes at once. An error that is not
// named in a method's comment means that its outcome is unknown.
type Store interface {
	// Begin records a pending blob and its tickets. grant may be the zero Hash: then
	// nobody can upload with a grant.
	Begin(ctx context.Context, b Blob, ts []Ticket, grant Hash) error

	// Reserve records that bytes may be put under the keys of blobs that have no row
	// yet: before the first byte, so that a crash at any later point leaves a row
	// that the purge finds. Each row stays until Create, DropAttempt or the purge
	// removes it: at its Due at the latest.
	Reserve(ctx context.Context, attempts []Attempt) error

	// Create records a blob whose bytes are stored, and its tickets, in one
	// transaction with the end of the attempt that was reserved for b.ID and b.Key.
	// ErrTooLate if that is not on record any more, or a purge has taken it.
	Create(ctx context.Context, b Blob, ts []Ticket) error

	// FindGrant is the blob that an upload grant is for, in whatever state; a read.
	// ErrUnknownGrant.
	FindGrant(ctx context.Context, id uuid.UUID, grant Hash) (Blob, error)

	// BeginAttempt records that bytes are about to be put under key. The row stays
	// until Commit, DropAttempt or the purge removes it: at due at the latest.
	// ErrTooLate if the blob is not pending or its UploadUntil is not after now.
	BeginAttempt(ctx context.Context, id uuid.UUID, key blobstore.Key, due, now time.Time) error

	// DropAttempt forgets an attempt whose bytes are known to be gone. Idempotent.
	DropAttempt(ctx context.Context, id uuid.UUID, key blobstore.Key) error

	// Commit turns pending into stored, in one transaction with the end of its
	// attempt, and sets ExpiresAt and PurgeAt to expires, or to what the blob's terms
	// allow if these became shorter while its bytes arrived. ErrAlreadyStored if
	// another attempt was faster, ErrTooLate if the blob is no longer pending for
	// another reason or its UploadUntil is not after now; the attempt then remains.
	Commit(ctx context.Context, c Commit) error

	// FindTicket is the ticket with this id and token, and its blob, as far as their
	// holder's calls need them: what HeldTicket and HeldBlob keep. A read, and the
	// one that every open waits for. ErrUnknownTicket.
	FindTicket(ctx context.Context, id uuid.UUID, h Hash) (Ticket, Blob, error)

	// Spend turns ready into opened if, at s.Now, the blob is stored and its
	// deadline is ahead, and moves the blob's PurgeAt to s.Now + Terms.Keep(), or
	// to ExpiresAt if that is later and another ticket is ready or the ticket is
	// unlimited. Over all callers, processes and crashes at most one call returns
	// true for a ticket that opens once; when it returns, that is durable. An
	// unlimited ticket that was opened before only has PurgeAt moved, never back.
	// false: the ticket was not ready, or no longer openable; nothing was changed.
	// After an error the caller reads the ticket: if its Claim is s.Claim, the
	// spend happened.
	//
	// A ticket for evidence is spent in one transaction with the entry in the audit log
	// (P6). ErrExpired if it was issued longer than EvidenceTTL ago, ErrRevoked if the
	// moderator's key is revoked; then nothing was changed.
	Spend(ctx context.Context, s Spend) (bool, error)

	// Keep keeps the bytes of a stored blob until then at least: somebody is still reading
	// them. It makes nothing that is being purged stay, and nothing openable for longer.
	Keep(ctx context.Context, blob uuid.UUID, until time.Time) error

	// Acknowledge turns opened into delivered if the claim is the ticket's; false
	// if nothing was changed. Of an unlimited ticket the claim does not matter.
	Acknowledge(ctx context.Context, id uuid.UUID, h Hash, claim Hash, now time.Time) (bool, error)

	// Contest adds to the tickets' Contested counts. Unknown tickets are passed over.
	Contest(ctx context.Context, counts map[uuid.UUID]int64) error

	// Blob is a tenant's blob and up to limit of its tickets in order of issue, a
	// read. ErrUnknownBlob.
	Blob(ctx context.Context, tenant string, id uuid.UUID, limit int) (Blob, []Ticket, error)

	// AddTickets issues more tickets for a tenant's pending or stored blob, and
	// keeps its bytes to ExpiresAt at least. ErrUnknownBlob, ErrExpired (the
	// deadline is not after now), ErrErased, or ErrTooManyTickets if the blob
	// would have more than limit; then none is added.
	AddTickets(ctx context.Context, tenant string, id uuid.UUID, ts []Ticket, limit int, now time.Time) (Blob, error)

	// Revoke makes a ready ticket, or an unlimited one, revoked. Idempotent.
	// ErrUnknownBlob, ErrUnknownTicket, or ErrOpened if it was opened before.
	Revoke(ctx context.Context, tenant string, blob, ticket uuid.UUID, now time.Time) error

	// Unsend makes a pending or stored blob purging, due now, and revokes every
	// ticket that could still be opened. Idempotent. ErrUnknownBlob.
	Unsend(ctx context.Context, tenant string, id uuid.UUID, now time.Time) error
}

// Attempt is the key under which an upload puts the bytes of a blob, and until when
// it may.
type Attempt struct {
	ID  uuid.UUID
	Key blobstore.Key
	Due time.Time
}

// Commit is what a finished upload tells the Store.
type Commit struct {
	ID       uuid.UUID
	Key      blobstore.Key
	SHA256   blobstore.Digest
	Checksum checksum.Sum
	Now      time.Time
	Expires  time.Time
	Stamp    string // empty for none
}

// Spend is one open, as the Store records it.
type Spend struct {
	Ticket uuid.UUID
	Blob   uuid.UUID // that the ticket is for
	Hash   Hash
	Claim  Hash
	Now    time.Time
	// Again says that the ticket is unlimited and had been opened when it was read.
	Again bool
	// Evidence says that the blob is a report's.
	Evidence bool
}
