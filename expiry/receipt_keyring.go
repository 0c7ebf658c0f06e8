package expiry

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// keyIDLength in hex digits.
const keyIDLength = 16

// Key is a public key that verifies statements.
type Key struct {
	Public ed25519.PublicKey
	// From and Until bound the times of the statements that the key is believed for:
	// From <= Verified.At() < Until, in whole seconds. Zero is no bound.
	From, Until time.Time
}

// ID is the first 16 hex digits of the SHA-256 of the key's 32 bytes.
func (k Key) ID() string {
	sum := sha256.Sum256(k.Public)
	return hex.EncodeToString(sum[:])[:keyIDLength]
}

func (k Key) covers(at time.Time) bool {
	return !at.Before(k.From) && (k.Until.IsZero() || at.Before(k.Until))
}

// Keyring are the keys that are believed, oldest first. A key stays in it after
// its rotation, or its receipts would verify no longer.
type Keyring []Key

// String lists the ids.
func (k Keyring) String() string {
	ids := make([]string, len(k))
	for i, key := range k {
		ids[i] = key.ID()
	}
	return strings.Join(ids, ", ")
}

func (k Keyring) find(id string) (Key, bool) {
	i := slices.IndexFunc(k, func(key Key) bool {
		return len(key.Public) == ed25519.PublicKeySize && key.ID() == id // of another size crypto/ed25519 panics
	})
	if i < 0 {
		return Key{}, false
	}
	return k[i], true
}

// with is the keyring with one more key. A key that it has already must be the
// same: of two with one id only the first would ever be tried.
func (k Keyring) with(key Key) (Keyring, error) {
	known, ok := k.find(key.ID())
	if !ok {
		return append(k, key), nil
	}
	if !known.Public.Equal(key.Public) || !known.From.Equal(key.From) || !known.Until.Equal(key.Until) {
		return nil, fmt.Errorf("another key, or other times, for id %s", key.ID())
	}
	return k, nil
}

// jwks is RFC 7517 with the keys of RFC 8037.
type jwks struct {
	Keys []json.RawMessage `json:"keys"`
}

type jwk struct {
	KeyType string `json:"kty"`
	Curve   string `json:"crv,omitempty"`
	X       string `json:"x,omitempty"`
	KeyID   string `json:"kid,omitempty"`
	Use     string `json:"use,omitempty"`
	Alg     string `json:"alg,omitempty"`
	// NotBefore and Expires are seconds since 1970, as OpenID Federation 1.0 has them
	// for keys of the past.
	NotBefore int64 `json:"nbf,omitempty"`
	Expires   int64 `json:"exp,omitempty"`
}

// ParseKeyring reads public keys: PUBLIC KEY blocks of PEM, or a JWKS. It fails
// with ErrKeys if there are none, and never takes private ones: they are not to be
// handed around.
func ParseKeyring(file []byte) (Keyring, error) {
	var k Keyring
	var err error
	if bytes.HasPrefix(bytes.TrimSpace(file), []byte("{")) {
		k, err = parseJWKS(file)
	} else {
		k, err = parsePEM(file)
	}
	if err != nil {
		return nil, err
	}
	if len(k) == 0 {
		return nil, fmt.Errorf("%w: no Ed25519 key in it, neither as PEM (PUBLIC KEY) nor as JWKS", ErrKeys)
	}
	return k, nil
}

func parsePEM(file []byte) (Keyring, error) {
	blocks, err := pemBlocks(file)
	if err != nil {
		return nil, err
	}
	var k Keyring
	for i, b := range blocks {
		if strings.Contains(b.Type, pemPrivate) {
			return nil, fmt.Errorf("%w: key %d is a private key, to be kept secret; its public one is told by: openssl pkey -pubout", ErrKeys, i+1)
		}
		if b.Type != pemPublic {
			return nil, fmt.Errorf("%w: key %d is %.40q, not a %s", ErrKeys, i+1, b.Type, pemPublic)
		}
		public, err := parsePublic(b)
		if err == nil {
			k, err = k.with(Key{Public: public})
		}
		if err != nil {
			return nil, fmt.Errorf("%w: key %d: %w", ErrKeys, i+1, err)
		}
	}
	return k, nil
}

func parseJWKS(file []byte) (Keyring, error) {
	if len(file) > maxKeyFile {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrKeys, maxKeyFile)
	}
	var set jwks
	if err := decodeExactly(file, &set); err != nil {
		return nil, fmt.Errorf("%w: JWKS: %w", ErrKeys, err)
	}
	var k Keyring
	for i, raw := range set.Keys {
		key, ok, err := parseJWK(raw)
		if err == nil && ok {
			k, err = k.with(key)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: key %d: %w", ErrKeys, i+1, err)
		}
	}
	return k, nil
}

// parseJWK reads one key; false for one of another kind, which RFC 7517 (section
// 5) wants ignored.
func parseJWK(raw []byte) (Key, bool, error) {
	var j struct {
		jwk
		Private json.RawMessage `json:"d,omitempty"`
	}
	if err := decodeExactly(raw, &j); err != nil {
		return Key{}, false, err
	}
	if j.Private != nil {
		return Key{}, false, errors.New(`it has "d": a private key, to be kept secret`)
	}
	if j.KeyType != "OKP" || j.Curve != "Ed25519" {
		return Key{}, false, nil
	}
	public, err := base64.RawURLEncoding.Strict().DecodeString(j.X)
	if err != nil || len(public) != ed25519.PublicKeySize {
		return Key{}, false, fmt.Errorf("x is not %d bytes in base64url", ed25519.PublicKeySize)
	}
	key := Key{Public: public, From: fromUnix(j.NotBefore), Until: fromUnix(j.Expires)}
	if j.KeyID != "" && j.KeyID != key.ID() {
		return Key{}, false, fmt.Errorf("kid is %.40q, and the id of that key is %s", j.KeyID, key.ID())
	}
	return key, true, nil
}

// JWKS is the keyring for publishing, as application/jwk-set+json.
func (k Keyring) JWKS() ([]byte, error) {
	set := jwks{Keys: []json.RawMessage{}}
	for _, key := range k {
		raw, err := json.Marshal(jwk{
			KeyType: "OKP", Curve: "Ed25519", X: base64.RawURLEncoding.EncodeToString(key.Public),
			KeyID: key.ID(), Use: "sig", Alg: "EdDSA", NotBefore: toUnix(key.From), Expires: toUnix(key.Until),
		})
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, raw)
	}
	return json.Marshal(set)
}

// PEM is the keyring as PUBLIC KEY blocks, in which From and Until have no place.
func (k Keyring) PEM() ([]byte, error) {
	var out []byte
	for _, key := range k {
		der, err := x509.MarshalPKIXPublicKey(key.Public)
		if err != nil {
			return nil, err
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der})...)
	}
	return out, nil
}

func fromUnix(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

func toUnix(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.Unix()
}
