package expiry_test

import (
	"bytes"
	"crypto/sha256"
	"testing"
	"time"

	"mayfly/blobstore"
	"mayfly/expiry"
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
		v, err := keyring.Verify(row.envelope(t))
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
		if row.Proof != nil {
			t.Errorf("a receipt of %s, %s: %x", row.state, row.Reason, row.Proof)
		}
	}
	w.check(t)
}

// envelope is the receipt of a row as it is served.
func (r *row) envelope(t *testing.T) []byte {
	t.Helper()
	e, err := expiry.Envelope(expiry.Receipt{
		Blob: r.ID, SHA256: r.SHA256, Size: r.Size, Reason: r.Reason, Policy: r.Policy, StoredAt: r.StoredAt,
	}, r.Proof)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestPurgeSignsInGroups: also of more blobs than have one signature in common, with lone
// attempts among them, each receipt is its own blob's.
func TestPurgeSignsInGroups(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	w := newWorld(t)
	var rows []*row
	for i := range 40 {
		rows = append(rows, w.pendingWith(1))
		if i%3 == 0 {
			w.attempt(t, 0)
		}
	}
	p := w.purge()
	p.Receipts, p.Batch = signer, 100
	if r, err := p.Run(t.Context()); err != nil || r.Erased != 54 || r.Unsigned != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	signatures := make(map[string]bool)
	for _, row := range rows {
		e := row.envelope(t)
		if got := verify(t, signer.Keyring(), e).Receipt.Blob; got != row.ID {
			t.Errorf("blob %s has the receipt of %s", row.ID, got)
		}
		_, rest, _ := bytes.Cut(e, []byte(`"sig":"`))
		sig, _, _ := bytes.Cut(rest, []byte(`"`))
		signatures[string(sig)] = true
	}
	if n := len(signatures); n < 3 || n > 6 {
		t.Errorf("40 receipts have %d signatures", n)
	}
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
	v, err := signer.Keyring().Verify(row.envelope(t))
	if err != nil || !v.Receipt.ErasedAt.Equal(start) {
		t.Fatalf("%+v, %v", v.Receipt, err)
	}
}
