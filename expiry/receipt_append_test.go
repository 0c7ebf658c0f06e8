package expiry

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"mayfly/blobstore"
)

// reference is the envelope as encoding/json makes it, signed.
func reference(t *testing.T, s *Signer, payloadType string, statement any) []byte {
	t.Helper()
	payload, err := json.Marshal(statement)
	if err != nil {
		t.Fatal(err)
	}
	message := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
	sig, err := json.Marshal(signature{
		KeyID: publicOf(s.key).ID(), Sig: base64.StdEncoding.EncodeToString(ed25519.Sign(s.key, message)),
	})
	if err != nil {
		t.Fatal(err)
	}
	e, err := json.Marshal(envelope{
		PayloadType: payloadType, Payload: base64.StdEncoding.EncodeToString(payload), Signatures: []json.RawMessage{sig},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func envelopeOf(s *Signer, r Receipt) ([]byte, error) {
	proofs, err := s.Sign(r)
	if err != nil {
		return nil, err
	}
	return Envelope(r, proofs[0])
}

func newTestSigner(t *testing.T) *Signer {
	t.Helper()
	file, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSigner(file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// nastyTexts are what encoding/json escapes, replaces, or leaves alone where others do not.
var nastyTexts = []string{
	"", "unopened", "not_uploaded", `"`, `\`, "a/b", "'", "`", "<b>", ">", "a&b", "<script>alert(\"&\")</script>", "~", "\x7f", "\u0080",
	"\x00", "\b\f\n\r\t", "\x1b[2J", "\x1f", "\u2028", "x\u2029y", "\u2027\u202a", "Löschfrist", "保持", "🦋", "\ufffd", "\ufeff",
	"\xff", "a\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "{}[]:,", "null", "\\u003c", "  ",
}

func randomText(r *rand.Rand) string {
	if r.IntN(2) == 0 {
		return nastyTexts[r.IntN(len(nastyTexts))]
	}
	b := make([]byte, r.IntN(40))
	for i := range b {
		if b[i] = byte(r.IntN(256)); r.IntN(8) > 0 {
			b[i] = ' ' + b[i]%('~'-' '+1)
		}
	}
	return string(b)
}

// randomTime has a fraction of any length, and now and then a year of which there is
// no other, or that JSON has not.
func randomTime(r *rand.Rand) time.Time {
	unit := time.Duration(math.Pow10(r.IntN(7))) * time.Microsecond
	at := time.Unix(r.Int64N(1<<33), 0).UTC().Add(time.Duration(r.IntN(int(time.Second/unit))) * unit)
	switch years := []int{0, 1, 999, 1000, 9999, -1, -1000, 10000, 123456}; r.IntN(8) {
	case 0:
		at = at.AddDate(years[r.IntN(len(years))]-at.Year(), 0, 0)
	case 1:
		at = time.Time{}
	case 2:
		at = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
	}
	return at
}

func randomReceipt(r *rand.Rand) Receipt {
	numbers := []int64{0, 1, -1, 482133, math.MaxInt64, math.MinInt64}
	c := Receipt{
		Version: int(numbers[r.IntN(len(numbers))]), Size: numbers[r.IntN(len(numbers))], Reason: randomText(r), Policy: randomText(r),
		StoredAt: randomTime(r), DueAt: randomTime(r), ErasedAt: randomTime(r), VerifiedAbsentAt: randomTime(r),
	}
	for i := range c.Blob {
		c.Blob[i] = byte(r.Uint32())
	}
	if r.IntN(2) == 0 {
		c.SHA256 = new(blobstore.Digest(sha256.Sum256(c.Blob[:])))
	}
	if r.IntN(2) == 0 {
		c.VersionsRemoved = &numbers[r.IntN(len(numbers))]
	}
	return c
}

// possible makes a receipt that can be true of one that need not.
func possible(r *rand.Rand, c Receipt) Receipt {
	c.DueAt = time.Date(1+r.IntN(9998), 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.Int64N(int64(time.Hour))))
	c.ErasedAt = c.DueAt.Add(time.Duration(r.Int64N(int64(time.Hour))))
	c.VerifiedAbsentAt = c.ErasedAt.Add(time.Duration(r.Int64N(int64(time.Second)))).In(time.FixedZone("", r.IntN(24*3600)))
	if c.StoredAt = (time.Time{}); c.SHA256 != nil {
		c.StoredAt = c.DueAt.Add(-time.Second)
	}
	if checkName("", c.Reason) != nil {
		c.Reason = `"<&>" Löschfrist\`
	}
	if checkName("", c.Policy) != nil {
		c.Policy = "view-once"
	}
	c.Size = max(0, c.Size)
	if c.VersionsRemoved != nil {
		*c.VersionsRemoved = max(0, *c.VersionsRemoved)
	}
	return c
}

// TestReceiptIsWhatJSONMakes: also of what is never signed, which a later check may let
// through.
func TestReceiptIsWhatJSONMakes(t *testing.T) {
	t.Parallel()
	s := newTestSigner(t)
	r := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for range 20_000 {
		c := randomReceipt(r)
		want, wantErr := json.Marshal(c)
		got, err := c.appendJSON([]byte("before"))
		if wantErr != nil {
			if refused++; err == nil {
				t.Fatalf("%+v: encoding/json says %v, and we %s", c, wantErr, got)
			}
			continue
		}
		if err != nil || string(got) != "before"+string(want) {
			t.Fatalf("%+v:\n got %s, %v\nwant %s", c, got, err, want)
		}
	}
	if refused == 0 || refused > 15_000 {
		t.Errorf("%d of 20000 have a year that JSON has not", refused)
	}
	for range 2_000 {
		c := possible(r, randomReceipt(r))
		got, err := envelopeOf(s, c)
		if want := reference(t, s, ReceiptType, c.normal()); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%+v:\n got %s, %v\nwant %s", c, got, err, want)
		}
	}
}

func TestTextIsWhatJSONMakes(t *testing.T) {
	t.Parallel()
	texts := nastyTexts
	for c := range 0x3000 { // beyond the last character that encoding/json escapes
		texts = append(texts, string(rune(c)), "a"+string(rune(c))+"b")
	}
	for _, text := range texts {
		want, err := json.Marshal(text)
		if got := appendText(nil, text); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

// TestTimesAreWhatJSONMakes: with each number of digits, in years at both ends.
func TestTimesAreWhatJSONMakes(t *testing.T) {
	t.Parallel()
	for _, year := range []int{-1, 0, 1, 1969, 2026, 9999, 10000} {
		for _, micros := range []int{0, 1, 10, 120, 1200, 12000, 120000, 123456, 999999, 500000} {
			at := time.Date(year, 12, 31, 23, 59, 59, micros*1000, time.UTC)
			want, wantErr := json.Marshal(at)
			got, err := appendTime(nil, at)
			if (err != nil) != (wantErr != nil) || err == nil && !bytes.Equal(got, want) {
				t.Errorf("%s: got %s, %v, want %s, %v", at, got, err, want, wantErr)
			}
		}
	}
	late := Receipt{DueAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}
	for name, r := range map[string]Receipt{
		"stored": {StoredAt: late.DueAt}, "due": late, "erased": {ErasedAt: late.DueAt}, "verified": {VerifiedAbsentAt: late.DueAt},
	} {
		if b, err := r.appendJSON(nil); err == nil {
			t.Errorf("%s: %s", name, b)
		}
	}
}

// TestSummaryIsWhatJSONMakes: of a summary the envelope is ours.
func TestSummaryIsWhatJSONMakes(t *testing.T) {
	t.Parallel()
	s := newTestSigner(t)
	from := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, tenant := range []string{"acme", "<a&b>", "Löschfrist"} {
		m := Summary{Tenant: tenant, Month: "2026-03", From: from, To: from.AddDate(0, 1, 0), MadeAt: from.AddDate(0, 1, 1), Totals: new(Tally).Totals()}
		got, err := s.SignSummary(m)
		if want := reference(t, s, SummaryType, m.normal()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %s, %v\nwant %s", tenant, got, err, want)
		}
	}
}

// TestSignAllocates holds what it costs beside Ed25519, in what a busy machine does not
// change. Not in parallel: the allocations of all goroutines are counted.
func TestSignAllocates(t *testing.T) {
	s, r := newTestSigner(t), possible(rand.New(rand.NewPCG(1, 2)), Receipt{Blob: [16]byte{1}, Reason: "unopened", Policy: "view-once"})
	var receipts [signedTogether]Receipt
	for i := range receipts {
		receipts[i] = r
	}
	var err error
	if n := testing.AllocsPerRun(100, func() {
		_, e := s.Sign(receipts[:]...)
		err = errors.Join(err, e)
	}); n > 6*signedTogether || err != nil {
		t.Errorf("%v allocations, %v", n, err)
	}
}
