package api

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"mayfly/internal/keys"
	"mayfly/internal/openapi"
	"mayfly/tickets"
)

// authenticate finds out who calls. Tickets and grants are only read here; whether
// they were ever issued the call itself finds out, which has to look anyway.
func (e *endpoints) authenticate(c *call, r *http.Request) error {
	if len(c.op.kinds) == 0 {
		return nil
	}
	if err := e.failures.exhausted(c.address); err != nil {
		return err
	}
	text, err := bearer(r.Header)
	if err != nil {
		return err
	}
	c.kind = c.op.kindOf(text)
	c.token, err = tickets.ParseToken(c.kind, text)
	if err != nil {
		return c.op.malformed(c.kind, text, err)
	}
	if c.kind != tickets.KindKey {
		return nil
	}
	key, err := e.Keys.FindKey(r.Context(), c.token.ID(), c.token.Hash())
	switch {
	case errors.Is(err, keys.ErrUnknown):
		return err
	case err != nil:
		return &tickets.StoreError{Op: "find the key", Err: err}
	case len(c.op.roles) > 0 && !slices.Contains(c.op.roles, key.Role):
		return &refusal{errForbidden, "The call needs a key with the role " + c.op.roleNames() + "."}
	}
	c.tenant, c.role = key.Tenant, key.Role
	return nil
}

// roleNames are the roles that may call, in words.
func (o *operation) roleNames() string {
	names := make([]string, len(o.roles))
	for i, role := range o.roles {
		names[i] = string(role)
	}
	return strings.Join(names, " or ")
}

// kindOf is which of the tokens that the call takes the text could be.
func (o *operation) kindOf(text string) tickets.Kind {
	for _, kind := range o.kinds {
		if strings.HasPrefix(text, string(kind)) {
			return kind
		}
	}
	return o.kinds[0]
}

// bearer is the token of the Authorization header (RFC 6750 §2.1), the one place
// where tokens are looked for.
func bearer(h http.Header) (string, error) {
	values := h["Authorization"]
	switch len(values) {
	case 0:
		return "", errTokenRequired
	case 1:
	default:
		return "", &refusal{tickets.ErrToken, "There is more than one Authorization header."}
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", &refusal{errTokenRequired, "The Authorization header must be: Bearer, a space and the token."}
	}
	return strings.Trim(token, " "), nil
}

// malformed says what is wrong with a token, without any of it.
func (o *operation) malformed(kind tickets.Kind, text string, err error) error {
	if !strings.HasPrefix(text, string(kind)) {
		begins := make([]string, len(o.kinds))
		for i, k := range o.kinds {
			begins[i] = string(k)
		}
		return &refusal{err, "A token for this call begins with " + strings.Join(begins, " or ") + "."}
	}
	return &refusal{err, "The token is mistyped or cut off: its length or its checksum is wrong."}
}

// countFailure counts calls with tokens that nobody issued.
func (e *endpoints) countFailure(c *call, p *problem) {
	switch p.code {
	case openapi.ProblemCodeMalformedToken, openapi.ProblemCodeUnknownKey, openapi.ProblemCodeUnknownGrant:
	case openapi.ProblemCodeUnknownTicket:
		if c.kind != tickets.KindTicket {
			return // a backend asks for one that it cannot revoke
		}
	case openapi.ProblemCodeUnknownReport:
		if c.kind != tickets.KindReport {
			return // a moderator asks for one of another tenant
		}
	default:
		return
	}
	e.failures.count(c.address)
}

// tokenPrefixes begin everything that must not stand in a URL.
var tokenPrefixes = [...]string{string(tickets.KindKey), string(tickets.KindGrant), string(tickets.KindTicket), string(tickets.KindReport)}

func looksLikeToken(s string) bool {
	for _, prefix := range tokenPrefixes {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}

// refuseTokensInURL refuses a call whose query holds a token: some proxy has logged
// it by now. It is told loudly, before anybody builds on it.
func refuseTokensInURL(fail func(http.ResponseWriter, *http.Request, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "" && queryHoldsToken(r) {
				fail(w, r, violation("query", "holds a token: tokens go into the Authorization header only. This one has been in a URL and may be logged; replace it"))
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func queryHoldsToken(r *http.Request) bool {
	for name, values := range r.URL.Query() {
		if looksLikeToken(name) {
			return true
		}
		for _, v := range values {
			v, _ = strings.CutPrefix(v, "Bearer ")
			if looksLikeToken(v) {
				return true
			}
		}
	}
	return false
}
