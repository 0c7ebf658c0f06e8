package client

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"mayfly/internal/openapi"
)

// Problem is an answer that says no (RFC 9457).
type Problem struct {
	// Code is stable, one of openapi.yaml's: "opened". Empty if a proxy answered
	// in Mayfly's place.
	Code string
	// Title is the same for every problem with this code.
	Title string
	// Status is the HTTP status.
	Status int
	// Detail says what was wrong this time. May be empty.
	Detail string
	// RequestID finds the request in the server's log.
	RequestID string
	// Errors are the fields that are wrong.
	Errors []FieldProblem
	// RetryAfter is how long the server asks to wait; 0 if it does not say.
	RetryAfter time.Duration
}

// FieldProblem says which field is wrong, and why.
type FieldProblem struct{ Field, Problem string }

func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(strings.TrimSuffix(p.Title, "."))
	if p.Detail != "" {
		b.WriteString(": " + strings.TrimSuffix(p.Detail, "."))
	}
	for _, e := range p.Errors {
		if text := e.Field + " " + e.Problem; !strings.Contains(p.Detail, text) {
			b.WriteString("; " + text)
		}
	}
	if p.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", p.RequestID)
	}
	return b.String()
}

const (
	maxProblem = 64 << 10 // bytes of a problem's body that are read
	maxText    = 512      // bytes of each text in it that are kept
)

// problemOf reads the answer as a problem. It closes nothing.
func problemOf(resp *http.Response) *Problem {
	p := &Problem{
		Status:     resp.StatusCode,
		Title:      strings.TrimSpace(fmt.Sprintf("HTTP status %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))),
		RetryAfter: retryAfter(resp.Header.Get("Retry-After")),
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "application/problem+json" {
		return p
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	var body openapi.Problem
	if err != nil || json.Unmarshal(raw, &body) != nil || body.Code == "" {
		return p
	}
	p.Code, p.RequestID = clean(string(body.Code)), clean(body.RequestID)
	if title := clean(body.Title); title != "" {
		p.Title = title
	}
	if body.Detail != nil {
		p.Detail = clean(*body.Detail)
	}
	if body.Errors != nil {
		for _, e := range (*body.Errors)[:min(len(*body.Errors), 32)] {
			p.Errors = append(p.Errors, FieldProblem{clean(e.Field), clean(e.Problem)})
		}
	}
	return p
}

// retryAfter reads seconds or a date (RFC 9110 §10.2.3).
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.ParseInt(header, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

var (
	// secrets are tokens and claim keys by their looks: a claim key of this client
	// is 43 characters of base64url.
	secrets = regexp.MustCompile(`mf[a-z]_[0-9A-Za-z]+|[0-9A-Za-z_-]{43,}`)
	digests = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// clean makes a server's text fit to print: short, without control characters,
// and without secrets that the server may have echoed (P8).
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.C, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = secrets.ReplaceAllStringFunc(s, func(found string) string {
		if digests.MatchString(found) {
			return found
		}
		return "[redacted]"
	})
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}
