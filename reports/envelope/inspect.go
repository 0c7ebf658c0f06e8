package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
)

var (
	// ErrTooLarge is returned for an envelope of more than MaxBytes, or in which
	// more is sealed than a key.
	ErrTooLarge = errors.New("the envelope is too large")
	// ErrNotAge is returned for what is not one whole armored age file that is
	// encrypted to recipients.
	ErrNotAge = errors.New("not an armored age file")
)

// age's STREAM (age-encryption.org/v1): behind the header a nonce, then the
// plaintext in chunks of 64 KiB, each with a tag. Contents are one chunk.
const (
	ageNonce = 16
	ageTag   = 16
)

// Inspect checks an envelope from the outside, without being able to open it, and
// returns the ids of the recipients to which it says that it is sealed: one or
// more, all of them known. It fails with ErrTooLarge, ErrNotAge, ErrAddress or an
// *UnknownRecipientError. Memory and time are bounded by MaxBytes.
func Inspect(armored string, known []Recipient) ([]string, error) {
	_, to, err := read(armored)
	if err != nil {
		return nil, err
	}
	if err := to.among(known); err != nil {
		return nil, err
	}
	return to.ids, nil
}

// read takes an envelope apart, as far as that goes without a key: the binary age
// file and its address.
func read(armored string) (file []byte, to address, err error) {
	if len(armored) > MaxBytes {
		return nil, address{}, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, MaxBytes)
	}
	file, err = dearmor(armored)
	if err != nil {
		return nil, address{}, err
	}
	stanzas, payload, err := split(file)
	if err != nil {
		return nil, address{}, err
	}
	if slices.ContainsFunc(stanzas, func(s *age.Stanza) bool { return s.Type == typeScrypt }) {
		return nil, address{}, fmt.Errorf("%w to recipients: it is encrypted with a passphrase", ErrNotAge)
	}
	if to, err = readAddress(stanzas); err != nil {
		return nil, address{}, err
	}
	if n := payload - ageNonce - ageTag; n < minContents {
		return nil, address{}, fmt.Errorf("%w that is whole: it is cut off behind its header, or nothing is in it", ErrNotAge)
	} else if n > maxContents {
		return nil, address{}, fmt.Errorf("%w: more than %d bytes are sealed in it", ErrTooLarge, maxContents)
	}
	return file, to, nil
}

// dearmor gives the binary age file. Like age it passes over white space around
// the armor. age's errors quote the text, so they are not passed on.
func dearmor(armored string) ([]byte, error) {
	switch {
	case strings.TrimSpace(armored) == "":
		return nil, fmt.Errorf("%w: it is empty", ErrNotAge)
	case strings.HasPrefix(armored, "age-encryption.org/"):
		return nil, fmt.Errorf("%w: it is a binary one, encrypt with armor", ErrNotAge)
	case !strings.HasPrefix(strings.TrimSpace(armored), armor.Header):
		return nil, fmt.Errorf("%w: it does not begin with %s", ErrNotAge, armor.Header)
	}
	file, err := io.ReadAll(armor.NewReader(strings.NewReader(armored)))
	if err != nil {
		return nil, fmt.Errorf("%w: its armor is damaged, cut off, or something follows it", ErrNotAge)
	}
	return file, nil
}

// split is the stanzas in the header of a binary age file, one at least, and the
// length of what follows the header. age's errors quote the header, so they are
// not passed on.
func split(file []byte) (stanzas []*age.Stanza, payload int, err error) {
	header, err := age.ExtractHeader(bytes.NewReader(file))
	if err != nil {
		return nil, 0, fmt.Errorf("%w: its header is malformed or cut off", ErrNotAge)
	}
	var seen witness
	_, err = age.DecryptHeader(header, &seen)
	// age writes a header in one way and reads no other, so that what it gives back
	// is what stood there, byte for byte; if that ever changes, the length of the
	// payload is not known.
	if !errors.Is(err, age.ErrIncorrectIdentity) || len(seen.stanzas) == 0 || !bytes.HasPrefix(file, header) {
		return nil, 0, fmt.Errorf("%w: its header is malformed", ErrNotAge)
	}
	return seen.stanzas, len(file) - len(header), nil
}

// witness is an age.Identity that opens nothing and remembers the stanzas. age has
// no other way to show them.
type witness struct{ stanzas []*age.Stanza }

// Unwrap implements age.Identity.
func (w *witness) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	w.stanzas = stanzas
	return nil, age.ErrIncorrectIdentity
}
