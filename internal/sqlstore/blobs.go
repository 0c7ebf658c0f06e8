package sqlstore

import (
	"github.com/google/uuid"

	"mayfly/expiry"
	"mayfly/tickets"
)

// blobColumns are what readBlob reads. The id is not among them: every statement
// that reads a blob was given it, or the ticket that has it. b is the table.
const blobColumns = `b.tenant, b.state,
	b.policy, b.unlimited, b.shared_ticket, b.unopened_ttl, b.report_window,
	b.resume_window, b.upload_ttl, b.tombstone_ttl, b.max_size,
	b.size, b.announced, b.sha256, b.checksum, b.key, b.key_commitment, b.context,
	b.created_at, b.upload_until, b.stored_at, b.expires_at, b.purge_at,
	b.erased_at, b.forget_at, ` + shownReason + `, b.stamp`

func readBlob(r *row, id uuid.UUID) tickets.Blob {
	return tickets.Blob{
		ID:     id,
		Tenant: r.text(),
		State:  tickets.BlobState(r.text()),
		Terms: tickets.Terms{
			Policy:       r.text(),
			Unlimited:    r.bool(),
			SharedTicket: r.bool(),
			UnopenedTTL:  r.duration(),
			ReportWindow: r.duration(),
			ResumeWindow: r.duration(),
			UploadTTL:    r.duration(),
			TombstoneTTL: r.duration(),
			MaxSize:      r.int(),
		},
		Size:          r.int(),
		Announced:     r.digest(),
		SHA256:        r.digest(),
		Checksum:      r.checksum(),
		Key:           r.key(),
		KeyCommitment: r.text(),
		Context:       r.text(),
		CreatedAt:     r.time(),
		UploadUntil:   r.time(),
		StoredAt:      r.time(),
		ExpiresAt:     r.time(),
		PurgeAt:       r.time(),
		ErasedAt:      r.time(),
		ForgetAt:      r.time(),
		Reason:        tickets.Reason(r.text()),
		Stamp:         r.text(),
	}
}

// shownColumns are what readShown reads.
const shownColumns = blobColumns + `, b.receipt, b.proof`

// readShown is readBlob with the receipt of a tombstone. Only who is shown it needs it: one that is
// damaged is nothing to a call that is about something else.
func readShown(r *row, id uuid.UUID) tickets.Blob {
	b := readBlob(r, id)
	b.Receipt = string(r.receipt(expiry.Receipt{
		Blob: id, SHA256: b.SHA256, Size: b.Size, Reason: string(b.Reason), Policy: b.Terms.Policy, StoredAt: b.StoredAt,
	}))
	return b
}

// What COALESCE hides from a planner is that there is an index of just these rows: it
// would take that for the way to a single blob as long as it is small.
const (
	isPending = `COALESCE(state, '') = 'pending'`
	isStored  = `COALESCE(state, '') = 'stored'`
	isLive    = `COALESCE(state, '') IN ('pending', 'stored')`
)

const insertBlob = `INSERT INTO blobs (
	id, tenant, state,
	policy, unlimited, shared_ticket, unopened_ttl, report_window,
	resume_window, upload_ttl, tombstone_ttl, max_size, keep,
	grant_hash, size, announced, sha256, key, key_commitment, context,
	ready, created_at, upload_until, stored_at, expires_at, purge_at, look_at, stamp, checksum
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29)`

// addBlob inserts a blob, pending or stored, that has these tickets.
func addBlob(c *conn, b tickets.Blob, ts []tickets.Ticket, grant tickets.Hash) error {
	t := b.Terms
	_, err := c.exec(insertBlob, b.ID[:], b.Tenant, string(b.State),
		t.Policy, flag(t.Unlimited), flag(t.SharedTicket), duration(t.UnopenedTTL), duration(t.ReportWindow),
		duration(t.ResumeWindow), duration(t.UploadTTL), duration(t.TombstoneTTL), t.MaxSize, duration(t.Keep()),
		hashOrNull(grant), b.Size, digestOrNull(b.Announced), digestOrNull(b.SHA256), keyOrNull(b.Key), b.KeyCommitment, b.Context,
		int64(len(ts)), micros(b.CreatedAt), micros(b.UploadUntil), microsOrNull(b.StoredAt), microsOrNull(b.ExpiresAt), micros(b.PurgeAt), lookAt(b),
		textOrNull(b.Stamp), checksumOrNull(b.Checksum))
	return err
}

// lookAt is the earliest time at which the blob could come to be due.
func lookAt(b tickets.Blob) int64 {
	if b.State != tickets.BlobStored || b.Terms.Unlimited {
		return micros(b.PurgeAt)
	}
	return min(micros(b.PurgeAt), micros(b.StoredAt.Add(b.Terms.Keep())))
}

const insertTicket = `INSERT INTO tickets (id, blob_id, token_hash, recipient, state, created_at)
	VALUES ($1, $2, $3, $4, 'ready', $5)`

func addTickets(c *conn, blob uuid.UUID, ts []tickets.Ticket) error {
	all := make([][]any, len(ts))
	for i, t := range ts {
		all[i] = []any{t.ID[:], blob[:], t.Hash[:], t.Recipient, micros(t.CreatedAt)}
	}
	_, err := c.runMany(insertTicket, all)
	return err
}

// ticketColumns are what readTicket reads, of table t; its id and hash are not.
const ticketColumns = `t.blob_id, t.recipient, t.state, t.claim, t.created_at,
	t.opened_at, t.delivered_at, t.revoked_at, t.contested`

func readTicket(r *row, id uuid.UUID, h tickets.Hash) tickets.Ticket {
	return tickets.Ticket{
		ID:          id,
		BlobID:      r.id(),
		Hash:        h,
		Recipient:   r.text(),
		State:       tickets.TicketState(r.text()),
		Claim:       r.hash(),
		CreatedAt:   r.time(),
		OpenedAt:    r.time(),
		DeliveredAt: r.time(),
		RevokedAt:   r.time(),
		Contested:   r.int(),
	}
}
