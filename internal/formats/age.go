package formats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

// ageIdentity is what age makes of an identity's text, X25519 or hybrid.
type ageIdentity interface {
	age.Identity
	fmt.Stringer
}

// ageKey opens an age encryption (age-encryption.org/v1), the binary one.
type ageKey struct {
	name
	identity func() ageIdentity
}

func parseAge(material json.RawMessage) (Key, error) {
	var m struct {
		Identity string `json:"identity"`
	}
	if err := decodeMaterial(Age, material, &m, refuseExtras); err != nil {
		return nil, err
	}
	var identity ageIdentity
	var err error
	if strings.HasPrefix(m.Identity, "AGE-SECRET-KEY-PQ-1") {
		identity, err = age.ParseHybridIdentity(m.Identity)
	} else {
		identity, err = age.ParseX25519Identity(m.Identity)
	}
	if err != nil { // not passed on: bech32's errors quote characters of the key
		return nil, fmt.Errorf("%w: not an age identity (AGE-SECRET-KEY-1… or AGE-SECRET-KEY-PQ-1…)", ErrMaterial)
	}
	return ageKey{name: Age, identity: hide(identity)}, nil
}

// CommitsToKey is true: the header ends with an HMAC-SHA-256 of itself, whose key is
// derived from the same key as the payload's. To open one header to two of those
// would take a collision of SHA-256. There may be several identities that open it,
// one for each recipient: all to the same plaintext.
func (k ageKey) CommitsToKey() bool { return true }

// Commitment is to the identity's text, as age writes it.
func (k ageKey) Commitment() string { return commit(Age, []byte(k.identity().String())) }

// Decrypt writes chunk by chunk, of 64 KiB.
func (k ageKey) Decrypt(ctx context.Context, dst io.Writer, src io.ReaderAt, size int64) error {
	in := &checkedReader{ctx: ctx, src: io.NewSectionReader(src, 0, max(size, 0)), left: size}
	plaintext, err := age.Decrypt(in, k.identity())
	if in.err != nil {
		return in.err
	}
	var noMatch *age.NoIdentityMatchError
	if errors.As(err, &noMatch) {
		return fmt.Errorf("%w: made for another age identity", ErrCiphertext)
	}
	if err != nil { // not passed on: it quotes the header, and would do so on a terminal
		return fmt.Errorf("%w: no age header, or a damaged one", ErrCiphertext)
	}
	buf := make([]byte, pieceSize)
	for {
		n, err := plaintext.Read(buf)
		if n > 0 {
			if err := write(dst, buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case in.err != nil:
			return in.err
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("%w: damaged or cut off", ErrCiphertext)
		}
	}
}

// checkedReader keeps apart what age reports alike: that the ciphertext is damaged,
// and that it could not be read (err).
type checkedReader struct {
	ctx  context.Context
	src  io.Reader
	left int64
	err  error
}

func (r *checkedReader) Read(p []byte) (int, error) {
	if r.err == nil {
		r.err = r.ctx.Err()
	}
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.src.Read(p)
	r.left -= int64(n)
	if err == io.EOF && r.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		r.err = fmt.Errorf("read ciphertext: %w", err)
		err = r.err
	}
	return n, err
}
