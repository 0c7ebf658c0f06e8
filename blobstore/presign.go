package blobstore

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Presigner is a Store that can let a client put a blob's bytes without them going
// through us. Not every Store does.
type Presigner interface {
	// PresignPut makes a request that puts exactly size bytes of this SHA-256 under
	// key, good for valid from now on, and nothing else: other bytes, another length
	// and a key that has a blob are for the server to refuse. Nothing is asked of the
	// server. errors.ErrUnsupported if the Store cannot.
	//
	// The key of such a request must never become a stored blob's: some servers let
	// its holder do more with it than is signed (package bucket). Who has the bytes
	// copies them to a key of his own, and verifies the copy.
	PresignPut(ctx context.Context, key Key, size int64, sum Digest, valid time.Duration) (PresignedPut, error)
}

// PresignedPut is a PUT that needs no credentials.
type PresignedPut struct {
	URL SecretURL
	// Headers must be sent as they are: they are signed along.
	Headers map[string]string
}

// SecretURL is a URL that is good for something by itself. It prints, logs and
// marshals without saying what it is; only Reveal gives it away (P8).
//
// The text is behind two pointers: of a field that is not exported package fmt asks no
// method, and prints what it holds, behind one pointer too where the verb does not fit.
type SecretURL struct{ text **string }

// NewSecretURL hides a URL.
func NewSecretURL(text string) SecretURL { return SecretURL{new(&text)} }

const redactedURL = "[redacted URL]"

// Reveal is the URL in the clear, for the one answer that hands it out.
func (u SecretURL) Reveal() string {
	if u.text == nil {
		return ""
	}
	return **u.text
}

// String is the redacted form.
func (u SecretURL) String() string { return redactedURL }

// Format prints the redacted form for every verb.
func (u SecretURL) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedURL) }

// LogValue is the redacted form.
func (u SecretURL) LogValue() slog.Value { return slog.StringValue(redactedURL) }

// MarshalText is the redacted form.
func (u SecretURL) MarshalText() ([]byte, error) { return []byte(redactedURL), nil }
