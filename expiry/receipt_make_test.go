package expiry_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"mayfly/blobstore"
)

// TestPurgeSigns: every blob that is erased gets a receipt that says what its row said,
// and nothing else does.
func TestPurgeSigns(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	w := newWorld(t)
	digest := blobstore.Digest(sha256.Sum256([]byte("seven b")))
	stored := w.blob(t, 0)
	stored.SHA256, stored.Policy, stored.StoredAt = &digest, "view-once", start.Add(-time.Hour)
	never := w.add("pending", "not_uploaded", 9, start, 1)
	never.Policy = "view-once"
	lone := w.attempt(t, 0)
	impossible := w.blob(t, 0) // bytes that arrived without a digest
	impossible.Policy, impossible.StoredAt = "view-once", start
	kept := w.blob(t, time.Hour)

	w.now = start.Add(time.Minute)
	p := w.purge()
	p.Receipts = signer
	r, err := p.Run(t.Context())
	if err != nil || r.Erased != 4 || r.Unsigned != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	keyring := signer.Keyring()
	for row, versions := range map[*row]int64{stored: 1, never: 0} {
		v, err := keyring.Verify(row.Receipt)
		if err != nil {
			t.Fatalf("%s: %v", row.Reason, err)
		}
		got := v.Receipt
		if got.Blob != row.ID || got.Size != row.Size || got.Reason != row.Reason || got.Policy != row.Policy ||
			!got.StoredAt.Equal(row.StoredAt) || !got.DueAt.Equal(row.At) || !got.ErasedAt.Equal(w.now) || !got.VerifiedAbsentAt.Equal(w.now) ||
			got.VersionsRemoved == nil || *got.VersionsRemoved != versions ||
			(got.SHA256 == nil) != (row.SHA256 == nil) || got.SHA256 != nil && *got.SHA256 != digest {
			t.Errorf("the receipt says %+v of %+v", got, row.Due)
		}
	}
	for _, row := range []*row{lone, impossible, kept} {
		if row.Receipt != nil {
			t.Errorf("a receipt of %s, %s: %s", row.state, row.Reason, row.Receipt)
		}
	}
	w.check(t)
}

// TestPurgeSignsWhenTheClockWentBack: a receipt never says that a blob was erased
// before it was due (P4).
func TestPurgeSignsWhenTheClockWentBack(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	w := newWorld(t)
	row := w.add("pending", "not_uploaded", 9, start, 1)
	row.Policy = "view-once"
	p := w.purge()
	p.Receipts = signer
	asked := 0
	p.Now = func() time.Time { // right as long as the queue is asked, and then a day behind
		if asked++; asked > 4 {
			return start.Add(-24 * time.Hour)
		}
		return start
	}
	if r, err := p.Run(t.Context()); err != nil || r.Erased != 1 || r.Unsigned != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	v, err := signer.Keyring().Verify(row.Receipt)
	if err != nil || !v.Receipt.ErasedAt.Equal(start) {
		t.Fatalf("%+v, %v", v.Receipt, err)
	}
}
