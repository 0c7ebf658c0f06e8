package formats

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

// Binding says how sure it is that the sender's ciphertext was made for this key.
type Binding string

const (
	// Committed: the sender said nothing, and need not: the ciphertext itself can
	// be opened to one plaintext only.
	Committed Binding = "committed"
	// Matches: it is the key that the sender committed to with the upload.
	Matches Binding = "commitment matches"
	// Unverified: nothing tells this key from one that the reporter made up. A
	// moderator who sees it must not take the plaintext for what the sender sent.
	Unverified Binding = "unverified"
	// Mismatch: the sender committed to another key. What this one shows is not
	// what the sender meant, whatever the ciphertext says of it.
	Mismatch Binding = "mismatch"
)

const commitmentPrefix = "sha256:"

// Judge weighs a key against the commitment that the sender gave with the upload, ""
// for none. Commitments of another form than Commitment's are opaque: the uploader
// may have its own, which cannot be judged here, and counts as none.
func Judge(k Key, commitment string) Binding {
	theirs, ok := commitmentSum(commitment)
	ours, known := commitmentSum(k.Commitment())
	switch {
	case ok && known && subtle.ConstantTimeCompare(theirs, ours) == 1:
		return Matches
	case ok:
		return Mismatch
	case k.CommitsToKey():
		return Committed
	}
	return Unverified
}

// commitmentSum is the digest of a commitment, whose hex digits may be of either
// case: a sender who wrote them large did not mean another key.
func commitmentSum(commitment string) ([]byte, bool) {
	digits, ok := strings.CutPrefix(commitment, commitmentPrefix)
	if !ok {
		return nil, false
	}
	sum, err := hex.DecodeString(digits)
	return sum, err == nil && len(sum) == sha256.Size
}

// commit is the commitment to a key. What is hashed has one reading only: no format
// has a zero byte in its name, and what a format commits to is of fixed length, or
// comes last, or ends with a zero byte that cannot be in it.
//
// SHA-256 binds because it resists collisions, and hides because every key here has
// 256 random bits; so it needs no opening value that would have to travel along.
func commit(format string, parts ...[]byte) string {
	h := sha256.New()
	h.Write([]byte("mayfly key commitment v1\x00"))
	h.Write([]byte(format))
	h.Write([]byte{0})
	for _, p := range parts {
		h.Write(p)
	}
	return commitmentPrefix + hex.EncodeToString(h.Sum(nil))
}
