package reports

import (
	"crypto/sha256"
	_ "embed" // for the statement
	"strings"
	"time"

	"mayfly/blobstore"
)

// Statement is a text that a reporter reads before consenting, in one language.
type Statement struct {
	// ID names the text in all its languages, "mayfly-1". A text that is changed gets
	// another id.
	ID string
	// Locale is a language tag (BCP 47), "en".
	Locale string
	Text   string
}

// SHA256 is of the exact text.
func (s Statement) SHA256() blobstore.Digest { return sha256.Sum256([]byte(s.Text)) }

//go:embed consent_en.txt
var builtinText string

// defaultLocale is what a consent that names none is in.
const defaultLocale = "en"

// BuiltinStatement is what reporters are shown where an operator has not set a text.
func BuiltinStatement() Statement {
	return Statement{ID: "mayfly-1", Locale: defaultLocale, Text: strings.TrimSpace(builtinText)}
}

// Consent is the record of a consent.
type Consent struct {
	// Statement and Locale name the text that was shown, SHA256 is the text's.
	Statement, Locale string
	SHA256            blobstore.Digest
	At                time.Time
	// Shared is what the consent lets the moderators have.
	Shared []string
}

// What a consent can be about.
const (
	SharedMedia   = "media"
	SharedKey     = "key"
	SharedComment = "comment"
)

// Given is what a reporter's client says of the consent.
type Given struct {
	Granted           bool
	Statement, Locale string
}

// record checks a consent, and makes the record of it.
func (g *Given) record(statements []Statement, comment string, now time.Time) (Consent, error) {
	if g == nil || !g.Granted {
		return Consent{}, ErrConsentRequired
	}
	locale := g.Locale
	if locale == "" {
		locale = defaultLocale
	}
	known := false
	for _, s := range statements {
		if s.ID != g.Statement {
			continue
		}
		known = true
		if !strings.EqualFold(s.Locale, locale) {
			continue
		}
		shared := []string{SharedMedia, SharedKey}
		if comment != "" {
			shared = append(shared, SharedComment)
		}
		return Consent{Statement: s.ID, Locale: s.Locale, SHA256: s.SHA256(), At: now, Shared: shared}, nil
	}
	if known {
		return Consent{}, &FieldError{"consent.locale", "is none in which the statement is offered"}
	}
	return Consent{}, &FieldError{"consent.statement", "is not one of the statements that are offered"}
}
