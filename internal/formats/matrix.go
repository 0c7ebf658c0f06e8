package formats

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
)

// matrixKey opens what Matrix calls an encrypted attachment (Client-Server API,
// "Sending encrypted attachments"): AES-256-CTR, with the SHA-256 of the ciphertext
// in the message.
type matrixKey struct {
	name
	secret func() matrixSecret
}

type matrixSecret struct{ key, iv, sum []byte }

func parseMatrix(material json.RawMessage) (Key, error) {
	// EncryptedFile. It has more (url, key_ops, ext), which says nothing of how to
	// decrypt, and which real clients leave out or add to.
	var m struct {
		V   string `json:"v"`
		Key struct {
			Kty string `json:"kty"`
			Alg string `json:"alg"`
			K   string `json:"k"`
		} `json:"key"`
		IV     string `json:"iv"`
		Hashes struct {
			SHA256 string `json:"sha256"`
		} `json:"hashes"`
	}
	if err := decodeMaterial(Matrix, material, &m, allowExtras); err != nil {
		return nil, err
	}
	// v1 and what had no version were never specified, and count otherwise: to
	// guess would be to show something that nobody sent.
	if m.V != "v2" || m.Key.Kty != "oct" || m.Key.Alg != "A256CTR" {
		return nil, fmt.Errorf("%w: not v2 with an oct key for A256CTR", ErrMaterial)
	}
	key, err := decodeBase64(base64.URLEncoding, "key.k", m.Key.K, 32)
	if err != nil {
		return nil, err
	}
	iv, err := decodeBase64(base64.StdEncoding, "iv", m.IV, aes.BlockSize)
	if err != nil {
		return nil, err
	}
	sum, err := decodeBase64(base64.StdEncoding, "hashes.sha256", m.Hashes.SHA256, sha256.Size)
	if err != nil {
		return nil, err
	}
	return matrixKey{name: Matrix, secret: hide(matrixSecret{key, iv, sum})}, nil
}

// CommitsToKey is false: CTR opens any ciphertext with any key, and the hash, which
// comes with the key, is of the ciphertext only.
func (k matrixKey) CommitsToKey() bool { return false }

// Commitment is to the key and the counter block. The hash adds nothing: it is of
// the ciphertext, which is the sender's anyway.
func (k matrixKey) Commitment() string {
	s := k.secret()
	return commit(Matrix, s.key, s.iv)
}

// Decrypt verifies the hash, and decrypts in a second pass.
func (k matrixKey) Decrypt(ctx context.Context, dst io.Writer, src io.ReaderAt, size int64) error {
	s := k.secret()
	if size < 0 {
		return fmt.Errorf("%w: no bytes", ErrCiphertext)
	}
	// A v2 counter starts at zero in the lower 64 bits and never gets to their end.
	// If it did, clients that count in 64 bits (WebCrypto, as the specification has
	// it) and in 128 bits (most libraries) would read two different plaintexts.
	if size > 0 && binary.BigEndian.Uint64(s.iv[8:]) > math.MaxUint64-uint64(size-1)/aes.BlockSize {
		return fmt.Errorf("%w: its counter would overflow", ErrCiphertext)
	}
	sum := sha256.New()
	if err := inPieces(ctx, src, 0, size, func(piece []byte) error {
		sum.Write(piece)
		return nil
	}); err != nil {
		return err
	}
	if !hmac.Equal(sum.Sum(nil), s.sum) {
		return fmt.Errorf("%w: another SHA-256", ErrCiphertext)
	}
	block, err := aes.NewCipher(s.key)
	if err != nil {
		return err
	}
	stream := cipher.NewCTR(block, s.iv)
	return inPieces(ctx, src, 0, size, func(piece []byte) error {
		stream.XORKeyStream(piece, piece)
		return write(dst, piece)
	})
}
