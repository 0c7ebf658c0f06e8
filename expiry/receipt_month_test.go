package expiry_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/expiry"
)

// tombstones are Receipts in memory, two to a page.
type tombstones []expiry.StoredReceipt

func (all tombstones) Receipts(_ context.Context, _ string, after uuid.UUID, _ int) (page []expiry.StoredReceipt, last uuid.UUID, err error) {
	last = after
	for _, r := range all {
		if len(page) < 2 && bytes.Compare(r.Blob[:], after[:]) > 0 {
			page, last = append(page, r), r.Blob
		}
	}
	return page, last, nil
}

// TestMonth: a summary counts every receipt of its month and no other, and a receipt
// that was tampered with is told.
func TestMonth(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	march := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	var all tombstones
	for _, erased := range []time.Time{march.Add(-time.Microsecond), march, march.AddDate(0, 0, 20), march.AddDate(0, 1, 0).Add(-time.Microsecond), march.AddDate(0, 1, 0)} {
		id := uuid.Must(uuid.NewV7())
		envelope := sign(t, signer, expiry.Receipt{
			Blob: id, Size: 10, Reason: "not_uploaded", Policy: "view-once",
			DueAt: erased.Add(-2 * time.Hour), ErasedAt: erased, VerifiedAbsentAt: erased,
		})
		all = append(all, expiry.StoredReceipt{Blob: id, ErasedAt: erased, Envelope: envelope})
	}
	all = append(all, expiry.StoredReceipt{Blob: uuid.Must(uuid.NewV7()), ErasedAt: march}) // unsigned
	slices.SortFunc(all, func(a, b expiry.StoredReceipt) int { return bytes.Compare(a.Blob[:], b.Blob[:]) })

	sum := func(now time.Time) (expiry.Summary, int64) {
		t.Helper()
		envelope, without, err := signer.Month(t.Context(), all, "acme", "2026-03", time.Hour, now)
		if err != nil {
			t.Fatal(err)
		}
		v, err := signer.Keyring().Verify(envelope)
		if err != nil {
			t.Fatal(err)
		}
		return *v.Summary, without
	}
	s, without := sum(march.AddDate(0, 2, 0))
	if s.Receipts != 3 || s.Bytes != 30 || s.Overdue != 3 || s.OldestAgeSeconds != 7200 || without != 1 || !s.To.Equal(march.AddDate(0, 1, 0)) {
		t.Errorf("%+v, %d without", s, without)
	}
	if s, _ := sum(march.AddDate(0, 0, 10)); s.Receipts != 1 || !s.To.Equal(march.AddDate(0, 0, 10)) {
		t.Errorf("of a month that is not over: %+v", s)
	}
	if _, _, err := signer.Month(t.Context(), all, "acme", "2026-03", time.Hour, march.Add(-time.Second)); err == nil {
		t.Error("a month that has not begun was summed up")
	}
	all[1].Envelope, all[2].Envelope = all[2].Envelope, all[1].Envelope
	if _, _, err := signer.Month(t.Context(), all, "acme", "2026-03", time.Hour, march.AddDate(0, 2, 0)); !errors.Is(err, expiry.ErrStatement) {
		t.Errorf("receipts of others: %v", err)
	}
	all[1].Envelope = bytes.Replace(all[1].Envelope, []byte(`"sig":"`), []byte(`"sig":"A`), 1)
	if _, _, err := signer.Month(t.Context(), all, "acme", "2026-03", time.Hour, march.AddDate(0, 2, 0)); err == nil {
		t.Error("a broken signature was counted")
	}
}
