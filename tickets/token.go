package tickets

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math/big"
	"strings"

	"github.com/google/uuid"
)

// ErrToken is returned for a token that is mistyped, cut off or of another kind.
// Its CRC tells that offline: such a token was never issued.
var ErrToken = errors.New("malformed token")

// Kind is the prefix of a token and says what it opens.
type Kind string

// The kinds of token, by their prefix, so that secret scanners know them.
const (
	KindKey    Kind = "mfk_" // an API key
	KindGrant  Kind = "mfu_" // an upload grant
	KindTicket Kind = "mft_" // a ticket
	KindReport Kind = "mfr_" // a report handle
)

// A token is its kind and 70 base62 digits: id (16 bytes), secret (32 bytes) and
// the CRC-32 (IEEE) of kind, id and secret (4 bytes), as one big-endian number.
const (
	tokenBytes  = 16 + 32 + 4
	tokenDigits = 70
)

// Token is a bearer secret. It prints, logs and marshals as its kind alone; only
// Reveal gives the secret away (P8). The zero Token is no token.
type Token struct {
	kind   Kind
	id     uuid.UUID
	secret *hidden
	_      [0]func() // == would compare pointers: Equal compares tokens
}

// hidden keeps a secret out of what is printed. Of a Token in a field that is not exported
// package fmt asks no method, and prints what it holds: behind one pointer for verbs that
// do not fit, behind two never more than an address.
type hidden struct{ bytes *[32]byte }

func hide(secret [32]byte) *hidden { return &hidden{&secret} }

// Hash is the SHA-256 of a token or claim key: what is stored of it.
type Hash [sha256.Size]byte

// NewToken makes a token with a fresh 256-bit secret for the row with this id.
func NewToken(kind Kind, id uuid.UUID) Token {
	var secret [32]byte
	rand.Read(secret[:]) // never fails: crypto/rand ends the program instead
	return Token{kind: kind, id: id, secret: hide(secret)}
}

// ParseToken reads a token of the wanted kind, or fails with ErrToken. The error
// never quotes the input.
func ParseToken(kind Kind, s string) (Token, error) {
	digits, ok := strings.CutPrefix(s, string(kind))
	if !ok {
		return Token{}, fmt.Errorf("%w: it does not begin with %s", ErrToken, kind)
	}
	if len(digits) != tokenDigits {
		return Token{}, fmt.Errorf("%w: %d characters behind %s, not %d", ErrToken, len(digits), kind, tokenDigits)
	}
	number, ok := parseBase62(digits)
	if !ok {
		return Token{}, fmt.Errorf("%w: a character that no token has, or its checksum is wrong", ErrToken)
	}
	raw, ok := number.bytes()
	if !ok {
		return Token{}, fmt.Errorf("%w: its checksum is wrong", ErrToken)
	}
	t := Token{kind: kind, id: uuid.UUID(raw[:16]), secret: hide([32]byte(raw[16:48]))}
	if binary.BigEndian.Uint32(raw[48:]) != t.checksum() {
		return Token{}, fmt.Errorf("%w: its checksum is wrong", ErrToken)
	}
	return t, nil
}

func (t Token) checksum() uint32 {
	sum := crc32.ChecksumIEEE([]byte(t.kind))
	sum = crc32.Update(sum, crc32.IEEETable, t.id[:])
	return crc32.Update(sum, crc32.IEEETable, t.secretBytes())
}

// IsZero reports whether this is no token.
func (t Token) IsZero() bool { return t.secret == nil }

// Equal reports whether both are the same token, in constant time.
func (t Token) Equal(other Token) bool {
	return t.kind == other.kind && t.id == other.id && subtle.ConstantTimeCompare(t.secretBytes(), other.secretBytes()) == 1
}

// ID is the row that the token is for. It is no secret.
func (t Token) ID() uuid.UUID { return t.id }

// Derive makes a token for the row with this id out of this one's secret and a salt:
// whoever has both can make it again, and it tells nothing of this one.
func (t Token) Derive(kind Kind, id uuid.UUID, salt []byte) Token {
	mac := hmac.New(sha256.New, t.secretBytes())
	mac.Write([]byte(kind))
	mac.Write(id[:])
	mac.Write(salt)
	return Token{kind: kind, id: id, secret: hide([32]byte(mac.Sum(nil)))}
}

// Hash is what is stored of the token.
func (t Token) Hash() Hash {
	raw := make([]byte, 0, 64)
	raw = append(raw, t.kind...)
	raw = append(raw, t.id[:]...)
	return sha256.Sum256(append(raw, t.secretBytes()...))
}

// Reveal is the token in the clear, for the one answer that hands it out.
func (t Token) Reveal() string {
	var raw [tokenBytes]byte
	copy(raw[:16], t.id[:])
	copy(raw[16:48], t.secretBytes())
	binary.BigEndian.PutUint32(raw[48:], t.checksum())
	digits := new(big.Int).SetBytes(raw[:]).Text(62)
	return string(t.kind) + strings.Repeat("0", tokenDigits-len(digits)) + digits
}

// secretBytes are zeros for the zero Token.
func (t Token) secretBytes() []byte {
	if t.secret == nil {
		return make([]byte, 32)
	}
	return t.secret.bytes[:]
}

func (t Token) redacted() string { return string(t.kind) + "[redacted]" }

// String is the redacted form.
func (t Token) String() string { return t.redacted() }

// GoString is the redacted form, for %#v.
func (t Token) GoString() string { return t.redacted() }

// Format prints the redacted form for every verb: %d or %x would otherwise show
// the fields.
func (t Token) Format(f fmt.State, _ rune) { fmt.Fprint(f, t.redacted()) }

// LogValue is the redacted form.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.redacted()) }

// MarshalText is the redacted form: a token never gets into JSON by accident.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.redacted()), nil }
