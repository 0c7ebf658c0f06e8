package expiry

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"mayfly/blobstore"
)

// ErrKeys is returned for a file of keys that cannot be used. The error never
// quotes what is in it (P8).
var ErrKeys = errors.New("not usable as erasure keys")

// The kinds of PEM blocks.
const (
	pemPrivate   = "PRIVATE KEY" // PKCS#8
	pemPublic    = "PUBLIC KEY"  // SPKI
	pemEncrypted = "ENCRYPTED PRIVATE KEY"
)

// maxKeyFile in bytes; a key has about 120.
const maxKeyFile = 1 << 20

const howToMake = "make one with: openssl genpkey -algorithm ed25519"

// Signer signs statements with its newest key. It prints and logs as the id of
// that key, never as the key (P8). It may be used by many goroutines at once.
type Signer struct {
	key  ed25519.PrivateKey
	id   string // of key; it is in each envelope
	keys Keyring
}

// GenerateKey makes a key and gives it as NewSigner takes it.
func GenerateKey() ([]byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}), nil
}

// NewSigner reads one or more keys, oldest first. The last PRIVATE KEY signs; the
// others, and keys of which only the PUBLIC KEY is left, verify what they have
// signed. It fails with ErrKeys.
func NewSigner(file []byte) (*Signer, error) {
	blocks, err := pemBlocks(file)
	if err != nil {
		return nil, err
	}
	s := new(Signer)
	for i, b := range blocks {
		public, err := s.read(b)
		if err == nil {
			s.keys, err = s.keys.with(Key{Public: public})
		}
		if err != nil {
			return nil, fmt.Errorf("%w: key %d: %w", ErrKeys, i+1, err)
		}
	}
	if s.key == nil {
		return nil, fmt.Errorf("%w: no %s among them; %s", ErrKeys, pemPrivate, howToMake)
	}
	s.id = publicOf(s.key).ID()
	return s, nil
}

// read takes one key; a private one is from now on the one that signs.
func (s *Signer) read(b *pem.Block) (ed25519.PublicKey, error) {
	switch b.Type {
	case pemPublic:
		return parsePublic(b)
	case pemPrivate:
		parsed, err := x509.ParsePKCS8PrivateKey(b.Bytes)
		if err != nil {
			return nil, errors.New("damaged; " + howToMake) // the error could tell of the key
		}
		key, ok := parsed.(ed25519.PrivateKey)
		if !ok {
			return nil, errors.New("not an Ed25519 key; " + howToMake)
		}
		s.key = key
		return publicOf(key).Public, nil
	case pemEncrypted:
		return nil, errors.New("it has a passphrase, which nobody types at a start; take it off with: openssl pkey")
	}
	return nil, fmt.Errorf("%.40q, not a %s; %s", b.Type, pemPrivate, howToMake)
}

// KeyID is the id of the key that signs.
func (s *Signer) KeyID() string { return s.id }

// Keyring are the public keys, for all to have. None has a time: the file of the
// keys has no room for it.
func (s *Signer) Keyring() Keyring { return slices.Clone(s.keys) }

// Sign signs receipts together, with one signature for all of them, and gives of each the
// proof of which Envelope makes what is served. The same receipts and key give the same
// bytes. A receipt that Verify would refuse is not signed: its proof is nil, and err says
// why (ErrStatement); the others are signed all the same.
func (s *Signer) Sign(receipts ...Receipt) (proofs [][]byte, err error) {
	leaves, kept := make([]blobstore.Digest, 0, len(receipts)), make([]Receipt, 0, len(receipts))
	places := make([]int, 0, len(receipts)) // of what is kept
	leaf := append(make([]byte, 0, receiptRoom), leafPrefix)
	var errs []error
	for i, r := range receipts {
		r = r.normal()
		if leaf, err = r.appendLeaf(leaf[:1]); err != nil {
			errs = append(errs, fmt.Errorf("%w: receipt of blob %s: %w", ErrStatement, r.Blob, err))
			continue
		}
		leaves, kept, places = append(leaves, leafHash(leaf)), append(kept, r), append(places, i)
	}
	proofs = make([][]byte, len(receipts))
	if len(kept) == 0 {
		return proofs, errors.Join(errs...)
	}
	paths := make([][]blobstore.Digest, len(kept))
	root := plant(leaves, paths)
	message := pae(TreeType, appendTree(nil, len(kept), root))
	if len(kept) == 1 {
		leaf, _ = kept[0].appendLeaf(leaf[:1]) // as it was above
		message = pae(ReceiptType, leaf[1:])
	}
	p := proof{size: len(kept)}
	copy(p.signature[:], ed25519.Sign(s.key, message))
	hex.Decode(p.keyID[:], []byte(s.id)) // of hex digits
	for i, r := range kept {
		p.due, p.erased, p.absent, p.versions = r.DueAt, r.ErasedAt, r.VerifiedAbsentAt, r.VersionsRemoved
		p.index, p.path = i, paths[i]
		proofs[places[i]] = p.bytes()
	}
	return proofs, errors.Join(errs...)
}

// SignSummary makes the envelope of a summary. One that Verify would refuse is not signed:
// ErrStatement.
func (s *Signer) SignSummary(m Summary) ([]byte, error) {
	m = m.normal()
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%w: summary of %s: %w", ErrStatement, m.Month, err)
	}
	payload, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	sig := ed25519.Sign(s.key, pae(SummaryType, payload))
	return append(appendSigned(nil, SummaryType, payload, s.id, sig), '}'), nil
}

// Format prints the id of the key that signs, for every verb.
func (s Signer) Format(f fmt.State, _ rune) { fmt.Fprint(f, "erasure key ", s.KeyID()) }

// LogValue is the id of the key that signs.
func (s Signer) LogValue() slog.Value { return slog.StringValue(s.KeyID()) }

func publicOf(key ed25519.PrivateKey) Key {
	public, _ := key.Public().(ed25519.PublicKey)
	return Key{Public: public}
}

func parsePublic(b *pem.Block) (ed25519.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(b.Bytes)
	if err != nil {
		return nil, errors.New("damaged")
	}
	public, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("not an Ed25519 key")
	}
	return public, nil
}

// pemBlocks are all blocks of a file. encoding/pem passes over a damaged one: of a
// signer's keys the last but one would sign, and nobody would notice.
func pemBlocks(file []byte) ([]*pem.Block, error) {
	if len(file) > maxKeyFile {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrKeys, maxKeyFile)
	}
	var blocks []*pem.Block
	for rest := file; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		blocks = append(blocks, b)
	}
	if n := bytes.Count(file, []byte("-----BEGIN")); n != len(blocks) {
		return nil, fmt.Errorf("%w: of %d PEM blocks %d can be read; the rest is damaged", ErrKeys, n, len(blocks))
	}
	return blocks, nil
}
