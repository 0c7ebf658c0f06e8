package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/reports"
	"mayfly/tickets"
)

// subject is a blob that is being reported.
type subject struct {
	reports.Reported
	tenant   string
	evidence bool
	state    tickets.BlobState
	// forgetAt is zero before the blob is erased; ttl is how long its tombstone will be
	// remembered, in microseconds.
	forgetAt, ttl int64
}

const findSubject = `SELECT b.id, b.tenant, b.evidence, b.state, b.sha256, b.size, b.key_commitment, b.context, b.stamp, b.stored_at,
	b.forget_at, b.tombstone_ttl
	FROM tickets t JOIN blobs b ON b.id = t.blob_id WHERE t.id = $1 AND t.token_hash = $2`

// subjectOf is the blob that a ticket is for.
func subjectOf(c *conn, ticket uuid.UUID, h reports.Hash) (s subject, err error) {
	found, err := c.first(findSubject, []any{ticket[:], h[:]}, func(r *row) {
		s.Blob, s.tenant, s.evidence, s.state = r.id(), r.text(), r.bool(), tickets.BlobState(r.text())
		if sum := r.digest(); sum != nil {
			s.SHA256 = *sum
		} else {
			s.state = tickets.BlobPending // its bytes never arrived, whatever became of it since
		}
		s.Size, s.KeyCommitment, s.Context, s.Stamp, s.UploadedAt = r.int(), r.text(), r.text(), r.text(), r.time()
		s.forgetAt, s.ttl = r.int(), r.int()
	})
	switch {
	case err != nil:
		return s, err
	case !found:
		return s, refuse(reports.ErrUnknownTicket)
	case s.evidence:
		return s, refuse(reports.ErrNotReportable)
	case s.state == tickets.BlobPending:
		return s, refuse(reports.ErrNotUploaded)
	}
	return s, nil
}

// Reported implements reports.Store.
func (s *Store) Reported(ctx context.Context, ticket uuid.UUID, h reports.Hash) (tenant string, r reports.Reported, err error) {
	var found subject
	err = s.read(ctx, func(c *conn) (err error) {
		found, err = subjectOf(c, ticket, h)
		return err
	})
	if answer, ok := refused(err); ok {
		err = answer
	}
	return found.tenant, found.Reported, err
}

const (
	holdSubject = `SELECT 1 FROM blobs WHERE id = (SELECT blob_id FROM tickets WHERE id = $1 AND token_hash = $2)`

	findReportOf = `SELECT id, idempotency, body FROM reports WHERE ticket_id = $1`

	// pinBlob keeps the bytes, if no purge has got hold of them: also those of a blob that was
	// unsent while another report copies it.
	pinBlob = `UPDATE blobs SET pinned_until = CASE WHEN pinned_until > $2 THEN pinned_until ELSE $2 END,
		retry_at = CASE WHEN retry_at < $2 THEN $2 ELSE retry_at END
		WHERE id = $1 AND (` + isStored + ` OR COALESCE(state, '') = 'purging' AND pinned_until > $3)`

	// insertEvidence: ready counts one ticket more than there is. As long as the evidence is
	// there, some moderator may ask for another: so no open makes it due (keepOpened).
	insertEvidence = `INSERT INTO blobs (
		id, tenant, state, evidence,
		policy, unlimited, shared_ticket, unopened_ttl, report_window,
		resume_window, upload_ttl, tombstone_ttl, max_size, keep,
		size, announced, key_commitment, context,
		ready, created_at, upload_until, purge_at, look_at
	) VALUES ($1, $2, 'pending', 1, $3, 0, 0, $4, 0, $5, $6, $7, $8, $5, $9, $10, '', '', 1, $11, $12, $12, $12)`

	insertReport = `INSERT INTO reports (
		id, tenant, state, ticket_id, handle, idempotency, body,
		blob_id, sha256, size, key_commitment, context, stamp, uploaded_at,
		reason, comment, statement, statement_sha256, locale, shared, sealed_key, filed_at, media_until,
		pin_until, retry_at
	) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $22)`
)

// File implements reports.Store.
func (s *Store) File(ctx context.Context, f reports.Filing) (x reports.Report, replayed bool, err error) {
	err = s.audited(ctx, 4, func(c *conn) (err error) {
		x, replayed, err = fileReport(c, f)
		return err
	})
	return x, replayed && err == nil, err
}

