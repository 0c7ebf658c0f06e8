package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"

	"mayfly/internal/openapi"
	"mayfly/reports/envelope"
	"mayfly/tickets"
)

// Each refused report leaves everything as it was: no row, no pin, no evidence, no entry.
func TestRefusedReports(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	media := content(1000)
	blob, tokens := w.store(media, "recipient=a&recipient=b")
	_, grant, pending := w.announce(`{"size":10}`)
	moderator := w.moderator()
	good := w.filing(blob, media)
	ticket := tokens[0]
	other := w.file(tokens[1], good)
	w.copyDue(1)
	w.claim(other, moderator)
	pulled := w.pull(other, moderator)
	consent := func(fields map[string]any) filing { return good.with("consent", fields) }
	sealedKey := func(text string) filing { return good.with("sealed_key", text) }
	stranger := newIdentity(w).Recipient()
	idempotency := func(key string) with { return header("Idempotency-Key", key) }
	sealedLine := strings.Split(good["sealed_key"].(string), "\n")[1]
	const keyProblem = "Idempotency-Key must be 16 to 128 visible ASCII characters"

	for _, c := range []struct {
		name   string
		status int
		code   openapi.ProblemCode
		token  string
		filing filing
		with   with
		fields string
	}{
		{"no token", 401, "token_required", "", good, nil, ""},
		{"forged ticket", 404, "unknown_ticket", tickets.NewToken(tickets.KindTicket, [16]byte{1}).Reveal(), good, nil, ""},
		{"forged secret", 404, "unknown_ticket", tickets.NewToken(tickets.KindTicket, ticketOf(w, ticket).ID()).Reveal(), good, nil, ""},
		{"cut ticket", 401, "malformed_token", ticket[:len(ticket)-1], good, nil, ""},
		{"mistyped ticket", 401, "malformed_token", mistyped(ticket), good, nil, ""},
		{"backend's key", 401, "malformed_token", w.key, good, nil, ""},
		{"moderator's key", 401, "malformed_token", moderator, good, nil, ""},
		{"grant", 401, "malformed_token", grant, good, nil, ""},
		{"handle", 401, "malformed_token", other.Token, good, nil, ""},
		{"moderator's ticket", 409, "not_reportable", pulled.Token, good, nil, ""},
		{"nothing uploaded", 409, "not_uploaded", pending[0], good, nil, ""},

		{"no consent", 422, "consent_required", ticket, good.with("consent", nil), nil, ""},
		{"consent refused", 422, "consent_required", ticket, consent(map[string]any{"granted": false, "statement": "mayfly-1"}), nil, ""},
		{"consent refused, and all else wrong", 422, "consent_required", ticket, filing{"reason": "nonsense", "sealed_key": "x"}, nil, ""},
		{"consent as text", 400, "invalid_request", ticket, consent(map[string]any{"granted": "true", "statement": "mayfly-1"}), nil, "consent.granted must be a boolean"},
		{"consent to nothing", 400, "invalid_request", ticket, consent(map[string]any{"granted": true}), nil, "consent.statement is required"},
		{"consent null", 400, "invalid_request", ticket, filing{"reason": "harassment", "consent": nil, "sealed_key": "x"}, nil, "consent must be an object"},
		{"other statement", 400, "invalid_request", ticket, consent(map[string]any{"granted": true, "statement": "mayfly-2"}), nil, "consent.statement is not one of the statements that are offered"},
		{"other locale", 400, "invalid_request", ticket, consent(map[string]any{"granted": true, "statement": "mayfly-1", "locale": "tlh"}), nil, "consent.locale is none in which the statement is offered"},
		{"more consent", 400, "invalid_request", ticket, consent(map[string]any{"granted": true, "statement": "mayfly-1", "also": true}), nil, "consent.also is not a field of this call"},

		{"no reason", 400, "invalid_request", ticket, good.with("reason", nil), nil, "reason is required"},
		{"unknown reason", 400, "invalid_request", ticket, good.with("reason", "boredom"), nil, "reason is not one of: harassment, threat, hate, sexual, minor_safety, self_harm, violence, fraud, illegal, other"},
		{"long comment", 400, "invalid_request", ticket, good.with("comment", strings.Repeat("x", 2001)), nil, "comment is longer than 2000 characters"},
		{"comment with NUL", 400, "invalid_request", ticket, good.with("comment", "a\x00b"), nil, "comment is not UTF-8 text without NUL"},
		{"unknown field", 400, "invalid_request", ticket, good.with("reporter", "me"), nil, "reporter is not a field of this call"},

		{"no sealed key", 400, "invalid_request", ticket, good.with("sealed_key", nil), nil, "sealed_key is missing"},
		{"empty sealed key", 400, "invalid_request", ticket, sealedKey(""), nil, "sealed_key must have at least 1 characters"},
		{"large sealed key", 400, "invalid_request", ticket, sealedKey(strings.Repeat("x", 65_537)), nil, "sealed_key is longer than 65536 characters"},
		{"large in bytes", 413, "too_large", ticket, sealedKey(strings.Repeat("ä", 65_536)), nil, ""},
		{"too much sealed", 413, "too_large", ticket, sealedKey(addressed(w, bytes.Repeat([]byte("x"), 8<<10+1), w.recipients...)), nil, ""},
		{"no age file", 422, "sealed_key_refused", ticket, sealedKey("what is no age file"), nil, ""},
		{"binary age file", 422, "sealed_key_refused", ticket, sealedKey("age-encryption.org/v1\n-> X25519 x\n"), nil, ""},
		{"cut age file", 422, "sealed_key_refused", ticket, sealedKey(good["sealed_key"].(string)[:300]), nil, ""},
		{"two age files", 422, "sealed_key_refused", ticket, sealedKey(good["sealed_key"].(string) + good["sealed_key"].(string)), nil, ""},
		{"plain age file", 422, "sealed_key_refused", ticket, sealedKey(plainAge(w, recipientKey(w, w.recipients[0]))), nil, ""},
		{"passphrase", 422, "sealed_key_refused", ticket, sealedKey(plainAge(w, passphrase(w))), nil, ""},
		{"unknown recipient", 422, "unknown_recipient", ticket, sealedKey(w.sealed(blob, media, stranger)), nil, ""},
		{"one unknown recipient", 422, "unknown_recipient", ticket, sealedKey(w.sealed(blob, media, w.recipients[0], stranger)), nil, ""},

		{"short key", 400, "invalid_request", ticket, good, idempotency("fifteen-letters"), keyProblem},
		{"long key", 400, "invalid_request", ticket, good, idempotency(strings.Repeat("k", 129)), keyProblem},
		{"key with a space", 400, "invalid_request", ticket, good, idempotency("sixteen or more letters"), keyProblem},
		{"key of umlauts", 400, "invalid_request", ticket, good, idempotency(strings.Repeat("ü", 16)), keyProblem},
		{"empty key", 400, "invalid_request", ticket, good, idempotency(""), keyProblem},
		{"two keys", 400, "invalid_request", ticket, good, func(r *http.Request) {
			r.Header["Idempotency-Key"] = []string{"0123456789abcdef", "0123456789abcdef"}
		}, "Idempotency-Key is given more than once"},
		{"no JSON", 415, "unsupported_media_type", ticket, good, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, ""},
		{"report in the query", 400, "invalid_request", ticket, good, func(r *http.Request) { r.URL.RawQuery = "reason=harassment" }, "query reason is not a parameter of this call"},

		{"the same ticket again", 409, "already_reported", tokens[1], good, nil, ""},
		{"and with a key", 409, "already_reported", tokens[1], good, idempotency("0123456789abcdef"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.in(t)
			options := []with{c.filing.body()}
			if c.with != nil {
				options = append(options, c.with)
			}
			w.unchanged("a refused report", func() {
				_, text := w.want(c.status, "POST /v1/reports", c.token, options...)
				var p openapi.Problem
				if err := json.Unmarshal(text, &p); err != nil || p.Code != c.code {
					t.Errorf("code %s, want %s", p.Code, c.code)
				}
				if c.fields != "" {
					checkFields(t, text, c.fields)
				}
				for _, sent := range []string{reportersComment, sealedLine, "X25519 ", "what is no"} {
					if bytes.Contains(text, []byte(sent)) {
						t.Errorf("what was sent comes back: %s", text)
					}
				}
			})
		})
	}
	if r, err := w.reports.CopyDue(t.Context()); err != nil || r.Copied+r.Awaiting+r.Failed != 0 {
		t.Errorf("something was copied: %+v, %v", r, err)
	}
	// All that was wrong was that.
	w.file(ticket, good.with("comment", strings.Repeat("😀", 2000)))
}

