package expiry_test

import (
	"crypto/ed25519"
	"testing"
	"time"

	"mayfly/expiry"
)

// BenchmarkSign is what receipts cost the purge, alone and sixteen together, beside what of
// that is a signature itself, over a message of the length of a receipt.
func BenchmarkSign(b *testing.B) {
	s, r := newSigner(b), erasure()
	r.ErasedAt, r.VerifiedAbsentAt = r.ErasedAt.Add(250031*time.Microsecond), r.VerifiedAbsentAt.Add(263544*time.Microsecond)
	many := make([]expiry.Receipt, 16)
	for i := range many {
		many[i] = r
	}
	for name, receipts := range map[string][]expiry.Receipt{"one": many[:1], "sixteen": many} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Sign(receipts...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("ed25519", func(b *testing.B) {
		key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
		message := make([]byte, 420)
		b.ReportAllocs()
		for b.Loop() {
			ed25519.Sign(key, message)
		}
	})
}
