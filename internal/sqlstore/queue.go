package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
	"mayfly/tickets"
)

const (
	// reasonOf is said when a blob is first claimed, and stays. Unsend has said
	// its own. A blob that some opened and others did not in time is unopened.
	reasonOf = `CASE WHEN state = 'purging' THEN reason
		WHEN state = 'pending' THEN 'not_uploaded'
		WHEN ready = 0 AND keep_until IS NOT NULL THEN 'opened'
		ELSE 'unopened' END`

	// shownReason says of evidence what its row cannot: the row has the reasons of blobs.
	shownReason = `CASE WHEN evidence = 0 OR reason = 'not_uploaded' THEN reason WHEN reason = 'unsent' THEN 'withdrawn'
		WHEN reason IS NOT NULL THEN 'retention' END`
	dueReason = `CASE WHEN evidence = 0 OR state = 'pending' THEN ` + reasonOf + ` ELSE 'retention' END`

	// unpinned bytes may go when they are due: no report copies them, no hold keeps them.
	unpinned = `(pinned_until IS NULL OR pinned_until <= $1)`

	// dueSince: nothing is late for having been pinned.
	dueSince = `CASE WHEN pinned_until > purge_at THEN pinned_until ELSE purge_at END`

	dueBlobs   = toLookAt + ` AND purge_at <= $1 AND ` + unpinned
	toLookAt   = `state IN ('pending', 'stored') AND look_at <= $1`
	retryBlobs = `state = 'purging' AND retry_at <= $1 AND ` + unpinned
	// lostBlobs and lostAttempt wait for longer than any lease or delay is: the clock
	// that said so was ahead, and has been put right.
	lostBlobs    = `state = 'purging' AND retry_at > $1 + 86400000000 AND ` + unpinned
	lostAttempt  = `retry_at > $1 + 86400000000 AND ` + loneAttempt
	dueAttempt   = `retry_at IS NULL AND due_at <= $1 AND ` + loneAttempt
	retryAttempt = `retry_at IS NOT NULL AND retry_at <= $1 AND ` + loneAttempt

	// loneAttempt: what belongs to a blob that is purging, or due and claimed by
	// another at this moment, is deleted with it. The key of a stored blob is no
	// attempt's any more; that it is asked for again here costs nothing, and P1
	// hangs on it. (Counted, since a planner may make a join with all blobs of a NOT
	// EXISTS.)
	loneAttempt = `(SELECT COUNT(*) FROM blobs b WHERE b.id = attempts.blob_id
		AND (b.state = 'purging' OR b.state = 'pending' AND b.purge_at <= $1 OR b.key = attempts.key)) = 0`
)

// What was put off queues by the end of its delay, so that blobs that cannot be
// deleted never stand in front of those that can.
//
// A blob that is looked at and not due yet, or pinned, is put back until it is. What is
// taken nobody pins any more, also not by a clock that is behind ours.
func claimBlobs(lock string) string {
	return `WITH u AS MATERIALIZED (
		SELECT * FROM (SELECT id, look_at AS at FROM blobs WHERE ` + toLookAt + ` AND look_at >= $4 ORDER BY look_at LIMIT $3` + lock + `) d
		UNION ALL
		SELECT * FROM (SELECT id, retry_at AS at FROM blobs WHERE ` + retryBlobs + ` ORDER BY retry_at LIMIT $3` + lock + `) r
		UNION ALL
		SELECT * FROM (SELECT id, retry_at AS at FROM blobs WHERE ` + lostBlobs + ` ORDER BY retry_at LIMIT $3` + lock + `) l
	) UPDATE blobs SET look_at = ` + dueSince + `,
		purge_at = CASE WHEN pinned_until <= $1 THEN ` + dueSince + ` ELSE purge_at END,
		pinned_until = CASE WHEN pinned_until <= $1 THEN NULL ELSE pinned_until END,
		reason = CASE WHEN ` + mayGo + ` THEN ` + reasonOf + ` ELSE reason END,
		retry_at = CASE WHEN ` + mayGo + ` THEN $2 ELSE retry_at END,
		state = CASE WHEN ` + mayGo + ` THEN 'purging' ELSE state END
	WHERE id IN (SELECT id FROM u ORDER BY at LIMIT $3)
	RETURNING state, id, key, size, purge_at, failures, ` + shownReason + `, sha256, policy, stored_at, evidence`
}

