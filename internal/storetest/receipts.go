package storetest

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/expiry"
)

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
		if i%3 > 0 {
			tombstone.Envelope = []byte("envelope " + s.ID.String())
		}
		for j := range due {
			due[j].Receipt = nil
			if due[j].ID == s.ID {
				due[j].Receipt = tombstone.Envelope
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