func ticketOf(w *world, text string) tickets.Token {
	w.Helper()
	token, err := tickets.ParseToken(tickets.KindTicket, text)
	if err != nil {
		w.Fatal(err)
	}
	return token
}

// plainAge is what age makes by itself.
func plainAge(w *world, to ...age.Recipient) string {
	w.Helper()
	return encrypted(w, bytes.Repeat([]byte("x"), 200), to...)
}

func encrypted(w *world, data []byte, to ...age.Recipient) string {
	w.Helper()
	var b bytes.Buffer
	a := armor.NewWriter(&b)
	out, err := age.Encrypt(a, to...)
	if err != nil {
		w.Fatal(err)
	}
	_, err1 := out.Write(data)
	if err := errors.Join(err1, out.Close(), a.Close()); err != nil {
		w.Fatal(err)
	}
	return b.String()
}

// addressed seals anything, with the stanza that says for whom.
func addressed(w *world, data []byte, to ...envelope.Recipient) string {
	w.Helper()
	head := stanza{age.Stanza{Type: "mayfly-to"}}
	all := []age.Recipient{&head}
	for _, r := range to {
		head.Args = append(head.Args, r.ID())
		all = append(all, recipientKey(w, r))
	}
	return encrypted(w, data, all...)
}

type stanza struct{ age.Stanza }

