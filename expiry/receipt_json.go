package expiry

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// maxNesting of JSON: an envelope has 3 levels, a statement 2.
const maxNesting = 16

// decodeExactly reads one JSON object into the struct that v points to. What
// encoding/json is lenient about, two readers could understand differently, so it
// is refused here: a name that comes twice, a name in other letter case, null, a
// field that is missing and not optional (omitempty, omitzero), text that is not
// UTF-8, and anything behind the object. Unknown names are ignored.
func decodeExactly(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("not UTF-8")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	if fields == nil {
		return errors.New("null, not an object")
	}
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.UseNumber()
	if err := refuseTwice(d, 0); err != nil {
		return err
	}
	s := reflect.ValueOf(v).Elem()
	for _, f := range reflect.VisibleFields(s.Type()) {
		if f.Anonymous {
			continue // its fields come by themselves
		}
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		raw, ok := fields[name]
		switch {
		case !ok && option == "":
			return fmt.Errorf("%s is missing", name)
		case !ok:
			continue
		case string(raw) == "null":
			return fmt.Errorf("%s is null", name)
		}
		if err := json.Unmarshal(raw, s.FieldByIndex(f.Index).Addr().Interface()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// refuseTwice reads one value and refuses a name that is twice in an object: of
// two values encoding/json takes the last, others take the first.
func refuseTwice(d *json.Decoder, depth int) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth == maxNesting {
		return fmt.Errorf("nested more than %d levels deep", maxNesting)
	}
	seen := make(map[string]bool)
	for d.More() {
		if delim == '{' {
			token, err := d.Token()
			if err != nil {
				return err
			}
			name, _ := token.(string)
			if seen[name] {
				return fmt.Errorf("the name %.100q comes twice", name)
			}
			seen[name] = true
		}
		if err := refuseTwice(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}
