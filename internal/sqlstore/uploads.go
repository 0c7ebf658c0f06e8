package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/tickets"
)

// errForeignKey is a mistake of ours: Owned could never find such a key's row, and
// the sweep would take its bytes for an orphan's.
var errForeignKey = errors.New("the key was not made for this blob")

func checkKey(id uuid.UUID, key blobstore.Key) error {
	if owner, ok := key.Owner(); !ok || owner != id {
		return fmt.Errorf("blob %s, key %q: %w", id, key, errForeignKey)
	}
	return nil
}

const insertAttempt = `INSERT INTO attempts (blob_id, key, due_at) VALUES ($1, $2, $3)`

// Reserve implements tickets.Store.
func (s *Store) Reserve(ctx context.Context, attempts []tickets.Attempt) error {
	for _, a := range attempts {
		if err := checkKey(a.ID, a.Key); err != nil {
			return err
		}
	}
	return s.write(ctx, len(attempts), func(c *conn) error {
		all := make([][]any, len(attempts))
		for i, a := range attempts {
			all[i] = []any{a.ID[:], string(a.Key), micros(a.Due)}
		}
		_, err := c.runMany(insertAttempt, all)
		return err
	})
}

// FindGrant implements tickets.Store.
func (s *Store) FindGrant(ctx context.Context, id uuid.UUID, grant tickets.Hash) (tickets.Blob, error) {
	var b tickets.Blob
	var found bool
	err := s.read(ctx, func(c *conn) (err error) {
		found, err = c.first(`SELECT `+blobColumns+` FROM blobs b WHERE b.id = $1 AND b.grant_hash = $2`,
			[]any{id[:], grant[:]}, func(r *row) { b = readBlob(r, id) })
		return err
	})
	if err == nil && !found {
		err = tickets.ErrUnknownGrant
	}
	return b, err
}

// BeginAttempt implements tickets.Store.
func (s *Store) BeginAttempt(ctx context.Context, id uuid.UUID, key blobstore.Key, due, now time.Time) error {
	if err := checkKey(id, key); err != nil {
		return err
	}
	return s.write(ctx, 1, func(c *conn) error {
		n, err := c.exec(`INSERT INTO attempts (blob_id, key, due_at)
			SELECT id, $2, $3 FROM blobs WHERE id = $1 AND `+isPending+` AND upload_until > $4`+c.dialect.lock,
			id[:], string(key), micros(due), micros(now))
		if err == nil && n == 0 {
			err = refuse(tickets.ErrTooLate)
		}
		return err
	})
}

// DropAttempt implements tickets.Store.
func (s *Store) DropAttempt(ctx context.Context, id uuid.UUID, key blobstore.Key) error {
	return s.write(ctx, 1, func(c *conn) error { return deleteAttempt(c, id, key) })
}

func deleteAttempt(c *conn, id uuid.UUID, key blobstore.Key) error {
	_, err := c.exec(`DELETE FROM attempts WHERE blob_id = $1 AND key = $2`, id[:], string(key))
	return err
}

func deleteTickets(c *conn, blob uuid.UUID) (int64, error) {
	return c.exec(`DELETE FROM tickets WHERE blob_id = $1`, blob[:])
}

func deleteAttempts(c *conn, blob uuid.UUID) error {
	_, err := c.exec(`DELETE FROM attempts WHERE blob_id = $1`, blob[:])
	return err
}

// The attempt must be there, and not claimed by a purge, which may be deleting its
// bytes at this moment: P1 holds for what is stored. The terms may have become shorter
// since the caller has read them.
const storeBlob = `UPDATE blobs
	SET state = 'stored', key = $2, sha256 = $3, stored_at = $4, stamp = $6, checksum = $7,
	expires_at = CASE WHEN $4 + unopened_ttl < $5 THEN $4 + unopened_ttl ELSE $5 END,
	purge_at = CASE WHEN $4 + unopened_ttl < $5 THEN $4 + unopened_ttl ELSE $5 END,
	look_at = CASE WHEN unlimited = 0 AND keep < unopened_ttl AND $4 + keep < $5 THEN $4 + keep
		WHEN $4 + unopened_ttl < $5 THEN $4 + unopened_ttl ELSE $5 END
	WHERE id = $1 AND ` + isPending + ` AND evidence = 0 AND upload_until > $4
	AND EXISTS (SELECT 1 FROM attempts WHERE blob_id = $1 AND key = $2 AND retry_at IS NULL)`

// Commit implements tickets.Store. A second Commit of the same key, by a caller
// that lost the answer to the first, is nil: an error would have it delete the
// bytes of a stored blob.
func (s *Store) Commit(ctx context.Context, m tickets.Commit) error {
	if err := checkKey(m.ID, m.Key); err != nil {
		return err
	}
	return s.write(ctx, 2, func(c *conn) error {
		// The blob before its attempt, as everywhere: so nobody waits in a circle.
		if err := c.hold(`SELECT 1 FROM blobs WHERE id = $1`, m.ID[:]); err != nil {
			return err
		}
		if err := c.hold(`SELECT 1 FROM attempts WHERE blob_id = $1 AND key = $2`, m.ID[:], string(m.Key)); err != nil {
			return err
		}
		n, err := c.exec(storeBlob, m.ID[:], string(m.Key), m.SHA256[:], micros(m.Now), micros(m.Expires),
			textOrNull(m.Stamp), checksumOrNull(m.Checksum))
		switch {
		case err != nil:
			return err
		case n == 0:
			return whyNotStored(c, m)
		}
		return deleteAttempt(c, m.ID, m.Key)
	})
}

func whyNotStored(c *conn, m tickets.Commit) error {
	var state tickets.BlobState
	var key blobstore.Key
	_, err := c.first(`SELECT state, key FROM blobs WHERE id = $1`, []any{m.ID[:]}, func(r *row) {
		state, key = tickets.BlobState(r.text()), r.key()
	})
	switch {
	case err != nil:
		return err
	case state == tickets.BlobStored && key == m.Key:
		return nil
	case state == tickets.BlobStored:
		return refuse(tickets.ErrAlreadyStored)
	}
	return refuse(tickets.ErrTooLate)
}
