package expiry_test

import (
	"context"
	"testing"
	"time"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
	"mayfly/expiry"
)

// versionsIn is what the receipt of a row says, which must be valid; nil if it says nothing.
func versionsIn(t *testing.T, signer *expiry.Signer, r *row) *int64 {
	t.Helper()
	v, err := signer.Keyring().Verify(r.envelope(t))
	if err != nil {
		t.Fatalf("the receipt of %s, %s: %v", r.state, r.Reason, err)
	}
	return v.Receipt.VersionsRemoved
}

func wantVersions(t *testing.T, signer *expiry.Signer, r *row, want int64) {
	t.Helper()
	got := versionsIn(t, signer, r)
	if got == nil {
		t.Errorf("the receipt of %d keys does not say how many versions, want %d", len(r.Keys), want)
	} else if *got != want {
		t.Errorf("the receipt of %d keys says %d versions, want %d", len(r.Keys), *got, want)
	}
}

// pendingWith makes a row whose bytes never arrived, with some keys.
func (w *world) pendingWith(keys int) *row {
	r := w.add("pending", "not_uploaded", 9, start, keys)
	r.Policy = "view-once"
	return r
}

// TestReceiptCountsVersions: over all keys of a blob, and what was there of it only.
func TestReceiptCountsVersions(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	w := newWorld(t)
	one, two, half, none, keyless := w.pendingWith(1), w.pendingWith(2), w.pendingWith(2), w.pendingWith(1), w.pendingWith(0)
	for _, key := range []blobstore.Key{one.Keys[0], two.Keys[0], two.Keys[1], half.Keys[1]} {
		w.put(t, key, 3)
	}
	p := w.purge()
	p.Receipts = signer
	if r, err := p.Run(t.Context()); err != nil || r.Erased != 5 || r.Unsigned != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	for r, want := range map[*row]int64{one: 1, two: 2, half: 1, none: 0, keyless: 0} {
		wantVersions(t, signer, r, want)
	}
}

// told is a store that tells of some keys only, and that it removed more than one of each.
type told struct {
	blobstore.Store
	not blobstore.Key
}

func (s told) DeleteCounted(ctx context.Context, keys ...blobstore.Key) (map[blobstore.Key]int64, error) {
	removed := map[blobstore.Key]int64{}
	for _, key := range keys {
		if key != s.not {
			removed[key] = 3
		}
	}
	return removed, s.Delete(ctx, keys...)
}

// TestReceiptWithoutVersions: nothing is said of what the store does not say.
func TestReceiptWithoutVersions(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	w := newWorld(t)
	whole, part := w.pendingWith(2), w.pendingWith(2)
	p := w.purge()
	p.Receipts = signer
	p.Blobs = told{w.blobs, part.Keys[1]}
	if r, err := p.Run(t.Context()); err != nil || r.Erased != 2 || r.Unsigned != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	wantVersions(t, signer, whole, 6)
	if got := versionsIn(t, signer, part); got != nil {
		t.Errorf("of a key the store does not tell, and the receipt says %d", *got)
	}

	silent := w.pendingWith(1)
	p.Blobs = &store{Store: w.blobs}
	if r, err := p.Run(t.Context()); err != nil || r.Erased != 1 || r.Unsigned != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := versionsIn(t, signer, silent); got != nil {
		t.Errorf("the store does not count, and the receipt says %d", *got)
	}
}

// TestReceiptCountsItsPassOnly: what an interrupted pass removed is not the next one's.
func TestReceiptCountsItsPassOnly(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	w := newWorld(t)
	lost, kept := w.pendingWith(1), w.pendingWith(1)
	for _, r := range []*row{lost, kept} {
		w.put(t, r.Keys[0], 3)
	}
	blobs := &blobstoretest.Faulty{Store: w.blobs}
	blobs.Fail(func(c blobstoretest.Call) blobstoretest.Mode {
		switch {
		case c.Method != blobstoretest.Delete || c.N > 1:
			return blobstoretest.Pass
		case c.Key == lost.Keys[0]:
			return blobstoretest.FailedButApplied
		}
		return blobstoretest.Failed
	})
	p := w.purge()
	p.Blobs, p.Receipts = blobs, signer
	if r, err := p.Run(t.Context()); err != nil || r.Failed != 2 || lost.Proof != nil || kept.Proof != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	w.check(t)
	w.now = w.now.Add(2 * time.Hour)
	if r, err := p.Run(t.Context()); err != nil || r.Erased != 2 || r.Unsigned != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	w.check(t)
	wantVersions(t, signer, lost, 0)
	wantVersions(t, signer, kept, 1)
}
