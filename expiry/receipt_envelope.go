package expiry

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The payload types of the statements, inside what is signed.
const (
	ReceiptType = "application/vnd.mayfly.erasure+json"
	// TreeType is of many receipts that were signed together.
	TreeType    = "application/vnd.mayfly.erasure-tree+json"
	SummaryType = "application/vnd.mayfly.erasure-summary+json"
)

const (
	// maxEnvelope in bytes, white space included. A receipt has 1 or 2 KiB.
	maxEnvelope = 64 << 10
	// maxSignatures of one envelope: others may have signed it too.
	maxSignatures = 16
)

// Why an envelope is not believed.
var (
	// ErrNotEnvelope is for what is no DSSE envelope, or was damaged.
	ErrNotEnvelope = errors.New("not a DSSE envelope")
	// ErrUnknownKey is for an envelope without a signature by a key of the keyring.
	ErrUnknownKey = errors.New("signed with an unknown key")
	// ErrBadSignature is for an envelope of which payload, type or signature was
	// changed, or that somebody else signed in the name of the key.
	ErrBadSignature = errors.New("the signature does not fit")
	// ErrUnknownStatement is for a statement that was signed and is of a type or
	// version that this Mayfly does not know.
	ErrUnknownStatement = errors.New("a statement of unknown type or version")
	// ErrStatement is for a statement that was signed and cannot be true.
	ErrStatement = errors.New("malformed or contradictory statement")
	// ErrKeyTime is for a statement from outside the time of the key that signed it.
	ErrKeyTime = errors.New("signed outside the time of its key")
)

// envelope is DSSE's JSON (github.com/secure-systems-lab/dsse, envelope.md).
type envelope struct {
	PayloadType string            `json:"payloadType"`
	Payload     string            `json:"payload"`
	Signatures  []json.RawMessage `json:"signatures"`
	// Inclusion is of a receipt in the tree that was signed.
	Inclusion json.RawMessage `json:"inclusion,omitempty"`
}

type signature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"`
}

// pae is DSSE's pre-authentication encoding: what is signed (protocol.md).
func pae(payloadType string, payload []byte) []byte {
	b := make([]byte, 0, len("DSSEv1")+2*len(" 65536 ")+len(payloadType)+len(payload))
	b = strconv.AppendInt(append(b, "DSSEv1 "...), int64(len(payloadType)), 10)
	b = append(append(append(b, ' '), payloadType...), ' ')
	b = append(strconv.AppendInt(b, int64(len(payload)), 10), ' ')
	return append(b, payload...)
}

// Verified is what a keyring vouches for: a Receipt or a Summary.
type Verified struct {
	Receipt *Receipt
	Summary *Summary
	// KeyID of the key that signed.
	KeyID string
	// Payload is the statement, byte for byte as it was signed, alone or in a tree.
	Payload []byte
}

// At is when the statement was made, by the clock of who made it.
func (v Verified) At() time.Time {
	if v.Receipt != nil {
		return v.Receipt.VerifiedAbsentAt
	}
	return v.Summary.MadeAt
}

// Verify reads an envelope and tells what was signed in it, and with which key. It
// fails with one of the errors above. Every signature by a key of the keyring must
// fit; those by others are ignored.
func (k Keyring) Verify(data []byte) (Verified, error) {
	if len(data) > maxEnvelope {
		return Verified{}, fmt.Errorf("%w: more than %d bytes", ErrNotEnvelope, maxEnvelope)
	}
	var e envelope
	if err := decodeExactly(data, &e); err != nil {
		return Verified{}, fmt.Errorf("%w: %w", ErrNotEnvelope, err)
	}
	payload, err := decodeBase64(e.Payload)
	if err != nil {
		return Verified{}, fmt.Errorf("%w: payload: %w", ErrNotEnvelope, err)
	}
	signer, err := k.signedBy(e.Signatures, pae(e.PayloadType, payload))
	if err != nil {
		return Verified{}, err
	}
	payloadType := e.PayloadType
	if payloadType == TreeType {
		if payload, err = included(payload, e.Inclusion); err != nil {
			return Verified{}, err
		}
		payloadType = ReceiptType
	}
	v := Verified{KeyID: signer.ID(), Payload: payload}
	if err := v.read(payloadType); err != nil {
		return Verified{}, err
	}
	if !signer.covers(v.At()) {
		return Verified{}, fmt.Errorf("%w: %s, with key %s", ErrKeyTime, v.At().Format(time.RFC3339), signer.ID())
	}
	return v, nil
}

