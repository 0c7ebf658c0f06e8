package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"mayfly/blobstore"
)

const (
	contentsVersion = 1
	// maxContents in bytes, as JSON.
	maxContents = 8 << 10
	// minContents in bytes: no JSON is shorter in which an id and a digest stand.
	minContents = 36 + 64
	maxFormat   = 64  // bytes
	maxName     = 512 // bytes
)

var (
	// ErrContents is returned for what is no sealed key: contents that cannot be
	// sealed, or an envelope in which nothing usable is.
	ErrContents = errors.New("no usable sealed key")
	// ErrTransplanted is returned for a sealed key of other media.
	ErrTransplanted = errors.New("the sealed key is not of this blob")
)

// Contents is what is sealed. It prints, logs and marshals without key and name;
// Seal alone writes it whole (P8).
type Contents struct {
	// Blob, SHA256 and Size (bytes) are of the encrypted media as it was uploaded.
	Blob   uuid.UUID        `json:"blob_id"`
	SHA256 blobstore.Digest `json:"sha256"`
	Size   int64            `json:"size"`
	// Format names how the media is encrypted, and so what Key is; 1 to 64
	// characters of printable ASCII.
	Format string `json:"format"`
	// Key reads the media. Any JSON but null.
	Key json.RawMessage `json:"key"`
	// Name is that of the media's file, as its sender gave it; at most 512 bytes.
	// Who writes a file by it makes it safe first.
	Name string `json:"name,omitempty"`
}

// BoundTo tells whether the sealed key is of these bytes of this blob, or fails
// with ErrTransplanted and what differs.
func (c Contents) BoundTo(blob uuid.UUID, sum blobstore.Digest, size int64) error {
	var differs []string
	if c.Blob != blob {
		differs = append(differs, "id")
	}
	if c.SHA256 != sum {
		differs = append(differs, "digest")
	}
	if c.Size != size {
		differs = append(differs, "size")
	}
	if differs != nil {
		return fmt.Errorf("%w: another %s", ErrTransplanted, strings.Join(differs, ", "))
	}
	return nil
}

// redacted also stands for %x and %q. There is no method Format as Token has one,
// the field has its name: a %d would show the fields, and go vet refuses it.
func (c Contents) redacted() string { return "sealed key of blob " + c.Blob.String() + " [redacted]" }

// String is the redacted form.
func (c Contents) String() string { return c.redacted() }

// GoString is the redacted form, for %#v.
func (c Contents) GoString() string { return c.redacted() }

// LogValue is the redacted form.
func (c Contents) LogValue() slog.Value { return slog.StringValue(c.redacted()) }

// MarshalJSON is the redacted form: a key never gets into an answer or a log by
// accident.
func (c Contents) MarshalJSON() ([]byte, error) { return json.Marshal(c.redacted()) }

// check refuses what would not come out of an envelope as it went in, or would be
// of no use to the moderator.
func (c Contents) check() error {
	fail := func(what string) error { return fmt.Errorf("%w: %s", ErrContents, what) }
	notPrintable := func(r rune) bool { return r < ' ' || r > '~' }
	switch {
	case c.Blob == uuid.Nil:
		return fail("no blob's id")
	case c.SHA256 == blobstore.Digest{}:
		return fail("no digest")
	case c.Size < 0:
		return fail("a size below zero")
	case c.Format == "" || len(c.Format) > maxFormat || strings.ContainsFunc(c.Format, notPrintable):
		return fail(fmt.Sprintf("its format is not named with 1 to %d printable characters", maxFormat))
	case !json.Valid(c.Key) || !utf8.Valid(c.Key) || string(bytes.TrimSpace(c.Key)) == "null":
		return fail("its key is missing, or not JSON")
	case len(c.Name) > maxName || !utf8.ValidString(c.Name):
		return fail(fmt.Sprintf("its name is longer than %d bytes, or not UTF-8", maxName))
	}
	return nil
}

// plain is Contents without its redaction.
type plain Contents

// encode is the JSON that is sealed.
func (c Contents) encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // the key stays as it was written, white space apart
	err := e.Encode(struct {
		Version int `json:"version"`
		plain
	}{contentsVersion, plain(c)})
	if err != nil {
		return nil, fmt.Errorf("%w: it cannot be written as JSON", ErrContents) // err may quote the key
	}
	if b.Len() > maxContents {
		return nil, fmt.Errorf("%w: more than %d bytes to seal", ErrTooLarge, maxContents)
	}
	return b.Bytes(), nil
}

// decodeContents reads what encode wrote, or another client in its place: strictly,
// for what two readers could understand differently is evidence of nothing. Each
// field once, by its exact name, of its own kind, and no others. The errors quote
// no value.
func decodeContents(data []byte) (Contents, error) {
	fail := func(format string, args ...any) (Contents, error) {
		return Contents{}, fmt.Errorf("%w: "+format, append([]any{ErrContents}, args...)...)
	}
	fields, ok := splitObject(data)
	if !ok {
		return fail("it is not one JSON object with each name once")
	}
	var version int
	if json.Unmarshal(fields["version"], &version) != nil {
		return fail("version is missing or malformed")
	}
	if version != contentsVersion {
		return fail("it has version %d; a newer Mayfly may know it", version)
	}
	var c Contents
	var blob string
	into := map[string]any{
		"version": &version, "blob_id": &blob, "sha256": &c.SHA256, "size": &c.Size,
		"format": &c.Format, "key": &c.Key, "name": &c.Name,
	}
	for name, value := range fields {
		if into[name] == nil {
			return fail("it has a field that version %d does not", version)
		}
		if string(value) == "null" || json.Unmarshal(value, into[name]) != nil {
			return fail("%s is malformed", name)
		}
	}
	for _, name := range []string{"blob_id", "sha256", "size", "format", "key"} {
		if fields[name] == nil {
			return fail("%s is missing", name)
		}
	}
	var err error
	// uuid reads other ways to write an id, too.
	if c.Blob, err = uuid.Parse(blob); err != nil || c.Blob.String() != blob {
		return fail("blob_id is malformed")
	}
	if err := c.check(); err != nil {
		return Contents{}, err
	}
	return c, nil
}

// splitObject is the fields of a JSON object with each name once.
func splitObject(data []byte) (fields map[string]json.RawMessage, ok bool) {
	if !utf8.Valid(data) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	fields = make(map[string]json.RawMessage)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, false
		}
		name, ok := t.(string)
		if _, twice := fields[name]; !ok || twice {
			return nil, false
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil, false
		}
		fields[name] = value
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return nil, false
	}
	_, err := d.Token()
	return fields, err == io.EOF
}
