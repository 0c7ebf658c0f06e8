package envelope

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

const (
	maxRecipients = 64
	// maxHybrid of the recipients: their stanzas are large, and with more of them
	// an envelope would not fit into MaxBytes.
	maxHybrid = 24
	// maxRecipientsFile in bytes, comments included.
	maxRecipientsFile = 1 << 20
	// idDigits of a recipient's SHA-256 are its id.
	idDigits = 16
)

// ErrRecipient is returned for what is no recipient that an envelope can be sealed
// to, or for recipients that cannot stand in one envelope.
var ErrRecipient = errors.New("unusable recipient")

// Recipient is one moderator's public key. It is comparable; the zero Recipient is
// none.
type Recipient struct {
	text   string
	id     string
	hybrid bool
}

// ParseRecipient reads an age recipient, X25519 (age1…) or hybrid (age1pq1…), or
// fails with ErrRecipient. The error does not quote it: it could be a secret key
// that was pasted into the wrong place.
func ParseRecipient(text string) (Recipient, error) {
	r := Recipient{text: text, id: idOf(text), hybrid: strings.HasPrefix(text, "age1pq1")}
	parsed, err := r.key()
	switch {
	case strings.HasPrefix(text, "AGE-SECRET-KEY-"), strings.HasPrefix(text, "AGE-PLUGIN-"):
		return Recipient{}, fmt.Errorf("%w: this is a secret key; its recipient is the public key that begins with age1", ErrRecipient)
	case strings.HasPrefix(text, "ssh-"), strings.HasPrefix(text, "ecdsa-"):
		return Recipient{}, fmt.Errorf("%w: SSH keys are not taken, only age's own, which begin with age1", ErrRecipient)
	case !strings.HasPrefix(text, "age1"):
		return Recipient{}, fmt.Errorf("%w: it does not begin with age1", ErrRecipient)
	case !r.hybrid && strings.Contains(text[len("age1"):], "1"):
		// No 1 is a digit of bech32: what stands before the last one is the kind.
		return Recipient{}, fmt.Errorf("%w: recipients of plugins are not taken, only age1… and age1pq1…", ErrRecipient)
	case err != nil, parsed.String() != text:
		return Recipient{}, fmt.Errorf("%w: mistyped or cut off", ErrRecipient)
	}
	return r, nil
}

func idOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:idDigits]
}

// key is the recipient as age knows it.
func (r Recipient) key() (interface {
	age.Recipient
	fmt.Stringer
}, error) {
	if r.hybrid {
		return age.ParseHybridRecipient(r.text)
	}
	return age.ParseX25519Recipient(r.text)
}

// String is age's text of the recipient.
func (r Recipient) String() string { return r.text }

// ID is the first 16 hex digits of the SHA-256 of the text.
func (r Recipient) ID() string { return r.id }

// ParseRecipients reads recipients, one a line; empty lines and those that begin
// with # are passed over. They are 1 to 64 (24 if hybrid), each once, and all of
// one kind: an envelope can be sealed to all of them. It fails with ErrRecipient
// and the number of the line.
func ParseRecipients(r io.Reader) ([]Recipient, error) {
	var list []Recipient
	limited := &io.LimitedReader{R: r, N: maxRecipientsFile + 1}
	lines := bufio.NewScanner(limited)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		recipient, err := ParseRecipient(line)
		if err == nil {
			err = joins(recipient, list)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		list = append(list, recipient)
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("line %d: %w: the line is too long", n+1, ErrRecipient)
	case err != nil:
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	case limited.N == 0:
		return nil, fmt.Errorf("line %d: %w: more than %d bytes of recipients", n, ErrRecipient, maxRecipientsFile)
	case len(list) == 0:
		return nil, fmt.Errorf("line %d: %w: the end, and no recipient before it", n, ErrRecipient)
	}
	return list, nil
}

// joins refuses a recipient that cannot stand in one envelope with the list.
func joins(r Recipient, list []Recipient) error {
	if r == (Recipient{}) {
		return fmt.Errorf("%w: it is empty", ErrRecipient)
	}
	for _, other := range list {
		if other.id == r.id {
			return fmt.Errorf("%w: %s is there twice", ErrRecipient, r.id)
		}
		if other.hybrid != r.hybrid {
			return fmt.Errorf("%w: hybrid (age1pq1…) and X25519 (age1…) recipients cannot be mixed, "+
				"for then a quantum computer could read what the hybrid ones protect: give all moderators keys of one kind", ErrRecipient)
		}
	}
	if r.hybrid && len(list) >= maxHybrid {
		return fmt.Errorf("%w: more than %d hybrid ones, with which no envelope would fit into %d bytes", ErrRecipient, maxHybrid, MaxBytes)
	}
	if len(list) >= maxRecipients {
		return fmt.Errorf("%w: more than %d", ErrRecipient, maxRecipients)
	}
	return nil
}

// isID tells whether s is written as an id.
func isID(s string) bool {
	return len(s) == idDigits && strings.Trim(s, "0123456789abcdef") == ""
}
