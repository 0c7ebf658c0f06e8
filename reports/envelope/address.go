package envelope

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"filippo.io/age"
)

// The types of the stanzas in an envelope's header.
const (
	typeTo     = "mayfly-to"
	typeX25519 = "X25519"
	typeHybrid = "mlkem768x25519"
	typeScrypt = "scrypt"
)

// ErrAddress is returned for an age file that does not say rightly to whom it is
// sealed.
var ErrAddress = errors.New("the envelope is not addressed as Mayfly's are")

// UnknownRecipientError is returned for an envelope that is sealed to somebody who
// is not known here.
type UnknownRecipientError struct {
	// IDs of those recipients.
	IDs []string
}

func (e *UnknownRecipientError) Error() string {
	return "the envelope is sealed to unknown recipients (" + some(e.IDs) +
		"): ask this server for its moderators' recipients again, and seal to those"
}

// some is a few of the ids, for an error that stays readable.
func some(ids []string) string {
	if n := len(ids) - 4; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(ids[:4], ", "), n)
	}
	return strings.Join(ids, ", ")
}

// address is the first stanza of an envelope: the recipients to which the stanzas
// behind it are said to be.
type address struct {
	ids    []string
	hybrid bool
}

// Wrap implements age.Recipient. The file key does not go into the stanza.
func (a address) Wrap([]byte) ([]*age.Stanza, error) {
	return []*age.Stanza{{Type: typeTo, Args: a.ids}}, nil
}

// WrapWithLabels implements age.RecipientWithLabels. age encrypts only to
// recipients with the same labels; the address, which opens nothing, weakens none
// and takes those of the others.
func (a address) WrapWithLabels(fileKey []byte) ([]*age.Stanza, []string, error) {
	stanzas, err := a.Wrap(fileKey)
	if a.hybrid {
		return stanzas, []string{"postquantum"}, err
	}
	return stanzas, nil, err
}

// readAddress understands the stanzas of a header, or fails with ErrAddress. It
// sees to it that their number is that of the ids and that age will find nothing
// malformed in them: age gives up on a malformed stanza even if it is another
// recipient's.
func readAddress(stanzas []*age.Stanza) (address, error) {
	fail := func(format string, args ...any) (address, error) {
		return address{}, fmt.Errorf("%w: "+format, append([]any{ErrAddress}, args...)...)
	}
	first, others := stanzas[0], stanzas[1:]
	isTo := func(s *age.Stanza) bool { return s.Type == typeTo }
	switch {
	case !slices.ContainsFunc(stanzas, isTo):
		return fail("it has no %s stanza. A plain age file has none, even if it is encrypted to the moderators: seal with mayfly report, or write the stanza", typeTo)
	case !isTo(first):
		return fail("its %s stanza is not the first", typeTo)
	case slices.ContainsFunc(others, isTo):
		return fail("it has two %s stanzas", typeTo)
	case len(first.Body) != 0:
		return fail("its %s stanza has a body", typeTo)
	case len(first.Args) == 0:
		return fail("its %s stanza names nobody", typeTo)
	case len(first.Args) > maxRecipients:
		return fail("its %s stanza names %d recipients, more than %d", typeTo, len(first.Args), maxRecipients)
	case len(first.Args) != len(others):
		return fail("its %s stanza names %d recipients, and it is sealed to %d", typeTo, len(first.Args), len(others))
	}
	a := address{ids: first.Args, hybrid: others[0].Type == typeHybrid}
	for i, id := range a.ids {
		if !isID(id) {
			return fail("what its %s stanza names are not all ids of recipients (%d lower-case hex digits)", typeTo, idDigits)
		}
		if slices.Contains(a.ids[:i], id) {
			return fail("its %s stanza names %s twice", typeTo, id)
		}
	}
	for _, s := range others {
		switch {
		case s.Type != typeX25519 && s.Type != typeHybrid:
			return fail("it has a stanza that is neither %s nor %s", typeX25519, typeHybrid)
		case (s.Type == typeHybrid) != a.hybrid:
			return fail("it mixes %s and %s stanzas", typeX25519, typeHybrid)
		case !wellFormed(s):
			return fail("it has a malformed %s stanza", s.Type)
		}
	}
	return a, nil
}

// wellFormed tells whether a stanza has the sizes that its type prescribes
// (C2SP age.md): one argument, the encapsulated key, and a wrapped file key.
func wellFormed(s *age.Stanza) bool {
	enc := 32 // an X25519 point
	if s.Type == typeHybrid {
		enc = 1088 + 32 // and before it a ciphertext of ML-KEM-768
	}
	if len(s.Args) != 1 || len(s.Body) != 16+16 {
		return false
	}
	// The one unpadded way to write it. An argument has no line breaks, over which
	// Go's decoder would pass.
	raw, err := base64.RawStdEncoding.Strict().DecodeString(s.Args[0])
	return err == nil && len(raw) == enc
}

// among checks that all who are named are known, and that each has a stanza of the
// right type.
func (a address) among(known []Recipient) error {
	byID := make(map[string]Recipient, len(known))
	for _, r := range known {
		byID[r.id] = r
	}
	var unknown []string
	for _, id := range a.ids {
		if _, ok := byID[id]; !ok {
			unknown = append(unknown, id)
		}
	}
	if unknown != nil {
		return &UnknownRecipientError{IDs: unknown}
	}
	for _, id := range a.ids {
		if byID[id].hybrid != a.hybrid {
			return fmt.Errorf("%w: the stanza for recipient %s is of the other kind of key", ErrAddress, id)
		}
	}
	return nil
}
