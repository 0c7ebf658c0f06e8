package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/go-chi/chi/v5"

	"mayfly/tickets"
)

const (
	mediaJSON  = "application/json"
	mediaBytes = "application/octet-stream"
	// maxJSON is how large a JSON body may be.
	maxJSON = 1 << 20
	// maxStray is how large a body may be that a call has no use for.
	maxStray = 64 << 10
)

// validate holds a request against openapi.yaml, by its parameters and schemas as
// kin-openapi has read them. openapi3filter.ValidateRequest does the same, but
// reads every body into memory as soon as a call needs a token, and compiles each
// schema of a 3.1 document anew for each request.
//
// Headers are not looked at here: Claim-Key and Range have parsers of their own.
func (e *endpoints) validate(c *call, r *http.Request) error {
	op := c.op
	switch {
	case op.takesBody():
		if err := op.mediaType(c, r); err != nil {
			return err
		}
		e.receive(c, r)
	case r.ContentLength != 0:
		if err := e.discard(c, r); err != nil {
			return err
		}
	}
	hasQuery := r.URL.RawQuery != "" && op.query != nil
	if c.mediaType != mediaJSON && len(op.ids) == 0 && len(op.names) == 0 && !hasQuery {
		return nil // the way of every open
	}
	var found violations
	if len(op.ids) > 0 {
		found.ids(op, r)
	}
	for name, schema := range op.names {
		found.schema(schema.VisitJSON(chi.URLParam(r, name), openapi3.VisitAsRequest()), func([]string) string { return name })
	}
	if hasQuery {
		found.query(c, r)
	}
	if c.mediaType == mediaJSON {
		value, err := e.readJSON(c, r)
		if err != nil {
			return err
		}
		if value != nil {
			found.schema(op.json.VisitJSON(value, openapi3.VisitAsRequest(), openapi3.MultiErrors()), bodyField)
		}
	}
	return found.err()
}

// mediaType finds out what the body is.
func (o *operation) mediaType(c *call, r *http.Request) error {
	given := r.Header.Get("Content-Type")
	media, _, err := mime.ParseMediaType(given)
	if given == "" && o.json == nil {
		// RFC 9110 §8.3: without a Content-Type it may be taken for bytes. So does
		// every object store, and curl -T sends none.
		media, err = mediaBytes, nil
	}
	switch {
	case err == nil && media == mediaJSON && o.json != nil, err == nil && media == mediaBytes && o.bytes:
	case o.json != nil && o.bytes:
		return &refusal{errMediaType, "The call takes " + mediaJSON + " or " + mediaBytes + "."}
	case o.json != nil:
		return &refusal{errMediaType, "The call takes " + mediaJSON + "."}
	default:
		return &refusal{errMediaType, "The call takes " + mediaBytes + "."}
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return &refusal{errMediaType, "The call takes no Content-Encoding."}
	}
	c.mediaType = media
	r.Header.Set("Content-Type", media) // the generated code compares it, with case
	if media == mediaJSON {
		if r.ContentLength > maxJSON {
			return &tickets.TooLargeError{Size: r.ContentLength, Limit: maxJSON}
		}
		return nil
	}
	// net/http takes no header for a length of 0; only the header tells.
	if r.ContentLength < 0 || r.ContentLength == 0 && r.Header.Get("Content-Length") == "" {
		return errLengthRequired
	}
	return nil
}

// discard reads a body that the call has no use for; some clients send "{}" with
// every POST. Otherwise net/http would read it, once the answer begins: a client that
// breaks off there would have spent its ticket for nothing (P3).
func (e *endpoints) discard(c *call, r *http.Request) error {
	if r.ContentLength > maxStray {
		return &tickets.TooLargeError{Size: r.ContentLength, Limit: maxStray}
	}
	e.receive(c, r)
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(c.ResponseWriter, r.Body, maxStray)); err != nil {
		return &tickets.BodyError{Err: err}
	}
	return nil
}

// ids checks the form of the ids in the path: the generated code's parser also
// takes other ways to write a UUID.
func (v *violations) ids(op *operation, r *http.Request) {
	for _, name := range op.ids {
		if len(chi.URLParam(r, name)) != 36 {
			v.add(name, "is not a UUID")
		}
	}
}

func (v *violations) query(c *call, r *http.Request) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		v.add("query", "is malformed")
		return
	}
	input := &openapi3filter.RequestValidationInput{Request: r, QueryParams: values}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		param, known := c.op.query[name]
		field := "query " + name
		if !known && !harmless(name) {
			field = "query ?"
		}
		switch {
		case !known:
			v.add(field, "is not a parameter of this call")
			continue
		case c.mediaType == mediaJSON && c.op.bytes:
			v.add(field, "goes with "+mediaBytes+" only; here it belongs into the JSON body")
			continue
		case len(values[name]) > 1 && !param.Schema.Value.Type.Is(openapi3.TypeArray):
			v.add(field, "is given more than once")
			continue
		}
		err := openapi3filter.ValidateParameter(r.Context(), input, param)
		if err == nil {
			continue
		}
		inner := errors.Unwrap(err)
		if _, ok := errors.AsType[*openapi3filter.ParseError](inner); ok {
			v.add(field, parsed(param.Schema.Value))
			continue
		}
		v.schema(inner, func(path []string) string { return "query " + bodyField(append([]string{name}, path...)) })
	}
}

// parsed says what a text must be that could not be parsed.
func parsed(schema *openapi3.Schema) string {
	if schema.Type.Is(openapi3.TypeBoolean) {
		return "must be true or false"
	}
	return "must be a whole number"
}

// readJSON reads and decodes the body, and leaves it to the generated code both as
// text and as the value that is being validated.
func (e *endpoints) readJSON(c *call, r *http.Request) (any, error) {
	text, err := io.ReadAll(http.MaxBytesReader(c.ResponseWriter, r.Body, maxJSON))
	if err != nil {
		return nil, &tickets.BodyError{Err: err}
	}
	if !utf8.Valid(text) {
		return nil, violation("body", "is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, violation("body", "is not JSON")
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, violation("body", "goes on behind the JSON value")
	}
	if value == nil {
		return nil, violation("body", "must be an object")
	}
	r.Body = &validated{bytes.NewReader(text), value}
	return value, nil
}

// validated is a JSON body that was read. oapi-codegen's runtime binds the value
// itself where it can, so that the handler gets what was validated.
type validated struct {
	*bytes.Reader
	value any
}

func (v *validated) Close() error        { return nil }
func (v *validated) ValidatedValue() any { return v.value }