func fileReport(c *conn, f reports.Filing) (x reports.Report, replayed bool, err error) {
	// Who pins and who purges take the blob's row in turn: one of them is first.
	if err := c.hold(holdSubject, f.Ticket[:], f.TicketHash[:]); err != nil {
		return x, false, err
	}
	b, err := subjectOf(c, f.Ticket, f.TicketHash)
	if err != nil {
		return x, false, err
	}
	if x, found, err := filedBefore(c, f); err != nil || found {
		return x, found, err
	}
	now := micros(f.Now)
	n, err := c.exec(pinBlob, b.Blob[:], micros(f.PinUntil), now)
	if err != nil {
		return x, false, err
	}
	state, until := reports.StateCopying, micros(f.PinUntil)+duration(f.Terms.UploadTTL)
	if n == 0 {
		state, until = reports.StateAwaitingMedia, b.forgetAt
		if until == 0 { // it is being erased at this moment
			until = now + b.ttl
		}
	}
	t := f.Terms
	if _, err := c.exec(insertEvidence, f.Report[:], b.tenant, t.Policy, duration(t.Keep), duration(t.ResumeWindow),
		duration(t.UploadTTL), duration(t.TombstoneTTL), t.MaxSize, b.Size, b.SHA256[:], now, until); err != nil {
		return x, false, err
	}
	if _, err := c.exec(insertReport, f.Report[:], b.tenant, string(state), f.Ticket[:], f.Handle[:], hashOrNull(f.Idempotency), f.Body[:],
		b.Blob[:], b.SHA256[:], b.Size, b.KeyCommitment, b.Context, textOrNull(b.Stamp), micros(b.UploadedAt),
		f.Reason, f.Comment, f.Consent.Statement, f.Consent.SHA256[:], f.Consent.Locale, strings.Join(f.Consent.Shared, ","), f.SealedKey,
		now, until, micros(f.PinUntil)); err != nil {
		return x, false, err
	}
	acts := []reports.Record{{Act: reports.ActFiled, Subject: b.Blob, Digest: &f.Consent.SHA256}}
	if state == reports.StateAwaitingMedia {
		acts = append(acts, reports.Record{Act: reports.ActAwaiting})
	}
	if err := appendAudit(c, b.tenant, f.Now, reports.ActorReporter, f.Report, acts); err != nil {
		return x, false, err
	}
	x, err = reportBy(c, `WHERE r.id = $1`, f.Report[:])
	return x, false, err
}

// Filed implements reports.Store.
func (s *Store) Filed(ctx context.Context, f reports.Filing) (reports.Report, error) {
	return s.readReport(ctx, `JOIN tickets t ON t.id = r.ticket_id
		WHERE r.ticket_id = $1 AND t.token_hash = $2 AND r.idempotency = $3 AND r.body = $4`,
		f.Ticket[:], f.TicketHash[:], f.Idempotency[:], f.Body[:])
}

// filedBefore is the report that the ticket has already, if it is of this very request.
func filedBefore(c *conn, f reports.Filing) (x reports.Report, found bool, err error) {
	var id uuid.UUID
	var idempotency, body tickets.Hash
	found, err = c.first(findReportOf, []any{f.Ticket[:]}, func(r *row) { id, idempotency, body = r.id(), r.hash(), r.hash() })
	switch {
	case err != nil || !found:
		return x, false, err
	case f.Idempotency == (reports.Hash{}) || reports.Hash(idempotency) != f.Idempotency:
		return x, true, refuse(reports.ErrAlreadyReported)
	case reports.Hash(body) != f.Body:
		return x, true, refuse(reports.ErrIdempotency)
	}
	x, err = reportBy(c, `WHERE r.id = $1`, id[:])
	return x, true, err
}

const (
	findPins = `SELECT MAX(pin_until) FROM reports WHERE blob_id = $1 AND state = 'copying'`

	// unpinBlob: what should have gone meanwhile is due from now on, and nobody is late.
	unpinBlob = `UPDATE blobs SET pinned_until = $2,
		purge_at = CASE WHEN purge_at < $3 THEN $3 ELSE purge_at END,
		look_at = CASE WHEN purge_at < $3 THEN $3 WHEN look_at > purge_at THEN purge_at ELSE look_at END,
		retry_at = CASE WHEN retry_at > $3 AND pinned_until > $3 THEN $3 ELSE retry_at END
		WHERE id = $1 AND evidence = 0 AND pinned_until IS NOT NULL`

	// pinLess: the purge may have put off its next look to the end of the longer pin.
	pinLess = `UPDATE blobs SET pinned_until = $2,
		look_at = CASE WHEN purge_at > $2 AND look_at > purge_at THEN purge_at WHEN purge_at <= $2 AND look_at > $2 THEN $2 ELSE look_at END,
		retry_at = CASE WHEN retry_at > $2 THEN $2 ELSE retry_at END
		WHERE id = $1 AND evidence = 0 AND pinned_until > $2`
)

// unpinFor lets go of a reported blob's bytes, unless another report copies them too.
func unpinFor(c *conn, blob uuid.UUID, now int64) error {
	var until int64
	if _, err := c.first(findPins, []any{blob[:]}, func(r *row) { until = r.int() }); err != nil {
		return err
	}
	if until > now {
		_, err := c.exec(pinLess, blob[:], until)
		return err
	}
	_, err := c.exec(unpinBlob, blob[:], nil, now)
	return err
}

// checkEvidenceKey is checkKey for evidence.
func checkEvidenceKey(id uuid.UUID, key blobstore.Key) error {
	if !key.IsEvidence() {
		return fmt.Errorf("report %s, key %q: %w", id, key, errForeignKey)
	}
	return checkKey(id, key)
}
