package formats

import "log/slog"

// name is the format of a key and all that a key shows of itself. A key embeds it.
//
// It cannot be a fmt.Formatter, as tickets.Token is: Key.Format has that method's
// name. So a key has its secret in a func, of which fmt, encoders and what dumps
// by reflection show an address at most, whatever the verb. Do not make it a field.
type name string

// Format is the format's name.
func (n name) Format() string { return string(n) }

func (n name) redacted() string { return string(n) + "[redacted]" }

// String is the redacted form.
func (n name) String() string { return n.redacted() }

// GoString is the redacted form, for %#v.
func (n name) GoString() string { return n.redacted() }

// LogValue is the redacted form.
func (n name) LogValue() slog.Value { return slog.StringValue(n.redacted()) }

// MarshalText is the redacted form: a key never gets into JSON by accident.
func (n name) MarshalText() ([]byte, error) { return []byte(n.redacted()), nil }

// hide puts a secret out of sight of everything but the code that calls for it.
func hide[T any](secret T) func() T { return func() T { return secret } }
