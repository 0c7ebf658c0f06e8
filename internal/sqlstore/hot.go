package sqlstore

import (
	"context"
	"time"

	"github.com/google/uuid"

	"mayfly/expiry"
	"mayfly/tickets"
)

// hot are the calls on the way of an open, of an upload, of more tickets and of a purge. A dialect may have
// statements of its own for them, which do for many callers at once what the
// statements of the other do for each.
type hot interface {
	findTicket(ctx context.Context, id uuid.UUID, h tickets.Hash) (tickets.Ticket, tickets.Blob, bool, error)
	spend(ctx context.Context, sp tickets.Spend) (won bool, err error)
	acknowledge(ctx context.Context, a acknowledgement) (changed bool, err error)
	// addBlob inserts a blob with its tickets. With fromAttempt it first ends the
	// attempt of its key, and refuses with ErrTooLate if that is not to be had.
	addBlob(ctx context.Context, b newBlob) error
	addTickets(ctx context.Context, m moreTickets) (tickets.Blob, error)
	// erase makes tombstones, within a transaction.
	erase(c *conn, done []expiry.Due, now int64) error
	// chunk is how many entries of the queue one transaction is about.
	chunk() int
}

type acknowledgement struct {
	ticket uuid.UUID
	hash   tickets.Hash
	claim  tickets.Hash
	now    time.Time
}

type newBlob struct {
	tickets.Blob
	tickets     []tickets.Ticket
	grant       tickets.Hash
	fromAttempt bool
}

// lookup is one caller's FindTicket.
type lookup struct {
	id    uuid.UUID
	hash  tickets.Hash
	t     tickets.Ticket
	b     tickets.Blob
	found bool
}

// maxLookups are as many as one batch looks up.
const maxLookups = 256

// FindTicket implements tickets.Store.
func (s *Store) FindTicket(ctx context.Context, id uuid.UUID, h tickets.Hash) (tickets.Ticket, tickets.Blob, error) {
	t, b, found, err := s.db.findTicket(ctx, id, h)
	if err == nil && !found {
		err = tickets.ErrUnknownTicket
	}
	return t, b, err
}

// heldColumns are what an open needs of ticket t and blob b, and no more: the driver
// makes each column anew for each row.
const heldColumns = `t.blob_id, t.state, t.claim, t.opened_at, t.delivered_at,
	b.state, b.unlimited, b.unopened_ttl, b.report_window, b.resume_window,
	b.size, b.sha256, b.checksum, b.key, b.upload_until, b.expires_at, b.purge_at`

func readHeld(r *row, id uuid.UUID, h tickets.Hash) (tickets.Ticket, tickets.Blob) {
	t := tickets.Ticket{
		ID:          id,
		Hash:        h,
		BlobID:      r.id(),
		State:       tickets.TicketState(r.text()),
		Claim:       r.hash(),
		OpenedAt:    r.time(),
		DeliveredAt: r.time(),
	}
	return t, tickets.Blob{
		ID:    t.BlobID,
		State: tickets.BlobState(r.text()),
		Terms: tickets.Terms{
			Unlimited:    r.bool(),
			UnopenedTTL:  r.duration(),
			ReportWindow: r.duration(),
			ResumeWindow: r.duration(),
		},
		Size:        r.int(),
		SHA256:      r.digest(),
		Checksum:    r.checksum(),
		Key:         r.key(),
		UploadUntil: r.time(),
		ExpiresAt:   r.time(),
		PurgeAt:     r.time(),
	}
}

// Spend implements tickets.Store.
func (s *Store) Spend(ctx context.Context, sp tickets.Spend) (won bool, err error) {
	if sp.Evidence {
		return s.spendEvidence(ctx, sp)
	}
	won, err = s.db.spend(ctx, sp)
	return won && err == nil, err
}

// Acknowledge implements tickets.Store.
func (s *Store) Acknowledge(ctx context.Context, id uuid.UUID, h, claim tickets.Hash, now time.Time) (changed bool, err error) {
	changed, err = s.db.acknowledge(ctx, acknowledgement{ticket: id, hash: h, claim: claim, now: now})
	return changed && err == nil, err
}

// Begin implements tickets.Store.
func (s *Store) Begin(ctx context.Context, b tickets.Blob, ts []tickets.Ticket, grant tickets.Hash) error {
	return s.db.addBlob(ctx, newBlob{Blob: b, tickets: ts, grant: grant})
}

// Create implements tickets.Store.
func (s *Store) Create(ctx context.Context, b tickets.Blob, ts []tickets.Ticket) error {
	if err := checkKey(b.ID, b.Key); err != nil {
		return err
	}
	return s.db.addBlob(ctx, newBlob{Blob: b, tickets: ts, fromAttempt: true})
}
