package expiry

import (
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"mayfly/blobstore"
)

// A tombstone has most of what its receipt says, and the envelope is put together when it
// is asked for. What it has not is a proof: the signature, and what else cannot be made of
// the row. That is a third of an envelope or less: a purge writes one for each blob.

// proofFormat says of what the signed bytes are made: this very Receipt.appendJSON and
// appendTree. Other ones need another format, and those of old proofs have to stay.
const proofFormat = 1

// errProof is returned for a proof that Sign has not made.
var errProof = errors.New("damaged proof of a receipt")

type proof struct {
	keyID     [keyIDLength / 2]byte
	signature [ed25519.SignatureSize]byte
	// What the purge knew and the row does not.
	due, erased, absent time.Time
	versions            *int64
	// Where the receipt is in its tree; one that was signed alone is a tree of its own.
	size, index int
	path        []blobstore.Digest
}

// bytes of the proof: times as microseconds, the later ones by what they are later.
func (p proof) bytes() []byte {
	b := make([]byte, 0, 128+len(p.path)*len(blobstore.Digest{}))
	b = append(append(append(b, proofFormat), p.keyID[:]...), p.signature[:]...)
	b = binary.AppendVarint(b, p.due.UnixMicro())
	b = binary.AppendUvarint(b, uint64(p.erased.UnixMicro()-p.due.UnixMicro()))
	b = binary.AppendUvarint(b, uint64(p.absent.UnixMicro()-p.erased.UnixMicro()))
	versions := uint64(0)
	if p.versions != nil {
		versions = uint64(*p.versions) + 1
	}
	b = binary.AppendUvarint(b, versions)
	b = binary.AppendUvarint(b, uint64(p.size))
	b = binary.AppendUvarint(b, uint64(p.index))
	for _, hash := range p.path {
		b = append(b, hash[:]...)
	}
	return b
}

func parseProof(b []byte) (p proof, err error) {
	fixed := 1 + len(p.keyID) + len(p.signature)
	if len(b) < fixed {
		return p, errProof
	}
	if b[0] != proofFormat {
		return p, fmt.Errorf("a receipt's proof has format %d, and this Mayfly knows %d: a newer one has made it", b[0], proofFormat)
	}
	copy(p.keyID[:], b[1:])
	copy(p.signature[:], b[1+len(p.keyID):])
	due, n := binary.Varint(b[fixed:])
	if n <= 0 {
		return p, errProof
	}
	b = b[fixed+n:]
	var numbers [5]uint64
	for i := range numbers {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return p, errProof
		}
		numbers[i], b = v, b[n:]
	}
	erased := due + int64(numbers[0])
	p.due, p.erased, p.absent = time.UnixMicro(due).UTC(), time.UnixMicro(erased).UTC(), time.UnixMicro(erased+int64(numbers[1])).UTC()
	if numbers[2] > 0 {
		versions := int64(numbers[2] - 1)
		p.versions = &versions
	}
	if size := numbers[3]; size < 1 || size > maxTree || numbers[4] >= size || len(b)%len(blobstore.Digest{}) != 0 {
		return p, errProof
	}
	p.size, p.index = int(numbers[3]), int(numbers[4])
	for ; len(b) > 0; b = b[len(blobstore.Digest{}):] {
		p.path = append(p.path, blobstore.Digest(b))
	}
	return p, nil
}

// Envelope is the receipt as it is served, byte for byte what was signed. Of r it takes
// what a tombstone's row has (blob, digest, size, reason, policy and stored_at), and all
// else from the proof that Sign made.
func Envelope(r Receipt, proven []byte) ([]byte, error) {
	p, err := parseProof(proven)
	if err != nil {
		return nil, err
	}
	r.DueAt, r.ErasedAt, r.VerifiedAbsentAt, r.VersionsRemoved = p.due, p.erased, p.absent, p.versions
	leaf, err := r.normal().appendJSON(append(make([]byte, 0, receiptRoom), leafPrefix))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProof, err)
	}
	payload, keyID := leaf[1:], hex.EncodeToString(p.keyID[:])
	if p.size == 1 && len(p.path) == 0 {
		return append(appendSigned(nil, ReceiptType, payload, keyID, p.signature[:]), '}'), nil
	}
	root, err := climb(leafHash(leaf), p.index, p.size, p.path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProof, err)
	}
	b := appendSigned(nil, TreeType, appendTree(nil, p.size, root), keyID, p.signature[:])
	return append(appendInclusion(append(b, `,"inclusion":`...), payload, p.index, p.path), '}'), nil
}
