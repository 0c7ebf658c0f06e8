package sqlstore

import (
	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
)

// chunk is as many as a statement does well: nobody waits for a purge here, but for the
// rows that it is at, which are due.
func (s *postgresDatabase) chunk() int { return 1000 }

const (
	// eraseBlobs names the ids once. Given as "= ANY" beside the join the planner takes them
	// for few, and what is purging for less, and joins each with all.
	eraseBlobs = `UPDATE blobs SET state = 'erased', erased_at = $2, forget_at = $2 + tombstone_ttl,
		key = NULL, checksum = NULL, grant_hash = NULL, ready = 0, retry_at = NULL, proof = i.proof
		FROM unnest(CAST($1 AS UUID[]), CAST($3 AS BYTEA[])) AS i(id, proof)
		WHERE blobs.id = i.id AND COALESCE(state, '') = 'purging'`

	eraseAttemptsOf = `DELETE FROM attempts WHERE blob_id = ANY(CAST($1 AS UUID[]))`

	eraseAttempts = `DELETE FROM attempts WHERE blob_id = ANY(CAST($1 AS UUID[])) AND retry_at IS NOT NULL
		AND (blob_id, key) IN (SELECT * FROM unnest(CAST($1 AS UUID[]), CAST($2 AS TEXT[])) AS i(blob_id, key))`
)

// erase does for all what eraseOne does for one. The attempts of a blob that another
// erased are gone already.
func (s *postgresDatabase) erase(c *conn, done []expiry.Due, now int64) error {
	var blobs, loneBlobs ids
	var proofs hashes // nil is NULL
	var loneKeys []string
	for _, d := range done {
		if d.ID != (uuid.UUID{}) {
			blobs, proofs = append(blobs, d.ID), append(proofs, d.Proof)
			continue
		}
		err := eachLone(d, func(blob uuid.UUID, key blobstore.Key) error {
			loneBlobs, loneKeys = append(loneBlobs, blob), append(loneKeys, string(key))
			return nil
		})
		if err != nil {
			return err
		}
	}
	if len(blobs) > 0 {
		if _, err := c.exec(eraseBlobs, blobs, now, proofs); err != nil {
			return err
		}
		if _, err := c.exec(eraseAttemptsOf, blobs); err != nil {
			return err
		}
	}
	if len(loneBlobs) == 0 {
		return nil
	}
	_, err := c.exec(eraseAttempts, loneBlobs, loneKeys)
	return err
}
