package expiry

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"maps"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
)

// MonthFormat is the form of Summary.Month, for time.Format.
const MonthFormat = "2006-01"

// maxReasons bounds the reasons that a summary tells apart.
const maxReasons = 64

// Summary is the statement of what was erased for one tenant in one month (UTC).
type Summary struct {
	// Version of the statement. SignSummary sets it.
	Version int    `json:"version"`
	Tenant  string `json:"tenant"`
	// Month as "2026-11".
	Month string `json:"month"`
	// From and To are the span within the month that is covered: every receipt with
	// From <= erased_at < To is counted, and no other. A month that is over has its
	// first moment and that of the next.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// MadeAt is when the counting was done; not before To.
	MadeAt time.Time `json:"made_at"`
	Totals
}

// Totals are what a Tally makes of receipts.
type Totals struct {
	// Receipts counts them; Erased divides that number by reason.
	Receipts int64            `json:"receipts"`
	Erased   map[string]int64 `json:"erased"`
	// Bytes of what was erased, as announced.
	Bytes int64 `json:"bytes"`
	// OldestAgeSeconds is the longest time from due_at to erased_at, in whole
	// seconds.
	OldestAgeSeconds int64 `json:"oldest_age_seconds"`
	// Overdue counts those that were erased more than OverdueAfterSeconds after
	// they were due.
	Overdue             int64 `json:"overdue"`
	OverdueAfterSeconds int64 `json:"overdue_after_seconds"`
	// ReceiptsSHA256 is the SHA-256 over the SHA-256 of each receipt's payload, in
	// the order of the blobs' ids: who holds the receipts can tell whether they are
	// all of them.
	ReceiptsSHA256 blobstore.Digest `json:"receipts_sha256"`
}

// Equal reports whether both say the same.
func (t Totals) Equal(o Totals) bool {
	if !maps.Equal(t.Erased, o.Erased) {
		return false
	}
	return t.Receipts == o.Receipts && t.Bytes == o.Bytes && t.OldestAgeSeconds == o.OldestAgeSeconds &&
		t.Overdue == o.Overdue && t.OverdueAfterSeconds == o.OverdueAfterSeconds && t.ReceiptsSHA256 == o.ReceiptsSHA256
}

// Covers reports whether the summary counts this receipt, if it is its tenant's.
func (s Summary) Covers(r Receipt) bool {
	return !r.ErasedAt.Before(s.From) && r.ErasedAt.Before(s.To)
}

// Tally adds up receipts in constant memory.
type Tally struct {
	// OverdueAfter is from when on an erasure is late, in whole seconds.
	OverdueAfter time.Duration

	last   uuid.UUID
	totals Totals
	hash   hash.Hash
}

// Add counts a receipt, of which Verify or Sign gave the payload. Receipts come in
// the order of their blobs' ids, as a database has them; another order, or a blob
// that comes twice, is an error, and nothing is counted.
func (t *Tally) Add(r Receipt, payload []byte) error {
	if bytes.Compare(t.last[:], r.Blob[:]) >= 0 {
		return fmt.Errorf("the receipt of blob %s comes after that of %s: one for each blob, in the order of their ids", r.Blob, t.last)
	}
	if t.hash == nil {
		t.hash, t.totals.Erased = sha256.New(), make(map[string]int64)
	}
	t.last = r.Blob
	leaf := sha256.Sum256(payload)
	t.hash.Write(leaf[:])
	age := r.ErasedAt.Sub(r.DueAt)
	t.totals.Receipts++
	t.totals.Erased[r.Reason]++
	t.totals.Bytes += r.Size
	t.totals.OldestAgeSeconds = max(t.totals.OldestAgeSeconds, int64(age/time.Second))
	if age > t.OverdueAfter {
		t.totals.Overdue++
	}
	return nil
}

// Totals are those of what was added until now.
func (t *Tally) Totals() Totals {
	totals := t.totals
	totals.OverdueAfterSeconds = int64(t.OverdueAfter / time.Second)
	totals.Erased = make(map[string]int64, len(t.totals.Erased))
	maps.Copy(totals.Erased, t.totals.Erased)
	totals.ReceiptsSHA256 = sha256.Sum256(nil)
	if t.hash != nil {
		totals.ReceiptsSHA256 = blobstore.Digest(t.hash.Sum(nil))
	}
	return totals
}

// normal is the summary as it is signed.
func (s Summary) normal() Summary {
	s.Version = statementVersion
	for _, at := range []*time.Time{&s.From, &s.To, &s.MadeAt} {
		*at = at.UTC().Truncate(time.Microsecond)
	}
	if s.Erased == nil {
		s.Erased = map[string]int64{} // {} and not null
	}
	return s
}

// check is nil if the summary can be true.
func (s Summary) check() error {
	month, err := time.Parse(MonthFormat, s.Month)
	switch {
	case err != nil:
		return errors.New(`month is not like "2026-11"`)
	case s.From.Before(month) || !s.From.Before(s.To) || s.To.After(month.AddDate(0, 1, 0)):
		return errors.New("from and to are no span within the month")
	case s.MadeAt.Before(s.To):
		return errors.New("made before its span was over")
	case s.Receipts < 0 || s.Bytes < 0 || s.OldestAgeSeconds < 0 || s.Overdue < 0 || s.OverdueAfterSeconds < 0:
		return errors.New("a count is below zero")
	case s.Overdue > s.Receipts:
		return fmt.Errorf("%d of %d were overdue", s.Overdue, s.Receipts)
	case s.Receipts == 0 && (s.Bytes > 0 || s.OldestAgeSeconds > 0 || s.ReceiptsSHA256 != sha256.Sum256(nil)):
		return errors.New("it tells of receipts, and counts none")
	case s.Overdue > 0 && s.OldestAgeSeconds < s.OverdueAfterSeconds:
		return errors.New("some were overdue, and the oldest was not")
	}
	return errors.Join(checkName("tenant", s.Tenant), s.checkReasons(),
		checkUTC("from", s.From), checkUTC("to", s.To), checkUTC("made_at", s.MadeAt))
}

func (s Summary) checkReasons() error {
	if len(s.Erased) > maxReasons {
		return fmt.Errorf("%d reasons, more than %d", len(s.Erased), maxReasons)
	}
	left := s.Receipts
	for reason, n := range s.Erased {
		if err := checkName("reason", reason); err != nil {
			return err
		}
		// Subtracted, and not added up: a sum could overflow.
		if n < 1 || n > left {
			return errors.New("the reasons do not divide the number of receipts")
		}
		left -= n
	}
	if left != 0 {
		return errors.New("the reasons do not divide the number of receipts")
	}
	return nil
}
