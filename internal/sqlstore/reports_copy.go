package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/reports"
	"mayfly/tickets"
)

// claimCopies takes also what waits for longer than any delay is: the clock that said so
// was ahead, and has been put right.
func claimCopies(lock string) string {
	return `WITH u AS MATERIALIZED (
		SELECT * FROM (SELECT id, retry_at FROM reports WHERE state = 'copying' AND retry_at <= $1 ORDER BY retry_at LIMIT $3` + lock + `) d
		UNION ALL
		SELECT * FROM (SELECT id, retry_at FROM reports WHERE state = 'copying' AND retry_at > $1 + 86400000000 ORDER BY retry_at LIMIT $3` + lock + `) l
	) UPDATE reports SET retry_at = $2 WHERE id IN (SELECT id FROM u ORDER BY retry_at LIMIT $3) RETURNING id`
}

// The bytes are there as long as the pin lasts, or nobody has begun to purge them.
const findCopy = `SELECT r.sha256, r.size, r.pin_until, r.failures, b.key, b.state, b.pinned_until
	FROM reports r LEFT JOIN blobs b ON b.id = r.blob_id WHERE r.id = $1`

// ClaimCopies implements reports.Store.
func (s *Store) ClaimCopies(ctx context.Context, now time.Time, lease time.Duration, limit int) (copies []reports.Copy, err error) {
	err = s.write(ctx, limit, func(c *conn) error {
		copies = nil
		var ids []uuid.UUID
		err := c.query(context.Background(), claimCopies(c.dialect.lockDue), []any{micros(now), micros(now.Add(lease)), int64(limit)},
			func(r *row) { ids = append(ids, r.id()) })
		if err != nil {
			return err
		}
		for _, id := range ids {
			x := reports.Copy{Report: id}
			if _, err := c.first(findCopy, []any{id[:]}, func(r *row) {
				x.SHA256, x.Size, x.Until, x.Failures = blobstore.Digest(r.hash()), r.int(), r.time(), int(r.int())
				key, state, pinned := r.key(), tickets.BlobState(r.text()), r.time()
				if state == tickets.BlobStored || state == tickets.BlobPurging && pinned.After(now) {
					x.Source = key
				}
			}); err != nil {
				return err
			}
			copies = append(copies, x)
		}
		return nil
	})
	return copies, err
}

// PutOffCopy implements reports.Store.
func (s *Store) PutOffCopy(ctx context.Context, id uuid.UUID, until time.Time, failed bool) error {
	return s.write(ctx, 1, func(c *conn) error {
		_, err := c.exec(`UPDATE reports SET retry_at = $2, failures = failures + $3 WHERE id = $1 AND state = 'copying'`,
			id[:], micros(until), flag(failed))
		return err
	})
}

const (
	findReported = `SELECT blob_id, tenant, state FROM reports WHERE id = $1`
	findDeath    = `SELECT forget_at, tombstone_ttl FROM blobs WHERE id = $1`

	awaitMedia    = `UPDATE reports SET state = 'awaiting_media', media_until = $2 WHERE id = $1 AND state = 'copying'`
	awaitEvidence = `UPDATE blobs SET upload_until = $2, purge_at = $2, look_at = $2 WHERE id = $1 AND evidence = 1 AND ` + isPending
)

// locked is what of a report is known once it, and both blobs that it is about, are
// nobody else's until the transaction ends.
type locked struct {
	id, blob uuid.UUID
	tenant   string
	state    reports.State
}

// lockReport locks the reported blob, if it is remembered, and the evidence's. That is the
// order of their ids, in which batches of opens lock blobs too: so nobody waits in a circle.
func lockReport(c *conn, id uuid.UUID) (l locked, err error) {
	read := func() (bool, error) {
		return c.first(findReported, []any{id[:]}, func(r *row) { l = locked{id, r.id(), r.text(), reports.State(r.text())} })
	}
	found, err := read()
	if err == nil && !found {
		err = refuse(reports.ErrUnknownReport)
	}
	if err != nil || c.dialect.lock == "" {
		return l, err
	}
	for _, blob := range []uuid.UUID{l.blob, id} {
		if err := c.hold(`SELECT 1 FROM blobs WHERE id = $1`, blob[:]); err != nil {
			return l, err
		}
	}
	// Once more: what was read before the locks may have changed.
	if found, err = read(); err == nil && !found {
		err = refuse(reports.ErrUnknownReport)
	}
	return l, err
}

