package formats

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// maxMaterial in bytes of JSON. The largest real one has about 500.
const maxMaterial = 64 << 10

// extras says whether a format's material may have fields that are not read.
type extras bool

const (
	refuseExtras extras = false
	// allowExtras is for material that other software made for more than decryption.
	allowExtras extras = true
)

// decodeMaterial reads one JSON object into v, or null, which leaves v as it is: no
// format has a field that may be missing and has all it needs. The errors of encoding/json are not
// passed on: some of them quote the input.
func decodeMaterial(format string, material json.RawMessage, v any, e extras) error {
	malformed := fmt.Errorf("%w: not the JSON object that %s has", ErrMaterial, format)
	if len(material) > maxMaterial {
		return fmt.Errorf("%w: more than %d bytes", ErrMaterial, maxMaterial)
	}
	d := json.NewDecoder(bytes.NewReader(material))
	if !e {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(v); err != nil {
		return malformed
	}
	if _, err := d.Token(); err != io.EOF {
		return malformed
	}
	return nil
}

// decodeBase64 reads exactly want bytes. Padding may be left out (Matrix' appendix
// on base64 has senders leave it out and receivers take both). Nothing else may
// vary: Go's decoder, even the strict one, would pass over line breaks.
func decodeBase64(e *base64.Encoding, field, text string, want int) ([]byte, error) {
	e = e.WithPadding(base64.NoPadding).Strict()
	if strings.HasSuffix(text, "=") {
		e = e.WithPadding(base64.StdPadding)
	}
	data, err := e.DecodeString(text)
	if err != nil || len(data) != want || e.EncodedLen(len(data)) != len(text) {
		return nil, fmt.Errorf("%w: %s is not %d bytes in base64", ErrMaterial, field, want)
	}
	return data, nil
}
