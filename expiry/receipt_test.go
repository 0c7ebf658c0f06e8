package expiry_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
)

// erasure is the receipt of a blob that was erased ten seconds after it was due.
func erasure() expiry.Receipt {
	digest, versions := blobstore.Digest(sha256.Sum256([]byte("media"))), int64(2)
	due := start.Add(14 * 24 * time.Hour)
	return expiry.Receipt{
		Version: 1, Blob: uuid.MustParse("0193b1c2-6d2f-7b3a-8f60-51b0d3f0a9c4"), SHA256: &digest, Size: 5,
		Reason: "unopened", Policy: "view-once", StoredAt: start, DueAt: due,
		ErasedAt: due.Add(10 * time.Second), VerifiedAbsentAt: due.Add(11 * time.Second), VersionsRemoved: &versions,
	}
}

// month is a summary of one receipt.
func month(t *testing.T, r expiry.Receipt, payload []byte) expiry.Summary {
	t.Helper()
	tally := expiry.Tally{OverdueAfter: 5 * time.Second}
	if err := tally.Add(r, payload); err != nil {
		t.Fatal(err)
	}
	from := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	return expiry.Summary{
		Version: 1, Tenant: "acme", Month: "2026-03", From: from, To: from.AddDate(0, 1, 0), MadeAt: from.AddDate(0, 1, 1),
		Totals: tally.Totals(),
	}
}

func newSigner(t testing.TB) *expiry.Signer {
	t.Helper()
	file, err := expiry.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return signerOf(t, file)
}

