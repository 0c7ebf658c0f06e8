package expiry

import (
	"context"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
)

// Queue is what is due, as the metadata store knows it. Every method takes the
// clock as a parameter, is durable when it returns nil, may run twice, and may be
// called by many processes at once. Times have microseconds.
type Queue interface {
	Stops

	// Claim takes up to limit entries that are due at now, the oldest first (of blobs
	// that no pass has looked at before: by when they could first have been due), and
	// keeps them from every other caller until now + lease. A blob among them is
	// purging from here on: no ticket opens it. Entries whose lease ran out (their
	// pass died) and whose delay is over (Defer) are due again, and queue by that
	// time: what cannot be deleted does not stand in front of the rest. Blobs that no
	// pass has begun with and that were to be looked at before from are left alone; the
	// zero time leaves none. An empty answer means that nothing else is due.
	Claim(ctx context.Context, from, now time.Time, lease time.Duration, limit int) ([]Due, error)

	// Earliest is by when the first blob is to be looked at that no pass has begun with,
	// of those from from until now; false if there is none. Given to Claim it spares that
	// the way through all that passes have erased before, which an index may keep for a
	// while; only what comes to stand in front of it meanwhile is left out. A read.
	Earliest(ctx context.Context, from, now time.Time) (time.Time, bool, error)

	// Erase makes tombstones of the entries, whose bytes are seen to be gone, and
	// forgets their upload attempts. An entry that is a lone attempt is removed. An
	// entry that another pass erased, after this one's lease ran out, stays as it is.
	Erase(ctx context.Context, done []Due, now time.Time) error

	// Defer puts off an entry that could not be deleted until retry, and counts it.
	// An entry that another pass erased meanwhile stays erased.
	Defer(ctx context.Context, d Due, retry time.Time) error

	// Preview sums up by reason what Claim would find due at now; a read.
	Preview(ctx context.Context, now time.Time) ([]Preview, error)

	// Forget removes up to limit tombstones, with their tickets, whose time has
	// come, and says how many.
	Forget(ctx context.Context, now time.Time, limit int) (int, error)

	// Share counts what became due by its deadline at now; if that is more than
	// above, also all that is pending or stored, up to one more than times as much as
	// is due. A read whose cost follows what is due.
	Share(ctx context.Context, now time.Time, above int64, times float64) (Share, error)

	// Backlog counts what is due at now; a read.
	Backlog(ctx context.Context, now time.Time) (Backlog, error)

	// Owned reports for each key, in order, whether a row that is not a tombstone
	// has it: as a blob's bytes or as an upload attempt; a read.
	Owned(ctx context.Context, keys []blobstore.Key) ([]bool, error)

	// Stored are up to limit stored blobs whose id is greater than after, by id; a
	// read. The zero UUID begins.
	Stored(ctx context.Context, after uuid.UUID, limit int) ([]StoredBlob, error)
}

// Due is an entry of the queue: a blob to erase or, with the zero ID, the bytes of
// an upload attempt that came to nothing.
type Due struct {
	ID uuid.UUID
	// Keys of everything that the blob store may hold of it. A pending blob that
	// was never sent any bytes has none.
	Keys []blobstore.Key
	// Size in bytes, as announced; 0 for a lone attempt.
	Size int64
	// At is when it became due.
	At time.Time
	// Failures counts how often it was put off.
	Failures int
	// Reason as the tombstone will have it.
	Reason string
	// SHA256, Policy and StoredAt of a blob, for its receipt. The digest is nil, and
	// the time zero, if its bytes never arrived.
	SHA256   *blobstore.Digest
	Policy   string
	StoredAt time.Time
	// Evidence says that the blob is a report's: with its bytes go the report's texts and
	// its sealed key.
	Evidence bool
	// Proof is what the tombstone will keep for its receipt (Envelope), nil for none.
	Proof []byte
}

// The reasons of blobs that were stored when their time came (tickets.Reason).
const (
	reasonOpened   = "opened"
	reasonUnopened = "unopened"
)

// mayBeUnfinished reports whether an upload of its may have been cut off.
func (d Due) mayBeUnfinished() bool {
	return len(d.Keys) > 1 || d.Reason != reasonOpened && d.Reason != reasonUnopened
}

// Preview is what a purge would erase for one reason.
type Preview struct {
	Reason string
	// Blobs, and lone upload attempts, that are due.
	Blobs int64
	// Bytes as announced.
	Bytes int64
	// OldestDueAt is when the oldest of them became due.
	OldestDueAt time.Time
}

// Backlog is what waits for the purge.
type Backlog struct {
	// Due counts blobs that are due and not erased.
	Due int64
	// OldestDueAt is when the oldest of them became due; zero if none is.
	OldestDueAt time.Time
}

// StoredBlob is a row that says that the blob store has these bytes.
type StoredBlob struct {
	ID     uuid.UUID
	Key    blobstore.Key
	Size   int64
	SHA256 blobstore.Digest
}
