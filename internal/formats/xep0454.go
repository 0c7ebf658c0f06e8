package formats

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
)

const (
	// gcmTag in bytes, at the end of the ciphertext.
	gcmTag = 16
	// maxHeld in bytes is the largest ciphertext that is decrypted. GCM's tag tells
	// only at the end whether a byte of the plaintext may be shown, so all of it is
	// held. The upload services of XMPP (XEP-0363) take tens of MiB, few of them
	// hundreds; and 512 MiB is what a moderator's machine has to spare.
	maxHeld = 512 << 20
)

// xep0454Key opens what XMPP clients share by aesgcm:// addresses (XEP-0454, OMEMO
// Media sharing): AES-256-GCM, with the tag at the end.
type xep0454Key struct {
	name
	secret func() xep0454Secret
}

type xep0454Secret struct{ iv, key []byte }

func parseXEP0454(material json.RawMessage) (Key, error) {
	var m struct {
		Fragment string `json:"fragment"`
	}
	if err := decodeMaterial(XEP0454, material, &m, refuseExtras); err != nil {
		return nil, err
	}
	raw, err := hex.DecodeString(m.Fragment)
	// An IV of 16 bytes is from before XEP-0454; clients still take it.
	if iv := len(raw) - 32; err != nil || iv != 12 && iv != 16 {
		return nil, fmt.Errorf("%w: fragment is not an IV of 12 (or 16) bytes and a key of 32, in hex", ErrMaterial)
	}
	iv, key := raw[:len(raw)-32], raw[len(raw)-32:]
	return xep0454Key{name: XEP0454, secret: hide(xep0454Secret{iv, key})}, nil
}

// CommitsToKey is false: GCM's tag is a polynomial in a value that the key gives.
// One who chooses both keys solves it for a block of ciphertext, and has one that
// opens with either: Grubbs, Lu, Ristenpart, "Message Franking via Committing
// Authenticated Encryption" (CRYPTO 2017), and Dodis, Grubbs, Ristenpart, Woodage,
// "Fast Message Franking: From Invisible Salamanders to Encryptment" (CRYPTO 2018),
// who hid abusive pictures from Facebook's moderators with it. The test does it too.
func (k xep0454Key) CommitsToKey() bool { return false }

// Commitment is to IV and key. Their lengths need no telling: the key is the last
// 32 bytes.
func (k xep0454Key) Commitment() string {
	s := k.secret()
	return commit(XEP0454, s.iv, s.key)
}

// Decrypt holds all of it in memory, and fails with ErrTooLarge above 512 MiB.
func (k xep0454Key) Decrypt(ctx context.Context, dst io.Writer, src io.ReaderAt, size int64) error {
	s := k.secret()
	if size < gcmTag {
		return fmt.Errorf("%w: cut off", ErrCiphertext)
	}
	if size > maxHeld {
		return fmt.Errorf("%w: %d bytes of %s, more than %d", ErrTooLarge, size, XEP0454, maxHeld)
	}
	block, err := aes.NewCipher(s.key)
	if err != nil {
		return err
	}
	aead, err := cipher.NewGCMWithNonceSize(block, len(s.iv))
	if err != nil {
		return err
	}
	held := make([]byte, 0, size)
	if err := inPieces(ctx, src, 0, size, func(piece []byte) error {
		held = append(held, piece...)
		return nil
	}); err != nil {
		return err
	}
	plaintext, err := aead.Open(held[:0], s.iv, held, nil)
	if err != nil {
		return fmt.Errorf("%w: wrong tag", ErrCiphertext)
	}
	return write(dst, plaintext)
}