// AwaitMedia implements reports.Store.
func (s *Store) AwaitMedia(ctx context.Context, id uuid.UUID, now time.Time) error {
	return s.audited(ctx, 3, func(c *conn) error {
		l, err := lockReport(c, id)
		if errors.Is(err, reports.ErrUnknownReport) {
			return nil // it is forgotten
		}
		if err != nil || l.state != reports.StateCopying {
			return err
		}
		until := micros(now) // nobody remembers what to hold the reporter's bytes against
		if _, err := c.first(findDeath, []any{l.blob[:]}, func(r *row) {
			if until = r.int(); until == 0 {
				until = micros(now) + r.int()
			}
		}); err != nil {
			return err
		}
		if _, err := c.exec(awaitMedia, id[:], until); err != nil {
			return err
		}
		if _, err := c.exec(awaitEvidence, id[:], until); err != nil {
			return err
		}
		if err := unpinFor(c, l.blob, micros(now)); err != nil {
			return err
		}
		return appendAudit(c, l.tenant, now, reports.ActorServer, id, []reports.Record{{Act: reports.ActAwaiting}})
	})
}

// beginEvidence: of a report that waits for its reporter the tombstone must be there still.
const beginEvidence = `INSERT INTO attempts (blob_id, key, due_at)
	SELECT b.id, $2, b.upload_until FROM blobs b JOIN reports r ON r.id = b.id
	WHERE b.id = $1 AND COALESCE(b.state, '') = 'pending' AND b.evidence = 1 AND b.upload_until > $3
	AND (r.state = 'copying' OR r.state = 'awaiting_media' AND EXISTS (SELECT 1 FROM blobs o WHERE o.id = r.blob_id))`

// BeginEvidence implements reports.Store.
func (s *Store) BeginEvidence(ctx context.Context, id uuid.UUID, key blobstore.Key, now time.Time) error {
	if err := checkEvidenceKey(id, key); err != nil {
		return err
	}
	return s.write(ctx, 1, func(c *conn) error {
		if err := c.hold(`SELECT 1 FROM blobs WHERE id = $1`, id[:]); err != nil {
			return err
		}
		n, err := c.exec(beginEvidence, id[:], string(key), micros(now))
		if err == nil && n == 0 {
			err = refuse(reports.ErrTooLate)
		}
		return err
	})
}

const (
	// storeEvidence is storeBlob, for evidence.
	storeEvidence = `UPDATE blobs SET state = 'stored', key = $2, sha256 = $3, stored_at = $4, checksum = $5,
		expires_at = $4 + unopened_ttl, purge_at = $4 + unopened_ttl, look_at = $4 + unopened_ttl
		WHERE id = $1 AND ` + isPending + ` AND evidence = 1 AND upload_until > $4
		AND EXISTS (SELECT 1 FROM attempts WHERE blob_id = $1 AND key = $2 AND retry_at IS NULL)`

	openReport = `UPDATE reports SET state = 'open', media_until = NULL,
		keep_until = (SELECT expires_at FROM blobs WHERE id = $1) WHERE id = $1`
)

// StoreEvidence implements reports.Store.
func (s *Store) StoreEvidence(ctx context.Context, e reports.StoredEvidence) error {
	id := e.Report
	if err := checkEvidenceKey(id, e.Key); err != nil {
		return err
	}
	return s.audited(ctx, 5, func(c *conn) error {
		l, err := lockReport(c, id)
		if errors.Is(err, reports.ErrUnknownReport) {
			return refuse(reports.ErrTooLate) // it is forgotten
		}
		if err != nil {
			return err
		}
		if err := c.hold(`SELECT 1 FROM attempts WHERE blob_id = $1 AND key = $2`, id[:], string(e.Key)); err != nil {
			return err
		}
		n, err := c.exec(storeEvidence, id[:], string(e.Key), e.SHA256[:], micros(e.Now), checksumOrNull(e.Checksum))
		switch {
		case err != nil:
			return err
		case n == 0:
			return whyNotEvidence(c, e)
		}
		if err := deleteAttempt(c, id, e.Key); err != nil {
			return err
		}
		if _, err := c.exec(openReport, id[:]); err != nil {
			return err
		}
		actor := reports.ActorReporter
		if e.Act == reports.ActCopied {
			actor = reports.ActorServer
			if err := unpinFor(c, l.blob, micros(e.Now)); err != nil {
				return err
			}
		}
		return appendAudit(c, l.tenant, e.Now, actor, id, []reports.Record{{Act: e.Act, Digest: &e.SHA256}})
	})
}

// whyNotEvidence tells a repetition, by who lost the answer, from one that is too late: an
// error would have that caller delete the evidence.
func whyNotEvidence(c *conn, e reports.StoredEvidence) error {
	var key blobstore.Key
	if _, err := c.first(`SELECT key FROM blobs WHERE id = $1`, []any{e.Report[:]}, func(r *row) { key = r.key() }); err != nil {
		return err
	}
	if key == e.Key {
		return nil
	}
	return refuse(reports.ErrTooLate)
}
