package tickets

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// ErrClaimKey is returned for a claim key that is not 16 to 64 bytes in base64url.
var ErrClaimKey = errors.New("malformed claim key")

// ClaimKey is the random value that the opening client chooses, which lets it,
// and only it, resume. The zero ClaimKey means that the client sent none. It
// prints and marshals redacted, like a Token.
type ClaimKey struct {
	set  bool
	hash Hash
}

// ParseClaimKey reads 16 to 64 bytes in base64url, with or without padding
// (RFC 4648 §5). Only their SHA-256 is kept. The error never quotes the input.
func ParseClaimKey(s string) (ClaimKey, error) {
	s = strings.TrimRight(s, "=")
	if len(s) > base64.RawURLEncoding.EncodedLen(64) {
		return ClaimKey{}, fmt.Errorf("%w: more than 64 bytes", ErrClaimKey)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") { // which the decoder would pass over
		return ClaimKey{}, fmt.Errorf("%w: not base64url", ErrClaimKey)
	}
	if len(raw) < 16 {
		return ClaimKey{}, fmt.Errorf("%w: fewer than 16 bytes", ErrClaimKey)
	}
	return ClaimKey{set: true, hash: sha256.Sum256(raw)}, nil
}

// IsZero reports whether the client sent no claim key.
func (c ClaimKey) IsZero() bool { return !c.set }

// claimHash is what a spend records. An open without a claim key gets a random
// one that nobody knows: nobody can resume it, yet a spend whose outcome was lost
// can still be told from somebody else's by reading the claim.
func (c ClaimKey) claimHash() Hash {
	if c.set {
		return c.hash
	}
	var h Hash
	rand.Read(h[:])
	return h
}

func (c ClaimKey) String() string {
	if !c.set {
		return "none"
	}
	return "[redacted]"
}

// GoString is the redacted form, for %#v.
func (c ClaimKey) GoString() string { return c.String() }

// Format prints the redacted form for every verb.
func (c ClaimKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, c.String()) }

// LogValue is the redacted form.
func (c ClaimKey) LogValue() slog.Value { return slog.StringValue(c.String()) }
