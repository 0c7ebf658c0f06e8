package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/internal/client"
	"mayfly/internal/client/clienttest"
	"mayfly/internal/formats"
	"mayfly/reports/envelope"
	"mayfly/tickets"
)

// moderated is what a server in memory answers to a reporter.
type moderated struct {
	ids      []envelope.Identity
	handle   tickets.Token
	state    string
	blob     uuid.UUID
	sealed   []byte // what the link leads to
	filed    []map[string]any
	brought  []byte
	offering map[string]any
}

const consentText = "I agree that a copy is kept.\nI can withdraw it."

// moderated lets the server take reports to so many moderators, and makes a link.
func (x *exchange) moderated(moderators int) (*moderated, link) {
	x.Helper()
	m := &moderated{handle: tickets.NewToken(tickets.KindReport, uuid.New()), state: "copying", blob: uuid.New()}
	l := x.link([]byte("media"))
	m.sealed, _, _ = x.server.Blob()
	var recipients []map[string]string
	for range moderators {
		id, err := envelope.GenerateIdentity(false)
		if err != nil {
			x.Fatal(err)
		}
		m.ids = append(m.ids, id)
		recipients = append(recipients, map[string]string{"id": id.Recipient().ID(), "recipient": id.Recipient().String()})
	}
	m.offering = map[string]any{
		"recipients": recipients, "reasons": []string{"threat", "other"},
		"statements": []any{statement("mayfly-1", "de", "Ich stimme zu."), statement("mayfly-1", "en", consentText)},
	}
	for _, fault := range []struct {
		call string
		say  func(w http.ResponseWriter, r *http.Request)
	}{
		{"GET /v1/moderation/recipients", func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(m.offering) }},
		{"GET /v1/ticket", func(w http.ResponseWriter, r *http.Request) {
			view := map[string]any{"state": "opened", "blob_id": m.blob, "size": len(m.sealed), "expires_at": "2026-12-01T00:00:00Z"}
			if m.sealed != nil {
				view["sha256"] = blobstore.Digest(sha256.Sum256(m.sealed))
			}
			json.NewEncoder(w).Encode(view)
		}},
		{"POST /v1/reports", func(w http.ResponseWriter, r *http.Request) {
			var body map[string]any
			json.NewDecoder(r.Body).Decode(&body)
			m.filed = append(m.filed, body)
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"id":%q,"state":%q,"token":%q,"media_until":"2026-12-01T00:00:00Z"}`, m.handle.ID(), m.state, m.handle.Reveal())
		}},
		{"PUT /v1/reports/" + m.handle.ID().String() + "/media", func(w http.ResponseWriter, r *http.Request) {
			m.brought, _ = io.ReadAll(r.Body)
			fmt.Fprintf(w, `{"id":%q,"state":"open"}`, m.handle.ID())
		}},
	} {
		x.server.Fail(fault.call, slices.Repeat([]clienttest.Fault{
			func(w http.ResponseWriter, r *http.Request, _ http.Handler) { fault.say(w, r) },
		}, 20)...)
	}
	return m, l
}

func statement(id, locale, text string) map[string]any {
	return map[string]any{"id": id, "locale": locale, "text": text, "sha256": blobstore.Digest(sha256.Sum256([]byte(text)))}
}

// report reports a link. Nothing that is told but the handle's one output is secret.
func (x *exchange) report(l link, c reportFileCmd) (printed string, err error) {
	x.Helper()
	x.out.Reset()
	x.err.Reset()
	err = c.file(x.Context(), x.terminal(""), x.client, l)
	x.keepsSecrets(fmt.Sprint(err))
	if strings.Contains(fmt.Sprint(err)+x.err.String(), "mfr_") {
		x.Errorf("tells the handle: %v, %s", err, x.err.String())
	}
	return x.out.String(), err
}

// Each of the moderators, and nobody else, can open what is sealed, and it is of this blob.
func TestReportSeals(t *testing.T) {
	on(t, func(x *exchange) {
		m, l := x.moderated(3)
		l.name = strings.Repeat("é", 300) + ".jpg"
		printed, err := x.report(l, reportFileCmd{Reason: "threat", Consent: true, Comment: "twice"})
		if err != nil || printed != m.handle.Reveal()+"\n" || len(m.filed) != 1 {
			x.Fatalf("%d filed: %v", len(m.filed), err)
		}
		body := m.filed[0]
		if fmt.Sprintf("%v %v %v", body["reason"], body["comment"], body["consent"]) != "threat twice map[granted:true locale:en statement:mayfly-1]" {
			x.Errorf("filed %v %v %v", body["reason"], body["comment"], body["consent"])
		}
		for _, id := range m.ids {
			contents, err := envelope.Open(body["sealed_key"].(string), id)
			if err != nil {
				x.Fatal(err)
			}
			if err := contents.BoundTo(m.blob, sha256.Sum256(m.sealed), int64(len(m.sealed))); err != nil {
				x.Error(err)
			}
			key, err := formats.Parse(contents.Format, contents.Key)
			if err != nil {
				x.Fatal(err)
			}
			var plain bytes.Buffer
			if err := key.Decrypt(x.Context(), &plain, bytes.NewReader(m.sealed), int64(len(m.sealed))); err != nil || plain.String() != "media" {
				x.Errorf("%q, %v", &plain, err)
			}
			if contents.Format != formats.Age || contents.Name != strings.Repeat("é", 256) {
				x.Errorf("format %s, a name of %d bytes", contents.Format, len(contents.Name))
			}
		}
		if state := x.server.State(l.ticket); state != "ready" {
			x.Errorf("the ticket is %s", state)
		}
		for _, told := range []string{"    I agree that a copy is kept.\n    I can withdraw it.\n", "mayfly report withdraw --server http://localhost -"} {
			if !strings.Contains(x.err.String(), told) {
				x.Errorf("does not tell %q: %s", told, x.err.String())
			}
		}
		// As JSON; in another language; in one that is near.
		printed, err = x.report(l, reportFileCmd{Reason: "other", Consent: true, JSON: true, Locale: "de-AT"})
		var got filedReport
		if err != nil || json.Unmarshal([]byte(printed), &got) != nil || got.ID != m.handle.ID() || got.Handle != m.handle.Reveal() || got.State != "copying" {
			x.Errorf("%v: %s", err, printed)
		}
		if consent := fmt.Sprint(m.filed[1]["consent"]); consent != "map[granted:true locale:de statement:mayfly-1]" || !strings.Contains(x.err.String(), "Ich stimme zu.") {
			x.Errorf("consent %s, told %s", consent, x.err.String())
		}
	})
}

// What keeps it from being a report is told at once, and the server is told nothing.
func TestReportUsage(t *testing.T) {
	for name, c := range map[string]struct {
		cmd  reportFileCmd
		want []string
	}{
		"nothing":        {reportFileCmd{}, []string{"--reason is missing; the reasons are threat, other", "needs your consent to this (mayfly-1, en):\n\n    I agree that a copy is kept.\n    I can withdraw it.\n\nIf you consent, say so with --consent"}},
		"no consent":     {reportFileCmd{Reason: "threat"}, []string{"needs your consent"}},
		"no such reason": {reportFileCmd{Reason: "spam", Consent: true}, []string{`"spam" is none; the reasons are threat, other`}},
		"no such text":   {reportFileCmd{Reason: "threat", Consent: true, Locale: "fr"}, []string{`no statement in "fr", but in de, en`}},
		"a long comment": {reportFileCmd{Reason: "threat", Consent: true, Comment: strings.Repeat("é", 2001)}, []string{"2001 characters are more than 2000"}},
		"no comment":     {reportFileCmd{Reason: "threat", Consent: true, Comment: "\xff"}, []string{"not UTF-8"}},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(x *exchange) {
				m, l := x.moderated(1)
				printed, err := x.report(l, c.cmd)
				if !errors.As(err, new(usageError)) || printed != "" || len(m.filed) != 0 {
					x.Errorf("printed %q: %v", printed, err)
				}
				for _, want := range c.want {
					if !strings.Contains(fmt.Sprint(err), want) {
						x.Errorf("does not tell %q: %v", want, err)
					}
				}
				if calls := x.server.Requests(); fmt.Sprint(calls) != "[GET /v1/moderation/recipients]" {
					x.Errorf("called %v", calls)
				}
			})
		})
	}
}

func TestReportRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(x *exchange, m *moderated)
		want   string
	}{
		"no moderators": {func(x *exchange, m *moderated) { m.offering = map[string]any{} }, "takes no reports"},
		"a terminal's orders": {func(x *exchange, m *moderated) {
			m.offering["statements"] = []any{statement("a", "en", "I \x1b[8magree.")}
		}, "control characters"},
		"no recipient": {func(x *exchange, m *moderated) {
			m.offering["recipients"] = []any{map[string]string{"recipient": "age1no"}}
		}, "the server's recipient 1 of 1: unusable recipient"},
		"twice the same": {func(x *exchange, m *moderated) {
			one := map[string]string{"recipient": m.ids[0].Recipient().String()}
			m.offering["recipients"] = []any{one, one}
		}, "is there twice"},
		"not uploaded": {func(_ *exchange, m *moderated) { m.sealed = nil }, "not uploaded yet"},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(x *exchange) {
				m, l := x.moderated(1)
				c.change(x, m)
				printed, err := x.report(l, reportFileCmd{Reason: "threat", Consent: true})
				if err == nil || !strings.Contains(err.Error(), c.want) || printed != "" || len(m.filed) != 0 {
					x.Errorf("printed %q: %v", printed, err)
				}
			})
		})
	}
	for code, want := range map[string]string{
		"already_reported": "used for a report before", "moderation_off": "takes no reports", "unknown_recipient": "report again", "internal": "never said whether it did",
		"rate_limited": "try again later", "unknown_ticket": "the server does not know this link",
	} {
		problem := &client.Problem{Code: code, Title: "T."}
		err := error(problem)
		if code == "internal" {
			err = &client.UnansweredReportError{Err: problem}
		}
		if err := notReported(t.Context(), err); !strings.Contains(err.Error(), want) || !errors.As(err, new(*client.Problem)) {
			t.Errorf("%s: %v", code, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := notReported(ended, context.Canceled); !strings.Contains(err.Error(), "interrupted before anything was reported") {
		t.Error(err)
	}
}

// The bytes that the server has erased are brought, if they are the right ones.
func TestReportMedia(t *testing.T) {
	on(t, func(x *exchange) {
		m, l := x.moderated(1)
		m.state = "awaiting_media"
		right, wrong, short := filepath.Join(x.dir, "right"), filepath.Join(x.dir, "wrong"), filepath.Join(x.dir, "short")
		other := slices.Clone(m.sealed)
		other[0] ^= 1
		for path, content := range map[string][]byte{right: m.sealed, wrong: other, short: m.sealed[1:]} {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				x.Fatal(err)
			}
		}
		for path, want := range map[string]string{
			wrong: "it is not what was reported, by its SHA-256", short: "what was reported has", x.dir: "no regular file", filepath.Join(x.dir, "absent"): "no such file",
		} {
			printed, err := x.report(l, reportFileCmd{Reason: "threat", Consent: true, Media: path})
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "nothing was reported") || printed != "" {
				x.Errorf("printed %q: %v", printed, err)
			}
		}
		if len(m.filed) != 0 {
			x.Fatalf("%d filed", len(m.filed))
		}
		printed, err := x.report(l, reportFileCmd{Reason: "threat", Consent: true, Media: right})
		if err != nil || printed != m.handle.Reveal()+"\n" || !bytes.Equal(m.brought, m.sealed) || !strings.Contains(x.err.String(), "The bytes are there") {
			x.Errorf("printed %q, brought %d bytes: %v, %s", printed, len(m.brought), err, x.err.String())
		}
		// Without them the reporter learns how to; and a failure leaves the handle.
		if _, err := x.report(l, reportFileCmd{Reason: "threat", Consent: true}); err != nil || !strings.Contains(x.err.String(), "until 2026-12-01T00:00:00Z: mayfly report media --server http://localhost FILE") {
			x.Errorf("%v: %s", err, x.err.String())
		}
		m.handle = tickets.NewToken(tickets.KindReport, uuid.New())
		x.server.Fail("PUT /v1/reports/"+m.handle.ID().String()+"/media", clienttest.Refuse(410, "forgotten", ""))
		printed, err = x.report(l, reportFileCmd{Reason: "threat", Consent: true, Media: right})
		if err == nil || !strings.Contains(err.Error(), "it is reported, and the bytes could not be brought") || printed != m.handle.Reveal()+"\n" {
			x.Errorf("printed %q: %v", printed, err)
		}
	})
}

// A handle that cannot be handed out is lost, and that is said.
func TestReportHandleIsLost(t *testing.T) {
	on(t, func(x *exchange) {
		m, l := x.moderated(1)
		c := reportFileCmd{Reason: "threat", Consent: true}
		err := c.file(x.Context(), terminal{Out: failingWriter{errors.New("broken pipe")}, Err: &x.err}, x.client, l)
		if err == nil || !strings.Contains(err.Error(), m.handle.ID().String()+", and the handle could not be printed") {
			x.Errorf("got %v", err)
		}
		x.keepsSecrets(fmt.Sprint(err))
	})
}

// On the command line, through kong: what is wrong is not quoted if it could be a secret.
func TestReportArguments(t *testing.T) {
	l := newLink(t, "http://192.0.2.1", "").reveal()
	handle := tickets.NewToken(tickets.KindReport, uuid.New()).Reveal()
	for _, args := range [][]string{
		{"report"}, {"report", l}, {"report", l, l}, {"report", "file", l, "--reason", "x"}, {"report", "--reason", "x", l}, {"report", l[:80]},
		{"report", "status"}, {"report", "status", handle, handle}, {"report", "status", handle[:40]}, {"report", "status", l}, {"report", "status", "-"},
		{"report", "withdraw"}, {"report", "withdraw", handle, "--server", "http://192.0.2.1"}, {"report", "media"}, {"report", "media", handle},
		{"report", "--consent", "status", handle}, {"moderate"}, {"moderate", "show"}, {"moderate", "show", handle}, {"moderate", "decide", uuid.NewString()},
		{"moderate", "decide", uuid.NewString(), "--outcome", "maybe"}, {"moderate", "hold", uuid.NewString(), "--class", "legal", "--until", "1d"},
		{"moderate", "hold", uuid.NewString(), "--class", "legal", "--until", "soon", "--reason", "r"}, {"moderate", "list", "--state", "burnt"},
	} {
		var out, err bytes.Buffer
		code := run(t.Context(), terminal{In: strings.NewReader(l), Out: &out, Err: &err}, args)
		text := out.String() + err.String()
		if code != exitUsage || strings.Contains(text, "mft_") || strings.Contains(text, handle[:30]) || strings.Contains(text, "AGE-SECRET") {
			t.Errorf("%s: exit %d, %s", args[0]+" "+strings.Join(args[1:min(2, len(args))], ""), code, text)
		}
	}
	// The handle from the environment.
	t.Setenv(reportHandle, handle)
	_, got, err := handleFlags{Server: "http://127.0.0.1:1"}.connect(t.Context(), terminal{Err: io.Discard}, "")
	if err != nil || got.Reveal() != handle {
		t.Error(err)
	}
	other := tickets.NewToken(tickets.KindReport, uuid.New())
	_, got, err = handleFlags{Server: "http://127.0.0.1:1"}.connect(t.Context(), terminal{In: strings.NewReader(" " + other.Reveal() + "\r\nmore"), Err: io.Discard}, "-")
	if err != nil || !got.Equal(other) {
		t.Error(err)
	}
}

// What others wrote does not reach the terminal as orders.
func TestPrintReport(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := client.Report{
		ID: uuid.New(), State: "open", Reason: "threat", Comment: "one\n\x1b[31mtwo\u202e\r", Note: "a\x07\nb", Policy: "\u2028p", Context: "\x9b\u009bc",
		Hold: &client.Hold{Class: "legal", Reason: "x\x1by"}, Stamp: &client.Stamp{Verdict: "\x1b"}, KeyCommitment: "k\x00",
		Consent: &client.ConsentRecord{Statement: "s\x1b", Locale: "\x1b", Shared: []string{"\x1b"}},
	}
	if err := printReport(&out, r); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\x07\x00\r\u202e\u2028\u009b") || strings.Contains(out.String(), "\x9b ") || !strings.Contains(out.String(), "comment:\n    one\n     [31mtwo") {
		t.Errorf("%q", out.String())
	}
}
