package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"unicode/utf8"

	"filippo.io/age"
	"filippo.io/age/armor"
)

const (
	// minPassphrase in characters.
	minPassphrase = 8
	// scrypt's work factors are powers of two. 18 is age's own, about a second;
	// what is above 22 would take 8 GiB of memory or more.
	workFactor    = 18
	maxWorkFactor = 22
	// maxIdentityFile in bytes, comments included.
	maxIdentityFile = 64 << 10
	maxIdentities   = 64
)

var (
	// ErrPassphrase is returned for a passphrase that is missing, wrong or too short.
	ErrPassphrase = errors.New("passphrase")
	// ErrIdentity is returned for what is no identity file.
	ErrIdentity = errors.New("not a moderator's identity file")
)

// Identity is a moderator's secret key. It prints, logs and marshals as its
// recipient's id alone; only Reveal gives the secret away (P8), which age's own
// identities do whenever they are printed. The zero Identity opens nothing.
type Identity struct {
	key       age.Identity
	secret    string
	recipient Recipient
}

// GenerateIdentity makes a fresh identity. A hybrid one is safe from quantum
// computers, too; its recipient has 2000 characters, and envelopes to it can be
// for 24 at most.
func GenerateIdentity(hybrid bool) (Identity, error) {
	if hybrid {
		k, err := age.GenerateHybridIdentity()
		if err != nil {
			return Identity{}, err
		}
		return newIdentity(k, k.String(), k.Recipient().String())
	}
	k, err := age.GenerateX25519Identity()
	if err != nil {
		return Identity{}, err
	}
	return newIdentity(k, k.String(), k.Recipient().String())
}

func newIdentity(key age.Identity, secret, recipient string) (Identity, error) {
	r, err := ParseRecipient(recipient)
	return Identity{key: key, secret: secret, recipient: r}, err
}

// parseIdentity reads a secret key. age's errors may quote it, so they are not
// passed on.
func parseIdentity(line string) (Identity, error) {
	malformed := fmt.Errorf("%w: the secret key is mistyped or cut off", ErrIdentity)
	switch {
	case strings.HasPrefix(line, "AGE-SECRET-KEY-1"):
		k, err := age.ParseX25519Identity(line)
		if err != nil {
			return Identity{}, malformed
		}
		return newIdentity(k, k.String(), k.Recipient().String())
	case strings.HasPrefix(line, "AGE-SECRET-KEY-PQ-1"):
		k, err := age.ParseHybridIdentity(line)
		if err != nil {
			return Identity{}, malformed
		}
		return newIdentity(k, k.String(), k.Recipient().String())
	case strings.HasPrefix(line, "AGE-PLUGIN-"):
		return Identity{}, fmt.Errorf("%w: keys of plugins are not taken", ErrIdentity)
	case strings.HasPrefix(line, "age1"):
		return Identity{}, fmt.Errorf("%w: this is a recipient, the public half; the secret one begins with AGE-SECRET-KEY-", ErrIdentity)
	}
	return Identity{}, fmt.Errorf("%w: it holds neither the armor of a locked identity nor lines that begin with AGE-SECRET-KEY-", ErrIdentity)
}

// Recipient is the public half.
func (i Identity) Recipient() Recipient { return i.recipient }

// Reveal is the secret key in the clear.
func (i Identity) Reveal() string { return i.secret }

// Unwrap implements age.Identity.
func (i Identity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if i.key == nil {
		return nil, age.ErrIncorrectIdentity
	}
	return i.key.Unwrap(stanzas)
}

func (i Identity) redacted() string { return "identity " + i.recipient.id + " [redacted]" }

// String is the redacted form.
func (i Identity) String() string { return i.redacted() }

// GoString is the redacted form, for %#v.
func (i Identity) GoString() string { return i.redacted() }

// Format prints the redacted form for every verb.
func (i Identity) Format(f fmt.State, _ rune) { fmt.Fprint(f, i.redacted()) }

// LogValue is the redacted form.
func (i Identity) LogValue() slog.Value { return slog.StringValue(i.redacted()) }

// MarshalText is the redacted form.
func (i Identity) MarshalText() ([]byte, error) { return []byte(i.redacted()), nil }

// recipientOf is the public half of an identity, if it is of a kind that shows it.
func recipientOf(id age.Identity) (Recipient, bool) {
	var r Recipient
	var err error
	switch id := id.(type) {
	case Identity:
		r = id.recipient
	case *age.X25519Identity:
		r, err = ParseRecipient(id.Recipient().String())
	case *age.HybridIdentity:
		r, err = ParseRecipient(id.Recipient().String())
	}
	return r, err == nil && r != Recipient{}
}

// LockIdentity writes an identity as a file that is encrypted with a passphrase of
// at least 8 characters: armored, and such that age -d -i takes it. It fails with
// ErrPassphrase.
func LockIdentity(id Identity, passphrase string) (string, error) {
	return lock(id, passphrase, workFactor)
}