func (s *stanza) Wrap([]byte) ([]*age.Stanza, error) { return []*age.Stanza{&s.Stanza}, nil }

func recipientKey(w *world, r envelope.Recipient) age.Recipient {
	w.Helper()
	key, err := age.ParseX25519Recipient(r.String())
	if err != nil {
		w.Fatal(err)
	}
	return key
}

func passphrase(w *world) age.Recipient {
	w.Helper()
	r, err := age.NewScryptRecipient("correct horse battery staple")
	if err != nil {
		w.Fatal(err)
	}
	r.SetWorkFactor(10)
	return r
}

// With an Idempotency-Key a lost answer can be asked for again, the handle included; the
// key is good for this request only.
func TestIdempotentReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	media := content(1000)
	blob, tokens := w.store(media, "recipient=a&recipient=b&recipient=c")
	f, key := w.filing(blob, media), header("Idempotency-Key", "8e03978e-40d5-43dd-bc93-6894a57f9324")
	first, text := w.want(201, "POST /v1/reports", tokens[0], f.body(), key)
	created := decode[openapi.CreatedReport](w, text)

	w.unchanged("a repetition", func() {
		again, repeated := w.want(201, "POST /v1/reports", tokens[0], f.body(), key)
		if !bytes.Equal(text, repeated) || again.Header.Get("Location") != first.Header.Get("Location") {
			t.Errorf("another answer:\n%s\n%s", text, repeated)
		}
		for name, value := range map[string]any{
			"reason": "threat", "comment": "other words", "sealed_key": w.sealed(blob, media, w.recipients...),
			"consent": map[string]any{"granted": true, "statement": "mayfly-1"},
		} {
			w.refused(422, "idempotency_mismatch", "POST /v1/reports", tokens[0], f.with(name, value).body(), key)
		}
		w.refused(409, "already_reported", "POST /v1/reports", tokens[0], f.body())
		w.refused(409, "already_reported", "POST /v1/reports", tokens[0], f.body(), header("Idempotency-Key", "another-key-of-16"))
	})
	w.copyDue(1)
	// The handle stays; the state is as it is by now.
	late := w.file(tokens[0], f, key)
	if late.Token != created.Token || late.ID != created.ID || late.State != "open" {
		t.Errorf("%+v", late)
	}
	// The same key with another ticket is another report, with another handle.
	second := w.file(tokens[1], f, key)
	third := w.file(tokens[2], f)
	if second.ID == created.ID || second.Token == created.Token || third.Token == second.Token {
		t.Errorf("%+v %+v %+v", created, second, third)
	}
	w.want(204, "DELETE "+path(created, ""), created.Token)
	if late := w.file(tokens[0], f, key); late.State != "withdrawn" || late.Token != created.Token {
		t.Errorf("%+v", late)
	}
	if dump := strings.Join(w.everything(), "\n"); strings.Contains(dump, created.Token) || strings.Contains(dump, "8e03978e-40d5-43dd-bc93-6894a57f9324") {
		t.Error("the handle or the key is kept in the clear (P8)")
	}
}

