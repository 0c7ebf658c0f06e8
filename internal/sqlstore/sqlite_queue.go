package sqlstore

import (
	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
)

// chunk is as many as other writes may wait for: there is one writer. A purge asks for
// fewer at a time while people are served.
func (s *sqliteDatabase) chunk() int { return 1000 }

const (
	eraseBlob = `UPDATE blobs SET state = 'erased', erased_at = $2, forget_at = $2 + tombstone_ttl,
		key = NULL, checksum = NULL, grant_hash = NULL, ready = 0, retry_at = NULL, proof = $3
		WHERE id = $1 AND state = 'purging'`

	eraseAttempt = `DELETE FROM attempts WHERE blob_id = $1 AND key = $2 AND retry_at IS NOT NULL`
)

func (s *sqliteDatabase) erase(c *conn, done []expiry.Due, now int64) error {
	for _, d := range done {
		if err := eraseOne(c, d, now); err != nil {
			return err
		}
	}
	return nil
}

func eraseOne(c *conn, d expiry.Due, now int64) error {
	if d.ID != (uuid.UUID{}) {
		n, err := c.exec(eraseBlob, d.ID[:], now, bytesOrNull(d.Proof))
		if err != nil || n == 0 || d.SHA256 != nil && len(d.Keys) == 1 {
			return err // stored, and without attempts when it was claimed: it gets none any more
		}
		return deleteAttempts(c, d.ID)
	}
	return eachLone(d, func(blob uuid.UUID, key blobstore.Key) error {
		_, err := c.exec(eraseAttempt, blob[:], string(key))
		return err
	})
}