// signedBy is the first key of the keyring that signed the message.
func (k Keyring) signedBy(signatures []json.RawMessage, message []byte) (Key, error) {
	if n := len(signatures); n < 1 || n > maxSignatures {
		return Key{}, fmt.Errorf("%w: %d signatures, not 1 to %d", ErrNotEnvelope, n, maxSignatures)
	}
	var signer *Key
	var strangers []string
	for _, raw := range signatures {
		var s signature
		if err := decodeExactly(raw, &s); err != nil {
			return Key{}, fmt.Errorf("%w: signature: %w", ErrNotEnvelope, err)
		}
		sig, err := decodeBase64(s.Sig)
		if err != nil {
			return Key{}, fmt.Errorf("%w: signature: %w", ErrNotEnvelope, err)
		}
		// DSSE: the key id only chooses which key to try; nothing is believed of it.
		key, ok := k.find(s.KeyID)
		if !ok {
			strangers = append(strangers, fmt.Sprintf("%.*q", 2*keyIDLength, s.KeyID))
			continue
		}
		if !ed25519.Verify(key.Public, message, sig) {
			return Key{}, fmt.Errorf("%w: not by key %s, or the statement was changed", ErrBadSignature, key.ID())
		}
		if signer == nil {
			signer = &key
		}
	}
	if signer == nil {
		return Key{}, fmt.Errorf("%w: %s, not %s", ErrUnknownKey, strings.Join(strangers, ", "), k)
	}
	return *signer, nil
}

// read understands the payload, whose signature is verified.
func (v *Verified) read(payloadType string) error {
	var statement interface{ check() error }
	switch payloadType {
	case ReceiptType:
		v.Receipt = new(Receipt)
		statement = v.Receipt
	case SummaryType:
		v.Summary = new(Summary)
		statement = v.Summary
	default:
		return fmt.Errorf("%w: %.100q", ErrUnknownStatement, payloadType)
	}
	if err := decodeStatement(v.Payload, payloadType, statement); err != nil {
		return err
	}
	if err := statement.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrStatement, err)
	}
	return nil
}

// decodeStatement reads a payload of this type, of the version that this Mayfly knows.
func decodeStatement(payload []byte, payloadType string, statement any) error {
	var head struct {
		Version int `json:"version"`
	}
	err := decodeExactly(payload, &head)
	if err == nil && head.Version != statementVersion {
		return fmt.Errorf("%w: version %d of %s; a newer Mayfly may know it", ErrUnknownStatement, head.Version, payloadType)
	}
	if err == nil {
		err = decodeExactly(payload, statement)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStatement, err)
	}
	return nil
}

// envelopeRoom is more than an envelope has beside its payload, of a receipt in a tree too.
const envelopeRoom = 2048

// appendSigned is the envelope, but for its last brace: what json.Marshal makes of one.
func appendSigned(b []byte, payloadType string, payload []byte, keyID string, sig []byte) []byte {
	b = slices.Grow(b, envelopeRoom+base64.StdEncoding.EncodedLen(len(payload)))
	b = appendText(append(b, `{"payloadType":`...), payloadType)
	b = base64.StdEncoding.AppendEncode(append(b, `,"payload":"`...), payload)
	b = append(append(b, `","signatures":[{"keyid":"`...), keyID...)
	b = base64.StdEncoding.AppendEncode(append(b, `","sig":"`...), sig)
	return append(b, `"}]`...)
}

// decodeBase64 takes the one way in which bytes are written in standard base64:
// Go's decoder, even the strict one, would pass over line breaks.
func decodeBase64(s string) ([]byte, error) {
	data, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, errors.New("not standard base64 with padding")
	}
	if base64.StdEncoding.EncodedLen(len(data)) != len(s) {
		return nil, errors.New("line breaks within base64")
	}
	return data, nil
}