func lock(id Identity, passphrase string, factor int) (string, error) {
	if id.key == nil {
		return "", fmt.Errorf("%w: there is no key to lock", ErrIdentity)
	}
	if n := utf8.RuneCountInString(passphrase); n == 0 {
		return "", fmt.Errorf("%w: it is empty", ErrPassphrase)
	} else if n < minPassphrase {
		return "", fmt.Errorf("%w: fewer than %d characters are soon guessed; four random words are good", ErrPassphrase, minPassphrase)
	}
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return "", fmt.Errorf("%w: age does not take it", ErrPassphrase)
	}
	to.SetWorkFactor(factor)
	var b bytes.Buffer
	a := armor.NewWriter(&b)
	w, err := age.Encrypt(a, to)
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintf(w, "# a moderator's identity of Mayfly, recipient id %s\n# public key: %s\n%s\n", id.recipient.id, id.recipient, id.secret)
	if err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	if err := a.Close(); err != nil {
		return "", err
	}
	return b.String(), nil
}

// UnlockIdentity reads an identity file and returns its identities, each an
// Identity, with their recipients. A locked one (of LockIdentity, or age -p, armored
// or not) needs its passphrase: without it, or with a wrong one, it fails with
// ErrPassphrase, upon which a tool may ask for it and call again. A file in which
// secret keys stand in the clear (of age-keygen) is taken without a passphrase; with
// one it is refused, since who gives it believes the file to be locked.
func UnlockIdentity(text, passphrase string) ([]age.Identity, []Recipient, error) {
	if len(text) > maxIdentityFile {
		return nil, nil, fmt.Errorf("%w: more than %d bytes", ErrIdentity, maxIdentityFile)
	}
	binary := strings.HasPrefix(text, "age-encryption.org/")
	if !binary && !strings.HasPrefix(strings.TrimSpace(text), armor.Header) {
		ids, recipients, err := parseIdentities(text)
		if err == nil && passphrase != "" {
			return nil, nil, fmt.Errorf("%w: the identity file is not locked, and needs none; anybody who reads the file has the key", ErrPassphrase)
		}
		return ids, recipients, err
	}
	file := []byte(text)
	if !binary {
		var err error
		if file, err = dearmor(text); err != nil {
			return nil, nil, fmt.Errorf("%w: its armor is damaged or cut off", ErrIdentity)
		}
	}
	plaintext, err := unlock(file, passphrase)
	if err != nil {
		return nil, nil, err
	}
	return parseIdentities(plaintext)
}

// unlock decrypts a file that is encrypted with a passphrase.
func unlock(file []byte, passphrase string) (string, error) {
	stanzas, _, err := split(file)
	if err != nil {
		return "", fmt.Errorf("%w: its header is damaged", ErrIdentity)
	}
	s := stanzas[0]
	if len(stanzas) != 1 || s.Type != typeScrypt || len(s.Args) != 2 {
		return "", fmt.Errorf("%w: it is encrypted, but not with a passphrase", ErrIdentity)
	}
	if factor, err := strconv.Atoi(s.Args[1]); err != nil || factor > maxWorkFactor {
		return "", fmt.Errorf("%w: its scrypt work factor is above %d", ErrIdentity, maxWorkFactor)
	}
	if passphrase == "" {
		return "", fmt.Errorf("%w: the identity file is locked with one, and none was given", ErrPassphrase)
	}
	with, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return "", fmt.Errorf("%w: age does not take it", ErrPassphrase)
	}
	with.SetMaxWorkFactor(maxWorkFactor)
	r, err := age.Decrypt(bytes.NewReader(file), with)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return "", fmt.Errorf("%w: it is wrong", ErrPassphrase)
	}
	if err != nil {
		return "", fmt.Errorf("%w: its header is damaged", ErrIdentity)
	}
	plaintext, err := io.ReadAll(r)
	if err != nil {
		return "", fmt.Errorf("%w: it is damaged or cut off", ErrIdentity)
	}
	return string(plaintext), nil
}

// parseIdentities reads secret keys, one a line, as age.ParseIdentities does.
func parseIdentities(text string) ([]age.Identity, []Recipient, error) {
	var ids []age.Identity
	var recipients []Recipient
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		id, err := parseIdentity(line)
		if err == nil && len(ids) == maxIdentities {
			err = fmt.Errorf("%w: more than %d keys", ErrIdentity, maxIdentities)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("line %d: %w", n, err)
		}
		ids = append(ids, id)
		recipients = append(recipients, id.recipient)
	}
	if len(ids) == 0 {
		return nil, nil, fmt.Errorf("%w: there is no key in it", ErrIdentity)
	}
	return ids, recipients, nil
}