const mayGo = `state = 'purging' OR purge_at <= $1 AND ` + unpinned

func claimAttempts(lock string) string {
	return `WITH u AS MATERIALIZED (
		SELECT * FROM (SELECT blob_id, key, due_at AS at FROM attempts WHERE ` + dueAttempt + ` ORDER BY due_at LIMIT $3` + lock + `) d
		UNION ALL
		SELECT * FROM (SELECT blob_id, key, retry_at AS at FROM attempts WHERE ` + retryAttempt + ` ORDER BY retry_at LIMIT $3` + lock + `) r
		UNION ALL
		SELECT * FROM (SELECT blob_id, key, retry_at AS at FROM attempts WHERE ` + lostAttempt + ` ORDER BY retry_at LIMIT $3` + lock + `) l
	) UPDATE attempts SET retry_at = $2
	WHERE (blob_id, key) IN (SELECT blob_id, key FROM u ORDER BY at LIMIT $3)
	RETURNING key, due_at, failures`
}

// attemptsOf finds the attempts of what was claimed until that moment.
const attemptsOf = `SELECT a.blob_id, a.key FROM blobs b JOIN attempts a ON a.blob_id = b.id
	WHERE b.state = 'purging' AND b.retry_at = $1`

const earliest = `SELECT look_at FROM blobs WHERE ` + toLookAt + ` AND look_at >= $2 ORDER BY look_at LIMIT 1`

// Earliest implements expiry.Queue.
func (s *Store) Earliest(ctx context.Context, from, now time.Time) (at time.Time, ok bool, err error) {
	err = s.readLong(ctx, func(c *conn) (err error) {
		ok, err = c.first(earliest, []any{micros(now), micros(from)}, func(r *row) { at = r.time() })
		return err
	})
	return at, ok, err
}

// Claim implements expiry.Queue.
func (s *Store) Claim(ctx context.Context, from, now time.Time, lease time.Duration, limit int) ([]expiry.Due, error) {
	until := max(micros(now.Add(lease)), micros(now)+1) // a lease of nothing would be due at once
	var all []expiry.Due
	for len(all) < limit {
		n := min(limit-len(all), s.db.chunk())
		var chunk []expiry.Due
		var more bool
		err := s.write(ctx, n, func(c *conn) (err error) {
			chunk, more, err = claim(c, micros(from), micros(now), until, n)
			return err
		})
		if err != nil && len(all) == 0 {
			return nil, err
		}
		all = append(all, chunk...)
		if err != nil || !more {
			break // what is claimed is the caller's, whatever became of the rest
		}
	}
	slices.SortStableFunc(all, func(a, b expiry.Due) int { return a.At.Compare(b.At) })
	return all, nil
}

// claim is one transaction's part. more says that there may be others.
func claim(c *conn, from, now, until int64, limit int) (due []expiry.Due, more bool, err error) {
	ctx := context.Background()
	looked := 0
	due = make([]expiry.Due, 0, limit)
	index := make(map[uuid.UUID]int, limit)
	err = c.query(ctx, claimBlobs(c.dialect.lockDue), []any{now, until, int64(limit), from}, func(r *row) {
		looked++
		if tickets.BlobState(r.text()) != tickets.BlobPurging {
			return
		}
		d := expiry.Due{ID: r.id()}
		if key := r.key(); key != "" {
			d.Keys = []blobstore.Key{key}
		}
		d.Size, d.At, d.Failures, d.Reason = r.int(), r.time(), int(r.int()), r.text()
		d.SHA256, d.Policy, d.StoredAt, d.Evidence = r.digest(), r.text(), r.time(), r.bool()
		index[d.ID] = len(due)
		due = append(due, d)
	})
	if err != nil {
		return nil, false, err
	}
	if len(due) > 0 {
		err = c.query(ctx, attemptsOf, []any{until}, func(r *row) {
			if i, ok := index[r.id()]; ok {
				due[i].Keys = append(due[i].Keys, r.key())
			}
		})
	}
	if err != nil || looked == limit {
		return due, true, err
	}
	err = c.query(ctx, claimAttempts(c.dialect.lockDue), []any{now, until, int64(limit - len(due))}, func(r *row) {
		due = append(due, expiry.Due{
			Keys: []blobstore.Key{r.key()}, At: r.time(), Failures: int(r.int()),
			Reason: string(tickets.ReasonNotUploaded),
		})
	})
	return due, len(due) == limit, err
}

