package expiry

import (
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"mayfly/blobstore"
)

// statementVersion is the version of the statements that this Mayfly makes and
// understands. A new field is no new version; a field that changes its meaning is.
const statementVersion = 1

const (
	// maxName bounds a reason, a policy and a tenant, in bytes.
	maxName = 256
	// maxSkew is how far the clocks of two replicas may be apart: one stored the
	// blob, another erased it.
	maxSkew = time.Minute
)

// Receipt is the statement that a blob was erased. It is signed by a Signer and
// read by Keyring.Verify; internal/docs/receipts.md describes it to others. It has
// no object keys: they are nobody's business outside.
type Receipt struct {
	// Version of the statement. Sign sets it.
	Version int `json:"version"`
	// Blob is the blob's id.
	Blob uuid.UUID `json:"blob"`
	// SHA256 of the bytes; nil for a blob whose bytes never arrived.
	SHA256 *blobstore.Digest `json:"sha256,omitempty"`
	// Size in bytes, as announced.
	Size int64 `json:"size"`
	// Reason and Policy as the tombstone has them.
	Reason string `json:"reason"`
	Policy string `json:"policy"`
	// StoredAt is when the bytes had arrived; zero if they never did.
	StoredAt time.Time `json:"stored_at,omitzero"`
	// DueAt is when the blob was to be erased.
	DueAt time.Time `json:"due_at"`
	// ErasedAt is when the blob store had acknowledged the deletion.
	ErasedAt time.Time `json:"erased_at"`
	// VerifiedAbsentAt is when, after that, the store was asked and had nothing under
	// any key of the blob.
	VerifiedAbsentAt time.Time `json:"verified_absent_at"`
	// VersionsRemoved counts objects, versions and delete markers that were removed
	// by the pass that made the receipt: 0 if one that was interrupted had removed
	// them before. Nil if the store does not say (blobstore.CountingDeleter).
	VersionsRemoved *int64 `json:"versions_removed,omitempty"`
}

// normal is the receipt as it is signed.
func (r Receipt) normal() Receipt {
	r.Version = statementVersion
	for _, at := range []*time.Time{&r.StoredAt, &r.DueAt, &r.ErasedAt, &r.VerifiedAbsentAt} {
		*at = at.UTC().Truncate(time.Microsecond)
	}
	return r
}

// check is nil if the receipt can be true. It is asked before signing as well as
// after verifying: a signature under nonsense would devalue all others.
func (r Receipt) check() error {
	switch {
	case r.Blob == uuid.UUID{}:
		return errors.New("it names no blob")
	case r.Size < 0:
		return fmt.Errorf("the size is %d", r.Size)
	case r.DueAt.IsZero() || r.ErasedAt.IsZero() || r.VerifiedAbsentAt.IsZero():
		return errors.New("due_at, erased_at and verified_absent_at are not all there")
	case (r.SHA256 == nil) != r.StoredAt.IsZero():
		return errors.New("sha256 and stored_at belong together: bytes that arrived have both")
	case r.ErasedAt.Before(r.DueAt):
		return errors.New("erased before it was due") // P4
	case r.VerifiedAbsentAt.Before(r.ErasedAt):
		return errors.New("verified to be absent before it was erased")
	case r.StoredAt.After(r.VerifiedAbsentAt.Add(maxSkew)):
		return errors.New("stored after it was verified to be absent")
	case r.VersionsRemoved != nil && *r.VersionsRemoved < 0:
		return fmt.Errorf("%d versions removed", *r.VersionsRemoved)
	}
	return errors.Join(
		checkName("reason", r.Reason), checkName("policy", r.Policy),
		checkUTC("stored_at", r.StoredAt), checkUTC("due_at", r.DueAt),
		checkUTC("erased_at", r.ErasedAt), checkUTC("verified_absent_at", r.VerifiedAbsentAt))
}

// checkName is nil for a text that a terminal can print on one line.
func checkName(field, name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("%s has %d bytes, not 1 to %d", field, len(name), maxName)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("%s is not UTF-8", field)
	}
	for _, c := range name {
		if !unicode.IsPrint(c) {
			return fmt.Errorf("%s has a character that cannot be printed", field)
		}
	}
	return nil
}

func checkUTC(field string, at time.Time) error {
	if _, offset := at.Zone(); offset != 0 {
		return fmt.Errorf("%s is not in UTC", field)
	}
	return nil
}
