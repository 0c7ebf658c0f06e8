package expiry_test

import (
	"crypto/ed25519"
	"testing"
	"time"
)

// BenchmarkSign is what a receipt costs the purge, beside what of that is the signature
// itself, over a message of the same length.
func BenchmarkSign(b *testing.B) {
	s, r := newSigner(b), erasure()
	r.ErasedAt, r.VerifiedAbsentAt = r.ErasedAt.Add(250031*time.Microsecond), r.VerifiedAbsentAt.Add(263544*time.Microsecond)
	b.Run("receipt", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sign(b, s, r)
		}
	})
	b.Run("ed25519", func(b *testing.B) {
		key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
		message := make([]byte, 420)
		b.ReportAllocs()
		for b.Loop() {
			ed25519.Sign(key, message)
		}
	})
}
