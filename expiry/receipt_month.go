package expiry

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// receiptPage is how many tombstones are looked through at once.
const receiptPage = 5000

// Receipts are those of the tombstones.
type Receipts interface {
	// Receipts looks through the next blobs after that one, in the order of their ids,
	// and gives the receipts of the tenant's tombstones among them; a read. last is how
	// far it came: after itself at the end.
	Receipts(ctx context.Context, tenant string, after uuid.UUID, limit int) (page []StoredReceipt, last uuid.UUID, err error)
}

// StoredReceipt is a tombstone with its receipt, which may be missing.
type StoredReceipt struct {
	Blob     uuid.UUID
	ErasedAt time.Time
	Envelope []byte
}

// Month sums up what was erased for a tenant in a month ("2026-11"), as far as it has
// gone by now, and signs that. Each receipt is verified on the way: one that somebody
// changed in the database is an error. without counts tombstones of that month that
// have none: signing began later, or was off.
func (s *Signer) Month(ctx context.Context, store Receipts, tenant, month string, overdueAfter time.Duration, now time.Time) (envelope []byte, without int64, err error) {
	from, err := time.Parse(MonthFormat, month)
	if err != nil {
		return nil, 0, fmt.Errorf(`month %q is not like "2026-11"`, month)
	}
	m := Summary{Tenant: tenant, Month: month, From: from, To: from.AddDate(0, 1, 0), MadeAt: now}
	if now.Before(m.To) {
		m.To = now
	}
	if !m.From.Before(m.To) {
		return nil, 0, fmt.Errorf("month %s has not begun", month)
	}
	tally := Tally{OverdueAfter: overdueAfter}
	keys := s.Keyring()
	for after := (uuid.UUID{}); ; {
		page, last, err := store.Receipts(ctx, tenant, after, receiptPage)
		if err != nil {
			return nil, 0, err
		}
		for _, r := range page {
			if r.Envelope == nil {
				if m.Covers(Receipt{ErasedAt: r.ErasedAt}) {
					without++
				}
				continue
			}
			v, err := keys.Verify(r.Envelope)
			switch {
			case err != nil:
				return nil, 0, fmt.Errorf("receipt of blob %s: %w", r.Blob, err)
			case v.Receipt == nil || v.Receipt.Blob != r.Blob:
				return nil, 0, fmt.Errorf("%w: the tombstone of blob %s has another's receipt", ErrStatement, r.Blob)
			case !m.Covers(*v.Receipt):
				continue
			}
			if err := tally.Add(*v.Receipt, v.Payload); err != nil {
				return nil, 0, err
			}
		}
		if last == after {
			break
		}
		after = last
	}
	m.Totals = tally.Totals()
	envelope, err = s.SignSummary(m)
	return envelope, without, err
}
