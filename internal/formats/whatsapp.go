package formats

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
)

// whatsappMAC is how much of the HMAC-SHA-256 a ciphertext ends with, in bytes.
const whatsappMAC = 10

// whatsappKey opens what WhatsApp's clients upload: AES-256-CBC ‖ the first 10 bytes
// of an HMAC-SHA-256 over IV and ciphertext, with IV and keys derived from one media
// key. WhatsApp's white paper ("Transmitting Media and Other Attachments") names the
// parts; the labels and their order are as go.mau.fi/whatsmeow has them.
type whatsappKey struct {
	name
	secret func() whatsappSecret
}

type whatsappSecret struct {
	mediaType       string
	media           []byte
	iv, cipher, mac []byte
}

// whatsappLabel is HKDF's info for a type of media, "" if there is no such type.
// Stickers are images and voice messages audio.
func whatsappLabel(mediaType string) string {
	switch mediaType {
	case "image":
		return "WhatsApp Image Keys"
	case "video":
		return "WhatsApp Video Keys"
	case "audio":
		return "WhatsApp Audio Keys"
	case "document":
		return "WhatsApp Document Keys"
	}
	return ""
}

func parseWhatsApp(material json.RawMessage) (Key, error) {
	var m struct {
		MediaKey  string `json:"media_key"`
		MediaType string `json:"media_type"`
	}
	if err := decodeMaterial(WhatsApp, material, &m, refuseExtras); err != nil {
		return nil, err
	}
	label := whatsappLabel(m.MediaType)
	if label == "" {
		return nil, fmt.Errorf("%w: media_type is not image, video, audio or document", ErrMaterial)
	}
	media, err := decodeBase64(base64.StdEncoding, "media_key", m.MediaKey, 32)
	if err != nil {
		return nil, err
	}
	// The last 32 of the 112 bytes (refKey) have no part in decryption.
	keys, err := hkdf.Key(sha256.New, media, nil, label, 112)
	if err != nil {
		return nil, err
	}
	return whatsappKey{name: WhatsApp, secret: hide(whatsappSecret{
		mediaType: m.MediaType, media: media, iv: keys[:16], cipher: keys[16:48], mac: keys[48:80],
	})}, nil
}

// CommitsToKey is false: 80 bits of MAC bind nobody who chooses the keys. Two media
// keys with one MAC for the same bytes are found after some 2^40 tries (birthdays),
// which is an evening's work.
func (k whatsappKey) CommitsToKey() bool { return false }

// Commitment is to the media key and the type of media: other types derive other
// keys from it.
func (k whatsappKey) Commitment() string {
	s := k.secret()
	return commit(WhatsApp, []byte(s.mediaType), []byte{0}, s.media)
}

// Decrypt verifies the MAC, then the padding, and decrypts in a second pass.
func (k whatsappKey) Decrypt(ctx context.Context, dst io.Writer, src io.ReaderAt, size int64) error {
	s := k.secret()
	c := cbc{src: src, from: 0, to: size - whatsappMAC, key: s.cipher, iv: s.iv}
	if err := c.checkBlocks(); err != nil {
		return err
	}
	mac := hmac.New(sha256.New, s.mac)
	mac.Write(s.iv)
	if err := inPieces(ctx, src, c.from, c.to, func(piece []byte) error {
		mac.Write(piece)
		return nil
	}); err != nil {
		return err
	}
	tag := make([]byte, whatsappMAC)
	if err := readFull(io.NewSectionReader(src, c.to, whatsappMAC), tag); err != nil {
		return err
	}
	if !hmac.Equal(mac.Sum(nil)[:whatsappMAC], tag) {
		return fmt.Errorf("%w: wrong MAC", ErrCiphertext)
	}
	plain, err := c.plaintextSize()
	if err != nil {
		return err
	}
	return c.decrypt(ctx, dst, plain)
}
