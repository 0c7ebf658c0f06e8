package stamp

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// ErrKeyring is returned for a text that is no keyring. The error names a line and never
// quotes it (P8).
var ErrKeyring = errors.New("not usable as stamp keys")

const (
	keyBytes  = 32
	keyDigits = 2 * keyBytes
	maxKeys   = 64
	// maxKeyringText in bytes, comments included.
	maxKeyringText = 1 << 20
	// idDigits of a key's SHA-256 are its id.
	idDigits = 16
	idDomain = "mayfly stamp key\n"

	redacted = "stamp keys [redacted]"
)

// Keyring is the keys that stamp and verify; Parse makes it. It prints, logs and marshals
// redacted. It may be used by many goroutines at once.
type Keyring struct {
	keys []*key // oldest first, one at least
}

type key struct {
	id string
	// secret is a function because fmt calls no methods of what stands in a field that is not
	// exported, and would print the bytes.
	secret func() [keyBytes]byte
}

func newKey(secret [keyBytes]byte) *key {
	sum := sha256.Sum256(append([]byte(idDomain), secret[:]...))
	return &key{id: hex.EncodeToString(sum[:])[:idDigits], secret: func() [keyBytes]byte { return secret }}
}

// Generate makes the text of a keyring with one fresh key: a line, with its end, so that
// it may be appended to a keyring to rotate it.
func Generate() (text string) {
	var secret [keyBytes]byte
	rand.Read(secret[:]) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(secret[:]) + "\n"
}

// Parse reads a keyring: one key a line, 64 hex digits, oldest first. The last one stamps,
// the others verify what they have stamped. Empty lines and those that begin with # are
// passed over. There are 1 to 64 keys, each once. Fails with ErrKeyring.
func Parse(text string) (*Keyring, error) {
	if len(text) > maxKeyringText {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrKeyring, maxKeyringText)
	}
	k := new(Keyring)
	lines := make(map[string]int)
	n := 0
	for line := range strings.Lines(text) {
		n++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		fail := func(problem string, args ...any) (*Keyring, error) {
			return nil, fmt.Errorf("%w: line %d: "+problem, append([]any{ErrKeyring, n}, args...)...)
		}
		var secret [keyBytes]byte
		if len(line) != keyDigits {
			return fail("%d characters, not %d hex digits; make a key with: openssl rand -hex %d", len(line), keyDigits, keyBytes)
		}
		if _, err := hex.Decode(secret[:], []byte(line)); err != nil { // err quotes a digit
			return fail("not %d hex digits; make a key with: openssl rand -hex %d", keyDigits, keyBytes)
		}
		next := newKey(secret)
		if before, twice := lines[next.id]; twice {
			return fail("the same key as in line %d", before)
		}
		if len(k.keys) == maxKeys {
			return fail("more than %d keys", maxKeys)
		}
		lines[next.id] = n
		k.keys = append(k.keys, next)
	}
	if len(k.keys) == 0 {
		return nil, fmt.Errorf("%w: line %d: the end, and no key before it; make one with: openssl rand -hex %d", ErrKeyring, n, keyBytes)
	}
	return k, nil
}

// newest is the key that stamps.
func (k *Keyring) newest() *key { return k.keys[len(k.keys)-1] }

func (k *Keyring) find(id string) *key {
	for _, one := range k.keys {
		if one.id == id {
			return one
		}
	}
	return nil
}

// Format prints the redacted form for every verb: %d or %x would otherwise show the fields.
func (k Keyring) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// String is the redacted form.
func (k Keyring) String() string { return redacted }

// GoString is the redacted form, for %#v.
func (k Keyring) GoString() string { return redacted }

// LogValue is the redacted form.
func (k Keyring) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText is the redacted form: keys never get into JSON by accident.
func (k Keyring) MarshalText() ([]byte, error) { return []byte(redacted), nil }