// Without moderators there is nobody to report to; what was reported before stays.
func TestModerationOff(t *testing.T) {
	t.Parallel()
	none := func(w *world) { w.api.Reports = Reports{} }
	for name, off := range map[string]option{"no recipients": withoutModerators, "no service": none} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, off)
			media := content(100)
			blob, tokens := w.store(media, "")
			_, b := w.want(200, "GET /v1/moderation/recipients", "")
			if strings.TrimSpace(string(b)) != `{"reasons":[],"recipients":[],"statements":[]}` {
				t.Errorf("%s", b)
			}
			elsewhere := w.in(t)
			elsewhere.recipients = []envelope.Recipient{newIdentity(w).Recipient()}
			f := elsewhere.filing(blob, media)
			w.unchanged("a report", func() {
				w.refused(503, "moderation_off", "POST /v1/reports", tokens[0], f.body())
				w.refused(503, "moderation_off", "POST /v1/reports", tokens[0], jsonBody(`{"reason":"harassment"}`))
			})
			if name == "no recipients" {
				w.want(200, "GET /v1/reports", w.moderator())
				return
			}
			handle := tickets.NewToken(tickets.KindReport, [16]byte{1})
			for _, call := range moderatorCalls("/v1/reports/" + handle.ID().String()) {
				w.refused(503, "moderation_off", call.call, w.moderator(), call.options...)
			}
			w.refused(503, "moderation_off", "GET /v1/audit", w.ops)
			w.refused(503, "moderation_off", "PUT /v1/reports/"+handle.ID().String()+"/media", handle.Reveal(), bytesBody(media))
			w.refused(503, "moderation_off", "DELETE /v1/reports/"+handle.ID().String(), handle.Reveal())
		})
	}
}

// What is offered is all that a client needs, and right.
func TestModerationOffer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, b := w.want(200, "GET /v1/moderation/recipients", "")
	offer := decode[openapi.Moderation](w, b)
	if len(offer.Recipients) != 1 || offer.Recipients[0].Recipient != w.recipients[0].String() || offer.Recipients[0].ID != w.recipients[0].ID() ||
		len(offer.Statements) != 1 || offer.Statements[0].Sha256 != hexSum(offer.Statements[0].Text) || !slices.Contains(offer.Reasons, "harassment") {
		t.Errorf("%+v", offer)
	}
	w.reports.Recipients = func(context.Context) ([]envelope.Recipient, error) { return nil, errRows }
	w.refused(503, "unavailable", "GET /v1/moderation/recipients", "")
}

// A store that fails is told as such, and leaves no report behind.
func TestReportStoreFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	media := content(100)
	blob, tokens := w.store(media, "")
	f := w.filing(blob, media)
	w.sql(`CREATE TRIGGER no_log BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no log'); END`)
	w.unchanged("an unlogged report", func() {
		_, resp := w.refused(503, "unavailable", "POST /v1/reports", tokens[0], f.body())
		if resp.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	})
	w.sql(`DROP TRIGGER no_log`)
	created := w.file(tokens[0], f)
	w.copyDue(1)
	alice := w.moderator()
	w.sql(`CREATE TRIGGER no_log BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no log'); END`)
	w.unchanged("an unlogged act", func() {
		w.refused(503, "unavailable", "POST "+path(created, "/claim"), alice)
		w.refused(503, "unavailable", "DELETE "+path(created, ""), created.Token)
	})
}

// Tokens that nobody issued are counted, whatever they are for.
func TestUnknownHandlesAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withLimits(Limits{FailuresPerAddress: 3, PerAddress: -1, PerToken: -1}))
	created := w.reported(content(100))
	moderator := w.moderator()
	// A moderator who asks for what is not there is no stranger.
	for range 10 {
		w.refused(404, "unknown_report", "GET /v1/reports/0193b1c4-1f2e-7a3b-9c4d-5e6f708192a3", moderator)
	}
	handle := tickets.NewToken(tickets.KindReport, created.ID)
	for i, call := range []string{"GET " + path(created, ""), "DELETE " + path(created, ""), "PUT " + path(created, "/media")} {
		options := []with{}
		if i == 2 {
			options = append(options, bytesBody(content(100)))
		}
		w.refused(404, "unknown_report", call, handle.Reveal(), options...)
	}
	w.refused(429, "rate_limited", "GET "+path(created, ""), handle.Reveal())
	w.refused(429, "rate_limited", "GET "+path(created, ""), created.Token)
	w.refused(429, "rate_limited", "POST /v1/reports", tickets.NewToken(tickets.KindTicket, [16]byte{}).Reveal(), jsonBody(`{"reason":"other"}`))
}
