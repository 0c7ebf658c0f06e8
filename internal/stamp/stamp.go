package stamp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
)

// Upload is what a stamp is about.
type Upload struct {
	Blob   uuid.UUID
	SHA256 blobstore.Digest
	Size   int64 // in bytes
	// KeyCommitment and Context are the sender's own; empty if there are none.
	KeyCommitment, Context string
	// StoredAt is when the bytes were stored; what is below a microsecond is left out.
	StoredAt time.Time
}

// Verdict is what a stamp says of an upload.
type Verdict string

// The verdicts.
const (
	Valid      Verdict = "valid"       // it is what was uploaded
	Invalid    Verdict = "invalid"     // it is not, or this is no stamp
	UnknownKey Verdict = "unknown_key" // nobody can tell: its key is not in the keyring
	None       Verdict = "none"        // there is no stamp
)

const (
	version = "v1."
	domain  = "mayfly upload stamp v1\n"
)

// encoding of a mac: strict, so that no two texts are the same stamp.
var encoding = base64.RawURLEncoding.Strict()

// Stamp is the newest key's.
func (k *Keyring) Stamp(u Upload) string {
	newest := k.newest()
	mac := newest.mac(u)
	text := make([]byte, 0, 64) // 63
	text = append(text, version...)
	text = append(text, newest.id...)
	text = append(text, '.')
	return string(encoding.AppendEncode(text, mac[:]))
}

// Verify says what a stamp is worth. It takes the same time for all macs.
func (k *Keyring) Verify(u Upload, stamp string) Verdict {
	if stamp == "" {
		return None
	}
	id, mac, ok := parse(stamp)
	if !ok {
		return Invalid
	}
	by := k.find(id)
	if by == nil {
		return UnknownKey
	}
	if want := by.mac(u); !hmac.Equal(mac[:], want[:]) {
		return Invalid
	}
	return Valid
}

// parse takes a stamp apart.
func parse(stamp string) (id string, mac [sha256.Size]byte, ok bool) {
	rest, ok := strings.CutPrefix(stamp, version)
	if !ok {
		return "", mac, false
	}
	id, text, ok := strings.Cut(rest, ".")
	// The decoder passes over line breaks; with the lengths of text and mac given there is
	// no room for one.
	if !ok || len(id) != idDigits || strings.Trim(id, "0123456789abcdef") != "" || len(text) != encoding.EncodedLen(len(mac)) {
		return "", mac, false
	}
	n, err := encoding.Decode(mac[:], []byte(text))
	return id, mac, err == nil && n == len(mac)
}

// mac is over all that an upload says. Every field has its length before it, so that no two
// uploads are stamped alike.
func (k *key) mac(u Upload) (sum [sha256.Size]byte) {
	text := make([]byte, 0, 512) // room for the usual ones without an allocation
	text = append(text, domain...)
	text = field(text, u.Blob[:])
	text = field(text, u.SHA256[:])
	text = number(text, u.Size)
	text = field(text, u.KeyCommitment)
	text = field(text, u.Context)
	text = number(text, u.StoredAt.UnixMicro())
	secret := k.secret()
	h := hmac.New(sha256.New, secret[:])
	h.Write(text)
	h.Sum(sum[:0])
	return sum
}

func field[T string | []byte](text []byte, value T) []byte {
	text = binary.BigEndian.AppendUint32(text, uint32(len(value)))
	return append(text, value...)
}

func number(text []byte, n int64) []byte {
	text = binary.BigEndian.AppendUint32(text, 8)
	return binary.BigEndian.AppendUint64(text, uint64(n))
}
