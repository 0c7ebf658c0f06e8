package formats

import (
	"context"
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
)

// signalKey opens what Signal's clients upload, and those of messengers that took it
// over: IV ‖ AES-256-CBC ‖ HMAC-SHA-256 of both. There is no specification; it is
// what AttachmentCipherOutputStream of Signal-Android does.
type signalKey struct {
	name
	secret func() signalSecret
}

type signalSecret struct {
	cipher, mac []byte
	// digest of the whole ciphertext, nil if there was none.
	digest []byte
	// size of the plaintext in bytes, or -1. Signal pads before it encrypts, to
	// hide the size, and sends the true one in the message. What it pads with is
	// not always zero (Signal-Android leaves what its buffer had), so that the
	// padding cannot be told from plaintext.
	//
	// It is not in the commitment: a reporter can cut the end off, no more. Whoever
	// wants to see the end leaves it out.
	size int64
}

func parseSignal(material json.RawMessage) (Key, error) {
	var m struct {
		Keys   string  `json:"keys"`
		Digest *string `json:"digest"`
		Size   *int64  `json:"size"`
	}
	if err := decodeMaterial(Signal, material, &m, refuseExtras); err != nil {
		return nil, err
	}
	keys, err := decodeBase64(base64.StdEncoding, "keys", m.Keys, 64)
	if err != nil {
		return nil, err
	}
	s := signalSecret{cipher: keys[:32], mac: keys[32:], size: -1}
	if m.Digest != nil {
		if s.digest, err = decodeBase64(base64.StdEncoding, "digest", *m.Digest, sha256.Size); err != nil {
			return nil, err
		}
	}
	if m.Size != nil {
		if *m.Size < 0 {
			return nil, fmt.Errorf("%w: size is negative", ErrMaterial)
		}
		s.size = *m.Size
	}
	return signalKey{name: Signal, secret: hide(s)}, nil
}

// CommitsToKey is false: the MAC is made with the second half of the keys and says
// nothing of the first, which encrypts. With another first half the same MAC holds,
// and one in 256 has a valid padding.
func (k signalKey) CommitsToKey() bool { return false }

// Commitment is to both halves.
func (k signalKey) Commitment() string {
	s := k.secret()
	return commit(Signal, s.cipher, s.mac)
}

// Decrypt verifies MAC and digest, then the padding, and decrypts in a second pass.
func (k signalKey) Decrypt(ctx context.Context, dst io.Writer, src io.ReaderAt, size int64) error {
	s := k.secret()
	end := size - sha256.Size // where the MAC begins
	c := cbc{src: src, from: aes.BlockSize, to: end, key: s.cipher, iv: make([]byte, aes.BlockSize)}
	if err := c.checkBlocks(); err != nil {
		return err
	}
	mac, digest := hmac.New(sha256.New, s.mac), sha256.New()
	if err := inPieces(ctx, src, 0, end, func(piece []byte) error {
		mac.Write(piece)
		digest.Write(piece)
		return nil
	}); err != nil {
		return err
	}
	tag := make([]byte, sha256.Size)
	if err := readFull(io.NewSectionReader(src, end, sha256.Size), tag); err != nil {
		return err
	}
	if !hmac.Equal(mac.Sum(nil), tag) {
		return fmt.Errorf("%w: wrong MAC", ErrCiphertext)
	}
	digest.Write(tag)
	if s.digest != nil && !hmac.Equal(digest.Sum(nil), s.digest) {
		return fmt.Errorf("%w: another digest", ErrCiphertext)
	}
	if err := readFull(io.NewSectionReader(src, 0, aes.BlockSize), c.iv); err != nil {
		return err
	}
	plain, err := c.plaintextSize()
	if err != nil {
		return err
	}
	if s.size > plain {
		return fmt.Errorf("%w: its plaintext is smaller than size", ErrCiphertext)
	}
	if s.size >= 0 {
		plain = s.size
	}
	return c.decrypt(ctx, dst, plain)
}
