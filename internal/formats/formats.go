package formats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The names of the formats, as they are in the envelope.
const (
	Age      = "age"
	Matrix   = "matrix"
	Signal   = "signal"
	WhatsApp = "whatsapp"
	XEP0454  = "xep-0454"
)

var (
	// ErrFormat is for a format that this Mayfly does not know.
	ErrFormat = errors.New("unknown format of encryption")
	// ErrMaterial is for key material that is not of the format it was given for.
	ErrMaterial = errors.New("malformed key material")
	// ErrCiphertext is for a ciphertext that is damaged, cut off, or was not made
	// with this key.
	ErrCiphertext = errors.New("the ciphertext is not what this key made")
	// ErrTooLarge is for a ciphertext that would have to be held in memory and is
	// larger than what is held.
	ErrTooLarge = errors.New("the ciphertext is too large to be decrypted in memory")
)

// Key is the key material of one blob, in the format that the blob is in.
type Key interface {
	// Format is its name, as in the envelope.
	Format() string
	// CommitsToKey reports whether the ciphertext by itself can be opened to one
	// plaintext only. Where it is false, somebody who chooses the keys can make or
	// find two that open one ciphertext to two plaintexts.
	CommitsToKey() bool
	// Commitment is what an uploader gives as key_commitment, so that it can be
	// proven later which key was meant. It tells nothing of a key that was drawn at
	// random.
	Commitment() string
	// Decrypt checks all that the format can check of the size bytes of src, and
	// only then writes plaintext to dst. It reads src twice: src must not change
	// meanwhile. Of age it writes chunk by chunk, each when it is authenticated;
	// after an error the caller discards what was written.
	//
	// It fails with ErrCiphertext if the ciphertext is not what this key made, with
	// ErrTooLarge if it would not fit into memory, with the context's error between
	// two pieces, and otherwise with the error of src or dst.
	Decrypt(ctx context.Context, dst io.Writer, src io.ReaderAt, size int64) error
}

// Names are all formats, in the order in which they are documented.
func Names() []string { return []string{Age, Matrix, Signal, WhatsApp, XEP0454} }

// Parse reads the key material of a format. It fails with ErrFormat for a format
// that is not one of Names, and with ErrMaterial for material of another form. The
// errors never quote the input: what is malformed may be a key all the same.
func Parse(format string, material json.RawMessage) (Key, error) {
	switch format {
	case Age:
		return parseAge(material)
	case Matrix:
		return parseMatrix(material)
	case Signal:
		return parseSignal(material)
	case WhatsApp:
		return parseWhatsApp(material)
	case XEP0454:
		return parseXEP0454(material)
	}
	return nil, fmt.Errorf("%w: not one of %s", ErrFormat, strings.Join(Names(), ", "))
}
