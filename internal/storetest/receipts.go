package storetest

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/expiry"
)

var signer = sync.OnceValues(func() (*expiry.Signer, error) {
	key, err := expiry.GenerateKey()
	if err != nil {
		return nil, err
	}
	return expiry.NewSigner(key)
})

// sign gives the entry the proof of a receipt, together with another one's, and says what
// is to be served of it.
func sign(t *testing.T, d *expiry.Due, now time.Time) (envelope []byte) {
	t.Helper()
	s, err := signer()
	check(t, err)
	r := expiry.Receipt{
		Blob: d.ID, SHA256: d.SHA256, Size: d.Size, Reason: d.Reason, Policy: d.Policy, StoredAt: d.StoredAt,
		DueAt: d.At, ErasedAt: now, VerifiedAbsentAt: now,
	}
	other := r
	other.Blob = uuid.New()
	proofs, err := s.Sign(other, r)
	check(t, err)
	d.Proof = proofs[1]
	envelope, err = expiry.Envelope(r, d.Proof)
	check(t, err)
	v, err := s.Keyring().Verify(envelope)
	check(t, err)
	if v.Receipt.Blob != d.ID {
		t.Fatalf("blob %s has the receipt of %s", d.ID, v.Receipt.Blob)
	}
	return envelope
}

// testReceipts: a tenant's tombstones with their receipts, in the order of the ids, page
// by page, and nothing else.
func testReceipts(t *testing.T, open func(*testing.T) Database) {
	db := open(t)
	var want []expiry.StoredReceipt
	for i := range 7 {
		stored(t, db, viewOnce(), 1, start) // stays
		foreign := newSample(viewOnce(), 1, start)
		foreign.Tenant = "other"
		check(t, db.Begin(t.Context(), foreign.Blob, foreign.tickets, foreign.grant))
		check(t, db.Unsend(t.Context(), "other", foreign.ID, start))
		s := stored(t, db, viewOnce(), 1, start)
		check(t, db.Unsend(t.Context(), tenant, s.ID, start))
		due := claimAll(t, db, start)
		now := start.Add(time.Duration(i) * time.Minute)
		tombstone := expiry.StoredReceipt{Blob: s.ID, ErasedAt: now}
		for j := range due {
			if i%3 > 0 && due[j].ID == s.ID {
				tombstone.Envelope = sign(t, &due[j], now)
			}
		}
		check(t, db.Erase(t.Context(), due, now))
		want = append(want, tombstone)
	}
	var got []expiry.StoredReceipt
	for after, pages := (uuid.UUID{}), 0; ; pages++ {
		page, last, err := db.Receipts(t.Context(), tenant, after, 4)
		check(t, err)
		got = append(got, page...)
		if last == after {
			if pages < 5 {
				t.Fatalf("only %d pages", pages)
			}
			break
		}
		after = last
	}
	same(t, "receipts", want, got)
}