func signerOf(t testing.TB, file []byte) *expiry.Signer {
	t.Helper()
	s, err := expiry.NewSigner(file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sign(t testing.TB, s *expiry.Signer, r expiry.Receipt) []byte {
	t.Helper()
	return together(t, s, r)[0]
}

// together are the envelopes of receipts that have one signature.
func together(t testing.TB, s *expiry.Signer, receipts ...expiry.Receipt) [][]byte {
	t.Helper()
	proofs, err := s.Sign(receipts...)
	if err != nil {
		t.Fatal(err)
	}
	envelopes := make([][]byte, len(receipts))
	for i, r := range receipts {
		if envelopes[i], err = expiry.Envelope(r, proofs[i]); err != nil {
			t.Fatal(err)
		}
	}
	return envelopes
}

func verify(t *testing.T, k expiry.Keyring, e []byte) expiry.Verified {
	t.Helper()
	v, err := k.Verify(e)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestReceiptRoundTrip(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	neverArrived := erasure()
	neverArrived.SHA256, neverArrived.StoredAt, neverArrived.VersionsRemoved, neverArrived.Reason = nil, time.Time{}, nil, "not_uploaded"
	nothingLeft := erasure()
	*nothingLeft.VersionsRemoved = 0
	atOnce := erasure()
	atOnce.ErasedAt, atOnce.VerifiedAbsentAt = atOnce.DueAt, atOnce.DueAt
	for name, want := range map[string]expiry.Receipt{
		"stored": erasure(), "never arrived": neverArrived, "nothing left": nothingLeft, "at once": atOnce,
	} {
		e := sign(t, s, want)
		v := verify(t, s.Keyring(), e)
		if v.Summary != nil || v.KeyID != s.KeyID() || !reflect.DeepEqual(*v.Receipt, want) {
			t.Errorf("%s: %+v", name, v)
		}
		if again := sign(t, s, want); !bytes.Equal(again, e) {
			t.Errorf("%s: signed again it is another", name)
		}
		if bytes.Contains(v.Payload, []byte("null")) {
			t.Errorf("%s: %s", name, v.Payload)
		}
	}
}

// What Go knows of a time, and RFC 3339 or the database does not, is not signed.
func TestReceiptTimes(t *testing.T) {
	t.Parallel()
	s, r := newSigner(t), erasure()
	r.DueAt = r.DueAt.In(time.FixedZone("elsewhere", 3600)).Add(999)
	r.Version = 0
	if got := *verify(t, s.Keyring(), sign(t, s, r)).Receipt; !reflect.DeepEqual(got, erasure()) {
		t.Errorf("%+v", got)
	}
}

func TestReceiptContradictions(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	for name, change := range map[string]func(*expiry.Receipt){
		"no blob":                 func(r *expiry.Receipt) { r.Blob = uuid.UUID{} },
		"negative size":           func(r *expiry.Receipt) { r.Size = -1 },
		"no reason":               func(r *expiry.Receipt) { r.Reason = "" },
		"reason with escape":      func(r *expiry.Receipt) { r.Reason = "\x1b[2J" },
		"policy of two lines":     func(r *expiry.Receipt) { r.Policy = "a\nb" },
		"policy is not UTF-8":     func(r *expiry.Receipt) { r.Policy = "a\xff" },
		"long policy":             func(r *expiry.Receipt) { r.Policy = strings.Repeat("x", 257) },
		"digest, never stored":    func(r *expiry.Receipt) { r.StoredAt = time.Time{} },
		"stored, no digest":       func(r *expiry.Receipt) { r.SHA256 = nil },
		"no due time":             func(r *expiry.Receipt) { r.DueAt = time.Time{} },
		"not erased":              func(r *expiry.Receipt) { r.ErasedAt = time.Time{} },
		"not verified":            func(r *expiry.Receipt) { r.VerifiedAbsentAt = time.Time{} },
		"erased early":            func(r *expiry.Receipt) { r.ErasedAt = r.DueAt.Add(-time.Microsecond) },
		"verified before erased":  func(r *expiry.Receipt) { r.VerifiedAbsentAt = r.ErasedAt.Add(-time.Microsecond) },
		"stored after verified":   func(r *expiry.Receipt) { r.StoredAt = r.VerifiedAbsentAt.Add(2 * time.Minute) },
		"negative versions":       func(r *expiry.Receipt) { *r.VersionsRemoved = -1 },
		"year that JSON has none": func(r *expiry.Receipt) { r.VerifiedAbsentAt = r.VerifiedAbsentAt.AddDate(9000, 0, 0) },
	} {
		r := erasure()
		change(&r)
		if p, err := s.Sign(r); p[0] != nil || !errors.Is(err, expiry.ErrStatement) {
			t.Errorf("%s: signed, or %v", name, err)
		}
	}
}

func TestSummaryRoundTrip(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	receipt := verify(t, s.Keyring(), sign(t, s, erasure()))
	want := month(t, *receipt.Receipt, receipt.Payload)
	if want.Receipts != 1 || want.Erased["unopened"] != 1 || want.Bytes != 5 || want.OldestAgeSeconds != 10 || want.Overdue != 1 || want.OverdueAfterSeconds != 5 {
		t.Errorf("%+v", want)
	}
	empty := want
	empty.Totals = new(expiry.Tally).Totals()
	for _, want := range []expiry.Summary{want, empty} {
		e, err := s.SignSummary(want)
		if err != nil {
			t.Fatal(err)
		}
		v := verify(t, s.Keyring(), e)
		if v.Receipt != nil || v.KeyID != s.KeyID() || !reflect.DeepEqual(*v.Summary, want) {
			t.Errorf("got %+v, want %+v", v.Summary, want)
		}
	}
}

func TestSummaryContradictions(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	for name, change := range map[string]func(*expiry.Summary){
		"no tenant":             func(m *expiry.Summary) { m.Tenant = "" },
		"no month":              func(m *expiry.Summary) { m.Month = "" },
		"month of one digit":    func(m *expiry.Summary) { m.Month = "2026-3" },
		"span before the month": func(m *expiry.Summary) { m.From = m.From.Add(-time.Second) },
		"span after the month":  func(m *expiry.Summary) { m.To = m.To.Add(time.Second) },
		"no span":               func(m *expiry.Summary) { m.From = m.To },
		"made too early":        func(m *expiry.Summary) { m.MadeAt = m.To.Add(-time.Second) },
		"negative count":        func(m *expiry.Summary) { m.Receipts = -1 },
		"negative age":          func(m *expiry.Summary) { m.OldestAgeSeconds = -1 },
		"more overdue than all": func(m *expiry.Summary) { m.Overdue = 2 },
		"overdue, yet not old":  func(m *expiry.Summary) { m.OldestAgeSeconds = 1 },
		"reasons too few":       func(m *expiry.Summary) { m.Receipts = 2 },
		"reasons too many":      func(m *expiry.Summary) { m.Erased["opened"] = 1 },
		"a reason of none":      func(m *expiry.Summary) { m.Erased["opened"] = 0 },
		"an unprintable reason": func(m *expiry.Summary) { m.Erased = map[string]int64{"\a": 1} },
		"nothing with a digest": func(m *expiry.Summary) {
			m.Receipts, m.Erased, m.Bytes, m.OldestAgeSeconds, m.Overdue = 0, nil, 0, 0, 0
		},
	} {
		m := month(t, erasure(), []byte("payload"))
		change(&m)
		if e, err := s.SignSummary(m); e != nil || !errors.Is(err, expiry.ErrStatement) {
			t.Errorf("%s: signed, or %v", name, err)
		}
	}
}

func TestTally(t *testing.T) {
	t.Parallel()
	tally := expiry.Tally{OverdueAfter: 10 * time.Second}
	var leaves []byte
	for i, reason := range []string{"opened", "unopened", "opened"} {
		r := erasure()
		r.Blob[15], r.Reason = byte(i+1), reason
		r.ErasedAt = r.DueAt.Add(time.Duration(i) * 6500 * time.Millisecond) // 0, 6.5 s, 13 s
		payload := []byte{byte(i)}
		leaf := sha256.Sum256(payload)
		leaves = append(leaves, leaf[:]...)
		if err := tally.Add(r, payload); err != nil {
			t.Fatal(err)
		}
		if err := tally.Add(r, payload); err == nil {
			t.Error("a receipt counts twice")
		}
	}
	want := expiry.Totals{
		Receipts: 3, Erased: map[string]int64{"opened": 2, "unopened": 1}, Bytes: 15,
		OldestAgeSeconds: 13, Overdue: 1, OverdueAfterSeconds: 10, ReceiptsSHA256: sha256.Sum256(leaves),
	}
	if got := tally.Totals(); !got.Equal(want) || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	early := erasure()
	early.Blob[15] = 0
	if err := tally.Add(early, nil); err == nil {
		t.Error("a receipt counts out of order")
	}
	for name, change := range map[string]func(*expiry.Totals){
		"receipts": func(o *expiry.Totals) { o.Receipts++ }, "bytes": func(o *expiry.Totals) { o.Bytes++ },
		"erased":  func(o *expiry.Totals) { o.Erased = nil },
		"oldest":  func(o *expiry.Totals) { o.OldestAgeSeconds++ },
		"overdue": func(o *expiry.Totals) { o.Overdue++ }, "limit": func(o *expiry.Totals) { o.OverdueAfterSeconds++ },
		"digest": func(o *expiry.Totals) { o.ReceiptsSHA256[0]++ },
	} {
		other := want
		change(&other)
		if other.Equal(want) {
			t.Errorf("other %s are equal", name)
		}
	}
}
