package expiry

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
)

// deletion is what the blob store has acknowledged of a batch.
type deletion struct {
	at time.Time
	// removed is what was removed by key: none of which the store does not tell.
	removed map[blobstore.Key]int64
}

// versions is how much was removed of a blob with these keys; nil if the store does not
// tell of each.
func (d deletion) versions(keys []blobstore.Key) *int64 {
	var sum int64
	for _, key := range keys {
		n, told := d.removed[key]
		if !told {
			return nil
		}
		sum += n
	}
	return &sum
}

// signedTogether are as many receipts as have one signature in common: it is some thirty
// times what all else of a receipt costs, and a path of four hashes is still short.
const signedTogether = 16

// sign gives each blob that is gone the proof of its receipt, and says of how many that could
// not be done. Such a blob is erased all the same: its bytes are.
func (p *Purge) sign(gone []Due, deleted deletion) (unsigned int64) {
	if p.Receipts == nil {
		return 0
	}
	verified := p.now()
	var failed atomic.Int64
	groups := slices.Collect(slices.Chunk(gone, signedTogether))
	parallel(len(groups), func(i int) { failed.Add(p.signGroup(groups[i], deleted, verified)) })
	return failed.Load()
}

func (p *Purge) signGroup(gone []Due, deleted deletion, verified time.Time) (unsigned int64) {
	receipts, of := make([]Receipt, 0, len(gone)), make([]*Due, 0, len(gone))
	for i := range gone {
		d := &gone[i]
		if d.ID == (uuid.UUID{}) {
			continue // of a lone attempt nobody was ever promised anything
		}
		// A clock that was set back since the blob was due is no reason to say nothing.
		erased := later(deleted.at, d.At)
		of, receipts = append(of, d), append(receipts, Receipt{
			Blob: d.ID, SHA256: d.SHA256, Size: d.Size, Reason: d.Reason, Policy: d.Policy,
			StoredAt: d.StoredAt, DueAt: d.At, ErasedAt: erased, VerifiedAbsentAt: later(verified, erased),
			VersionsRemoved: deleted.versions(d.Keys),
		})
	}
	proofs, _ := p.Receipts.Sign(receipts...) // those that could not be signed are counted
	for i, proof := range proofs {
		if proof == nil {
			unsigned++
		}
		of[i].Proof = proof
	}
	return unsigned
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
