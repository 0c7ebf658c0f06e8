package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"mayfly/expiry"
	"mayfly/internal/openapi"
	"mayfly/reports"
	"mayfly/tickets"
)

// maxViolations bounds an answer; what a mebibyte of wrong fields would make is no
// help to anybody.
const maxViolations = 1024

// violations are what is wrong with a request, field by field. A field is named as
// the client knows it: "recipients[3]", "query expires_in", "Claim-Key". Values are
// never quoted: they may be secrets.
type violations struct{ list []openapi.FieldProblem }

func (v *violations) Error() string {
	if len(v.list) == 0 {
		return "malformed"
	}
	return v.list[0].Field + " " + v.list[0].Problem
}

func (v *violations) add(field, problem string) {
	if len(v.list) < maxViolations {
		v.list = append(v.list, openapi.FieldProblem{Field: field, Problem: problem})
	}
}

// err is the violations as an error, nil if there are none.
func (v *violations) err() error {
	if len(v.list) == 0 {
		return nil
	}
	return v
}

func violation(field, problem string) error {
	return &violations{[]openapi.FieldProblem{{Field: field, Problem: problem}}}
}

// fieldProblems collects what this package and the domain say of fields.
func fieldProblems(c *call, err error) []openapi.FieldProblem {
	switch e := err.(type) {
	case nil:
		return nil
	case *violations:
		return e.list
	case *tickets.FieldError:
		field := e.Field
		if c.mediaType == mediaBytes {
			// The body is the bytes: all that the domain can complain of was a query
			// parameter, where each recipient has one of its own.
			field = "query " + strings.Replace(field, "recipients", "recipient", 1)
		}
		return []openapi.FieldProblem{{Field: field, Problem: e.Problem}}
	case *expiry.PolicyFieldError:
		return []openapi.FieldProblem{{Field: e.Field, Problem: e.Problem}}
	case *reports.FieldError:
		return []openapi.FieldProblem{{Field: e.Field, Problem: e.Problem}}
	case interface{ Unwrap() []error }:
		var all []openapi.FieldProblem
		for _, err := range e.Unwrap() {
			all = append(all, fieldProblems(c, err)...)
		}
		return all
	}
	return fieldProblems(c, errors.Unwrap(err))
}

// schema adds what the validator found. name turns a path in the value into the
// name of a field.
func (v *violations) schema(err error, name func(path []string) string) {
	switch e := err.(type) {
	case nil:
	case openapi3.MultiError:
		for _, err := range e {
			v.schema(err, name)
		}
	case *openapi3.SchemaError:
		path := e.JSONPointer()
		if e.SchemaField == "properties" {
			path = append(path, unknownField(e))
		}
		v.add(name(path), saying(e))
	default:
		v.add(name(nil), "is malformed")
	}
}

// unknownField is the name of a field that the schema does not have: the validator
// has it in its text only. A client's own words are repeated only where they are
// a plausible slip of the pen, and no secret in the wrong place.
func unknownField(e *openapi3.SchemaError) string {
	quoted, err := strconv.QuotedPrefix(strings.TrimPrefix(e.Reason, "property "))
	if err != nil {
		return "?"
	}
	name, err := strconv.Unquote(quoted)
	if err != nil || !harmless(name) {
		return "?"
	}
	return name
}

// harmless reports whether a name is fit to be repeated.
func harmless(name string) bool {
	if name == "" || len(name) > 40 || looksLikeToken(name) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// saying is a violation in words.
func saying(e *openapi3.SchemaError) string {
	s := e.Schema
	switch e.SchemaField {
	case "properties":
		return "is not a field of this call"
	case "required":
		return "is required"
	case "type", "nullable":
		if s.Type.Is(openapi3.TypeInteger) {
			return "must be a whole number"
		}
		return "must be " + article(s.Type)
	case "minimum":
		return "must be at least " + plain(*s.Min)
	case "maximum":
		return "must be at most " + plain(*s.Max)
	case "minLength":
		return fmt.Sprintf("must have at least %d characters", s.MinLength)
	case "maxLength":
		return fmt.Sprintf("is longer than %d characters", *s.MaxLength)
	case "minItems":
		return fmt.Sprintf("must have at least %d entries", s.MinItems)
	case "maxItems":
		return fmt.Sprintf("must have at most %d entries", *s.MaxItems)
	case "pattern":
		return "must match " + s.Pattern
	}
	return "is malformed"
}

func article(t *openapi3.Types) string {
	names := t.Slice()
	if len(names) == 0 {
		return "something else"
	}
	switch name := names[0]; name {
	case openapi3.TypeArray, openapi3.TypeObject, openapi3.TypeInteger:
		return "an " + name
	default:
		return "a " + name
	}
}

func plain(f float64) string {
	if f == math.Trunc(f) {
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// bodyField is a path in a JSON body: recipients[3].
func bodyField(path []string) string {
	if len(path) == 0 {
		return "body"
	}
	var b strings.Builder
	for i, key := range path {
		if _, err := strconv.Atoi(key); err == nil && i > 0 {
			b.WriteString("[" + key + "]")
			continue
		}
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(key)
	}
	return b.String()
}

// unbound is what the generated code says of a parameter, or of a JSON body that
// passed the validator and yet does not fit: 1e3 is an integer to a schema, and not
// to Go.
func unbound(err error) error {
	if e, ok := errors.AsType[*openapi.InvalidParamFormatError](err); ok {
		return violation(e.ParamName, "is malformed")
	}
	if e, ok := errors.AsType[*openapi.TooManyValuesForParamError](err); ok {
		return violation(e.ParamName, "is given more than once")
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
		return violation(e.Field, "must be a whole number of 64 bits, written without point or exponent")
	}
	return violation("body", "is malformed")
}