// Erase implements expiry.Queue.
func (s *Store) Erase(ctx context.Context, done []expiry.Due, now time.Time) error {
	for chunk := range slices.Chunk(done, s.db.chunk()) {
		err := s.write(ctx, 2*len(chunk), func(c *conn) error {
			if err := s.db.erase(c, chunk, micros(now)); err != nil {
				return err
			}
			return eraseReports(c, chunk, now)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachLone calls do for the attempt that the entry is.
func eachLone(d expiry.Due, do func(uuid.UUID, blobstore.Key) error) error {
	for _, key := range d.Keys {
		blob, ok := key.Owner()
		if !ok {
			return fmt.Errorf("key %q: %w", key, errForeignKey)
		}
		if err := do(blob, key); err != nil {
			return err
		}
	}
	return nil
}

const (
	deferBlob    = `UPDATE blobs SET retry_at = $2, failures = failures + 1 WHERE id = $1 AND state = 'purging'`
	deferAttempt = `UPDATE attempts SET retry_at = $3, failures = failures + 1
		WHERE blob_id = $1 AND key = $2 AND retry_at IS NOT NULL`
)

// Defer implements expiry.Queue.
func (s *Store) Defer(ctx context.Context, d expiry.Due, retry time.Time) error {
	return s.write(ctx, 1, func(c *conn) error {
		if d.ID != (uuid.UUID{}) {
			_, err := c.exec(deferBlob, d.ID[:], micros(retry))
			return err
		}
		return eachLone(d, func(blob uuid.UUID, key blobstore.Key) error {
			_, err := c.exec(deferAttempt, blob[:], string(key), micros(retry))
			return err
		})
	})
}

const (
	someForgettable = `SELECT id, evidence FROM blobs WHERE state = 'erased' AND forget_at <= $1 ORDER BY forget_at LIMIT $2`
	forgetBlob      = `DELETE FROM blobs WHERE id = $1`
	forgetReport    = `DELETE FROM reports WHERE id = $1`
)

// Forget implements expiry.Queue.
func (s *Store) Forget(ctx context.Context, now time.Time, limit int) (int, error) {
	total := 0
	for total < limit {
		var n int
		err := s.write(ctx, s.db.chunk(), func(c *conn) (err error) {
			n, err = forget(c, micros(now), min(limit-total, s.db.chunk()))
			return err
		})
		if err != nil {
			return total, err
		}
		if n == 0 {
			break
		}
		total += n
	}
	return total, nil
}

// forget removes up to limit tombstones, fewer if they have very many tickets.
func forget(c *conn, now int64, limit int) (n int, err error) {
	var ids []uuid.UUID
	evidence := make(map[uuid.UUID]bool)
	err = c.query(context.Background(), someForgettable+c.dialect.lockDue, []any{now, int64(limit)}, func(r *row) {
		id := r.id()
		ids = append(ids, id)
		if r.bool() {
			evidence[id] = true
		}
	})
	if err != nil {
		return 0, err
	}
	rows := int64(0)
	for _, id := range ids {
		ts, err := deleteTickets(c, id)
		if err != nil {
			return 0, err
		}
		if _, err := c.exec(forgetBlob, id[:]); err != nil {
			return 0, err
		}
		if evidence[id] {
			if _, err := c.exec(forgetReport, id[:]); err != nil {
				return 0, err
			}
		}
		n++
		if rows += ts; rows > maxBatchRows {
			break
		}
	}
	return n, nil
}
