package blobstore

import (
	"encoding/hex"
	"strings"
)

// A key that Mayfly makes is the id of the row that it is for, so that a sweep finds the
// row of a key, and 64 bits of its own, so that no two attempts meet:
//
//	0193b1c26d2f7b3a8f6051b0d3f0a9c4-5f3d9a2b7c81e604
//	0193b1c26d2f7b3a8f6051b0d3f0a9c4-evidence-5f3d9a2b7c81e604
//
// Keys of evidence, the copies that reports re-share, tell so by themselves: a store may
// keep them apart (package apart), and no row has to be read to know what a key is for.
const (
	ownerDigits   = 2 * 16
	attemptDigits = 2 * 8
	evidenceMark  = "evidence-"
)

// NewKey makes the key of one attempt to put the bytes of the blob with this id.
func NewKey(owner [16]byte) Key { return AttemptKey(owner, newAttempt()) }

// AttemptKey is the key of the attempt that these bits stand for.
func AttemptKey(owner [16]byte, attempt [8]byte) Key {
	return Key(hex.EncodeToString(owner[:]) + "-" + hex.EncodeToString(attempt[:]))
}

// NewEvidenceKey makes the key of one attempt to put the evidence of the report with this
// id.
func NewEvidenceKey(owner [16]byte) Key {
	attempt := newAttempt()
	return Key(hex.EncodeToString(owner[:]) + "-" + evidenceMark + hex.EncodeToString(attempt[:]))
}

// Owner is the id of the row that the key was made for; false if none of this file's
// functions made it.
func (k Key) Owner() (id [16]byte, ok bool) {
	owner, attempt, ok := strings.Cut(string(k), "-")
	if !ok || len(owner) != ownerDigits {
		return id, false
	}
	if attempt = strings.TrimPrefix(attempt, evidenceMark); len(attempt) != attemptDigits {
		return id, false
	}
	if _, err := hex.Decode(id[:], []byte(owner)); err != nil {
		return [16]byte{}, false
	}
	return id, true
}

// IsEvidence reports whether NewEvidenceKey made the key.
func (k Key) IsEvidence() bool {
	_, ok := k.Owner()
	return ok && strings.HasPrefix(string(k)[ownerDigits+1:], evidenceMark)
}
