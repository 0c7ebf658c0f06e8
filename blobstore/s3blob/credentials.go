package s3blob

import (
	"errors"
	"fmt"
	"log/slog"
)

// Credentials are an access key and its secret. The zero value means that the SDK
// looks for some. They print as redacted.
type Credentials struct {
	AccessKey, SecretKey string
}

func (c Credentials) check() error {
	if (c.AccessKey == "") != (c.SecretKey == "") {
		return errors.New("give both the access key and the secret key, or neither")
	}
	return nil
}

func (c Credentials) redacted() string {
	if c == (Credentials{}) {
		return "no credentials"
	}
	return "credentials [redacted]"
}

// String is the redacted form.
func (c Credentials) String() string { return c.redacted() }

// Format prints the redacted form for every verb: %x or %#v would show the fields.
func (c Credentials) Format(f fmt.State, _ rune) { fmt.Fprint(f, c.redacted()) }

// LogValue is the redacted form.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.redacted()) }

// MarshalText is the redacted form: a secret never gets into JSON by accident.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.redacted()), nil }
