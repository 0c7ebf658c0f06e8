package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"
)

// ErrNotForUs is returned for an envelope that none of the identities opens.
var ErrNotForUs = errors.New("the envelope is not sealed to this identity")

// Open decrypts an envelope with one of the identities that fits. It fails with
// ErrNotForUs if none does, with ErrContents if what is inside is no sealed key or
// was changed since, and as Inspect does for what is no envelope. Whether the
// contents are those of the report at hand, BoundTo tells.
func Open(armored string, ids ...age.Identity) (Contents, error) {
	file, to, err := read(armored)
	if err != nil {
		return Contents{}, err
	}
	if len(ids) == 0 {
		return Contents{}, fmt.Errorf("%w: there is no identity to open it with", ErrNotForUs)
	}
	r, err := age.Decrypt(bytes.NewReader(file), ids...)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return Contents{}, to.missed(ids)
	}
	// age's errors may quote, so they are not passed on.
	if err != nil {
		return Contents{}, fmt.Errorf("%w: the envelope was changed since it was sealed, or badly sealed", ErrContents)
	}
	data, err := io.ReadAll(io.LimitReader(r, maxContents+1))
	switch {
	case err != nil:
		return Contents{}, fmt.Errorf("%w: the envelope was changed since it was sealed, or is cut off", ErrContents)
	case len(data) > maxContents:
		return Contents{}, fmt.Errorf("%w: more than %d bytes", ErrContents, maxContents)
	}
	return decodeContents(data)
}

// missed says why no identity fits: an envelope for others, or one by a client
// that sealed to others than it named.
func (a address) missed(ids []age.Identity) error {
	for _, id := range ids {
		if r, ok := recipientOf(id); ok && slices.Contains(a.ids, r.id) {
			return fmt.Errorf("%w, although it names %s: the reporter's client sealed it wrongly", ErrNotForUs, r.id)
		}
	}
	return fmt.Errorf("%w, but to %s", ErrNotForUs, some(a.ids))
}
