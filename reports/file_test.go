package reports_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/reports"
	"mayfly/reports/envelope"
	"mayfly/tickets"
)

// field is the error about a field of that name.
type field string

func (f field) Error() string { return string(f) }
func (f field) in(err error) bool {
	e, ok := errors.AsType[*reports.FieldError](err)
	return ok && e.Field == string(f) && strings.Contains(err.Error(), string(f))
}

func TestFile(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.sends(photo)
	h.clock.forward(time.Hour)
	r := h.files(s)
	text := reports.BuiltinStatement().Text
	switch want := (reports.Consent{
		Statement: "mayfly-1", Locale: "en", SHA256: sha256.Sum256([]byte(text)), At: h.clock.Now(),
		Shared: []string{reports.SharedMedia, reports.SharedKey, reports.SharedComment},
	}); {
	case r.Consent.Statement != want.Statement, r.Consent.Locale != want.Locale, r.Consent.SHA256 != want.SHA256,
		!r.Consent.At.Equal(want.At), strings.Join(r.Consent.Shared, " ") != strings.Join(want.Shared, " "):
		t.Errorf("the consent is %+v, want %+v", r.Consent, want)
	case r.State != reports.StateCopying || r.Evidence != reports.EvidenceNone || r.Tenant != tenant:
		t.Errorf("%+v", r)
	case r.Reported != (reports.Reported{
		Blob: s.ID, SHA256: sha256.Sum256([]byte(photo)), Size: int64(len(photo)),
		KeyCommitment: "commitment", Context: "conversation 7", UploadedAt: s.StoredAt,
	}):
		t.Errorf("reported is %+v", r.Reported)
	case r.Reason != "threat" || r.Comment != "Help." || !r.FiledAt.Equal(h.clock.Now()):
		t.Errorf("%+v", r)
	case r.MediaUntil.Before(h.clock.Now().Add(7 * day)):
		t.Errorf("the bytes may be copied until %v", r.MediaUntil)
	}
	log := h.log()
	if e := log[len(log)-1]; e.Act != reports.ActFiled || e.Actor != reports.ActorReporter || e.Subject != s.ID || *e.Digest != r.Consent.SHA256 || e.Report != r.ID {
		t.Errorf("%+v", e)
	}
	if len(h.evidence()) != 0 {
		t.Error("bytes before a copy")
	}
}

// TestConsent: nothing without it, and what exactly was consented to.
func TestConsent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.sends(photo)
	german := reports.Statement{ID: "acme-2", Locale: "de-AT", Text: "Ich melde, was mir geschickt wurde. \n"}
	h.Statements = []reports.Statement{{ID: "acme-1", Locale: "en", Text: "old"}, german, {ID: "acme-2", Locale: "en", Text: "new"}}
	for name, c := range map[string]struct {
		given *reports.Given
		want  error
	}{
		"none":                         {nil, reports.ErrConsentRequired},
		"empty":                        {&reports.Given{}, reports.ErrConsentRequired},
		"not granted":                  {&reports.Given{Statement: "acme-2", Locale: "en"}, reports.ErrConsentRequired},
		"no statement":                 {&reports.Given{Granted: true}, field("consent.statement")},
		"unknown statement":            {&reports.Given{Granted: true, Statement: "acme-3"}, field("consent.statement")},
		"the builtin one":              {&reports.Given{Granted: true, Statement: "mayfly-1"}, field("consent.statement")},
		"in other letters":             {&reports.Given{Granted: true, Statement: "Acme-2"}, field("consent.statement")},
		"other locale":                 {&reports.Given{Granted: true, Statement: "acme-2", Locale: "fr"}, field("consent.locale")},
		"locale of another statement":  {&reports.Given{Granted: true, Statement: "acme-1", Locale: "de-AT"}, field("consent.locale")},
		"the language without country": {&reports.Given{Granted: true, Statement: "acme-2", Locale: "de"}, field("consent.locale")},
	} {
		r := h.complaint(s)
		r.Consent = c.given
		_, err := h.File(t.Context(), r)
		if f, ok := errors.AsType[field](c.want); ok && !f.in(err) || !ok && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if entries := h.log(); len(entries) != 0 {
		t.Errorf("%d entries of reports without consent", len(entries))
	}
	for name, c := range map[string]struct {
		given  reports.Given
		locale string
		text   string
	}{
		"default locale":  {reports.Given{Granted: true, Statement: "acme-2"}, "en", "new"},
		"older statement": {reports.Given{Granted: true, Statement: "acme-1", Locale: "en"}, "en", "old"},
		"exact text":      {reports.Given{Granted: true, Statement: "acme-2", Locale: "de-AT"}, "de-AT", german.Text},
		"case of a tag":   {reports.Given{Granted: true, Statement: "acme-2", Locale: "DE-at"}, "de-AT", german.Text},
	} {
		r := h.complaint(h.sends(photo))
		r.Consent, r.Comment = &c.given, ""
		got, err := h.File(t.Context(), r)
		if err != nil || got.Consent.Locale != c.locale || got.Consent.SHA256 != sha256.Sum256([]byte(c.text)) || got.Consent.Statement != c.given.Statement {
			t.Errorf("%s: %+v, %v", name, got.Consent, err)
		}
		if shared := strings.Join(got.Consent.Shared, ","); shared != "media,key" {
			t.Errorf("%s: without a comment %s is shared", name, shared)
		}
	}
}

// TestBuiltinStatement: whoever changes the text gives it another id.
func TestBuiltinStatement(t *testing.T) {
	t.Parallel()
	s := reports.BuiltinStatement()
	want, err := blobstore.ParseDigest("3beef5f8b36ff45c88bdc06e34aa1f2e0a829106508e022de513c33f40f211b2")
	if err != nil || s.SHA256() != want || s.ID != "mayfly-1" {
		t.Errorf("%s has SHA-256 %s", s.ID, s.SHA256())
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.sends(photo)
	for name, c := range map[string]struct {
		change func(*reports.Request)
		want   field
	}{
		"no reason":           {func(r *reports.Request) { r.Reason = "" }, "reason"},
		"unknown reason":      {func(r *reports.Request) { r.Reason = "boring" }, "reason"},
		"reason in capitals":  {func(r *reports.Request) { r.Reason = "Threat" }, "reason"},
		"comment too long":    {func(r *reports.Request) { r.Comment = strings.Repeat("é", reports.MaxComment/2) + "e" }, "comment"},
		"comment with NUL":    {func(r *reports.Request) { r.Comment = "a\x00b" }, "comment"},
		"comment not UTF-8":   {func(r *reports.Request) { r.Comment = "a\xff" }, "comment"},
		"key of 15":           {func(r *reports.Request) { r.Idempotency = strings.Repeat("k", 15) }, "Idempotency-Key"},
		"key of 129":          {func(r *reports.Request) { r.Idempotency = strings.Repeat("k", 129) }, "Idempotency-Key"},
		"key with a space":    {func(r *reports.Request) { r.Idempotency = strings.Repeat("k", 15) + " " }, "Idempotency-Key"},
		"key beyond ASCII":    {func(r *reports.Request) { r.Idempotency = strings.Repeat("ü", 16) }, "Idempotency-Key"},
		"key with a new line": {func(r *reports.Request) { r.Idempotency = strings.Repeat("k", 16) + "\n" }, "Idempotency-Key"},
		"no sealed key":       {func(r *reports.Request) { r.SealedKey = "" }, "sealed_key"},
	} {
		r := h.complaint(s)
		c.change(&r)
		if _, err := h.File(t.Context(), r); !c.want.in(err) {
			t.Errorf("%s: %v, want one of %s", name, err, string(c.want))
		}
	}
	if len(h.log()) != 0 {
		t.Error("a refused request has left an entry")
	}
	r := h.complaint(s)
	r.Comment, r.Idempotency = strings.Repeat("é", reports.MaxComment/2), strings.Repeat("~", 128)
	if got, err := h.File(t.Context(), r); err != nil || got.Comment != r.Comment {
		t.Errorf("the longest comment and key: %v", err)
	}
	h.Reasons = []string{"boring"}
	r = h.complaint(h.sends(photo))
	r.Comment, r.Idempotency, r.Reason = "", strings.Repeat("!", 16), "boring"
	if _, err := h.File(t.Context(), r); err != nil {
		t.Errorf("a reason of the operator's: %v", err)
	}
	r = h.complaint(h.sends(photo))
	if _, err := h.File(t.Context(), r); !field("reason").in(err) {
		t.Errorf("a reason that the operator has not: %v", err)
	}
}

// TestSealedKey: what no moderator of ours could open is not taken.
func TestSealedKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.sends(photo)
	stranger, err := envelope.GenerateIdentity(false)
	if err != nil {
		t.Fatal(err)
	}
	sealed := func(to ...envelope.Recipient) string {
		text, err := envelope.Seal(contents(s), to)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	plain := func(size int, armored bool) string {
		to, err := age.ParseX25519Recipient(h.identity.Recipient().String())
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		var w interface {
			Write([]byte) (int, error)
			Close() error
		} = nopClose{&b}
		if armored {
			w = armor.NewWriter(&b)
		}
		in, err := age.Encrypt(w, to)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write(bytes.Repeat([]byte("k"), size)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(in.Close(), w.Close()); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	ours := sealed(h.identity.Recipient())
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"to another installation":  {sealed(stranger.Recipient()), new(envelope.UnknownRecipientError)},
		"also to a stranger":       {sealed(h.identity.Recipient(), stranger.Recipient()), new(envelope.UnknownRecipientError)},
		"no age file":              {"the key is 1234", envelope.ErrNotAge},
		"a media key in the clear": {`{"key":"k"}`, envelope.ErrNotAge},
		"cut off":                  {ours[:len(ours)/2], envelope.ErrNotAge},
		"something behind it":      {ours + "x", envelope.ErrNotAge},
		"binary age":               {plain(200, false), envelope.ErrNotAge},
		"plain age to us":          {plain(200, true), envelope.ErrAddress},
		"oversized text":           {ours + strings.Repeat("\n", envelope.MaxBytes), envelope.ErrTooLarge},
		"oversized file":           {plain(envelope.MaxBytes, true), envelope.ErrTooLarge},
	} {
		r := h.complaint(s)
		r.SealedKey = c.text
		_, err := h.File(t.Context(), r)
		_, wantUnknown := errors.AsType[*envelope.UnknownRecipientError](c.want)
		_, isUnknown := errors.AsType[*envelope.UnknownRecipientError](err)
		if err == nil || wantUnknown != isUnknown || !wantUnknown && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if len(h.log()) != 0 {
		t.Error("a refused key has left an entry")
	}
	r := h.complaint(s)
	got, err := h.File(t.Context(), r)
	if err != nil || got.SealedKey != r.SealedKey {
		t.Fatalf("%v", err)
	}
	opened, err := envelope.Open(got.SealedKey, h.identity)
	if err != nil || opened.BoundTo(got.Blob, got.SHA256, got.Size) != nil {
		t.Errorf("the moderator's tool gets %v, %v", opened, err)
	}
}

type nopClose struct{ *bytes.Buffer }

func (nopClose) Close() error { return nil }

func TestModerationOff(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.sends(photo)
	on := h.Recipients
	h.Recipients = func(context.Context) ([]envelope.Recipient, error) { return nil, nil }
	if o, err := h.Offer(t.Context()); err != nil || len(o.Recipients)+len(o.Reasons)+len(o.Statements) != 0 {
		t.Errorf("%+v, %v", o, err)
	}
	_, err := h.File(t.Context(), h.complaint(s))
	h.refused("without moderators", err, reports.ErrModerationOff)

	h.Recipients = func(context.Context) ([]envelope.Recipient, error) { return nil, errRows }
	_, err = h.File(t.Context(), h.complaint(s))
	if _, ok := errors.AsType[*reports.StoreError](err); !ok || !errors.Is(err, errRows) {
		t.Errorf("without knowing the moderators: %v", err)
	}
	h.Recipients = on
	if o, err := h.Offer(t.Context()); err != nil || len(o.Recipients) != 1 || len(o.Reasons) != len(reports.DefaultReasons()) ||
		len(o.Statements) != 1 || o.Statements[0] != reports.BuiltinStatement() {
		t.Errorf("%+v, %v", o, err)
	}
	if len(h.log()) != 0 {
		t.Error("something was filed")
	}
}

// TestWhatIsReported: which tickets lead to a report.
func TestWhatIsReported(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.sends(photo)
	r := h.complaint(s)
	r.TicketHash[0] ^= 1
	_, err := h.File(t.Context(), r)
	h.refused("another token", err, reports.ErrUnknownTicket)
	r = h.complaint(s)
	r.Ticket = uuid.New()
	_, err = h.File(t.Context(), r)
	h.refused("another ticket", err, reports.ErrUnknownTicket)

	announced, err := h.tickets.Announce(t.Context(), tickets.Request{Tenant: tenant, Size: int64(len(photo))})
	if err != nil {
		t.Fatal(err)
	}
	r = h.complaint(s)
	r.Ticket, r.TicketHash = announced.Tickets[0].ID, announced.Tickets[0].Token.Hash()
	_, err = h.File(t.Context(), r)
	h.refused("nothing uploaded", err, reports.ErrNotUploaded)
	h.clock.forward(2 * day) // too late for it
	h.purges()
	_, err = h.File(t.Context(), r)
	h.refused("never uploaded", err, reports.ErrNotUploaded)

	if _, err := h.opens(s.token); err != nil {
		t.Fatal(err)
	}
	reported := h.files(s)
	h.copies()
	if _, err := h.Claim(t.Context(), h.ann, reported.ID); err != nil {
		t.Fatal(err)
	}
	token, _, err := h.pulls(h.ann, reported.ID)
	if err != nil {
		t.Fatal(err)
	}
	r = h.complaint(s)
	r.Ticket, r.TicketHash = token.ID(), token.Hash()
	_, err = h.File(t.Context(), r)
	h.refused("evidence", err, reports.ErrNotReportable)
}

func TestRepeatedFile(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.complaint(h.sends(photo))
	r.Idempotency = "0123456789abcdef"
	first, err := h.File(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.File(t.Context(), r)
	if err != nil || again.ID != first.ID {
		t.Errorf("the same request is report %s, %v", again.ID, err)
	}
	h.copies()
	if again, err = h.File(t.Context(), r); err != nil || again.ID != first.ID || again.State != reports.StateOpen {
		t.Errorf("the same request later: %s is %s, %v", again.ID, again.State, err)
	}
	for name, c := range map[string]struct {
		change func(*reports.Request)
		want   error
	}{
		"another comment": {func(r *reports.Request) { r.Comment += "!" }, reports.ErrIdempotency},
		"another reason":  {func(r *reports.Request) { r.Reason = "fraud" }, reports.ErrIdempotency},
		"locale said": {func(r *reports.Request) {
			r.Consent = &reports.Given{Granted: true, Statement: "mayfly-1", Locale: "en"}
		}, reports.ErrIdempotency},
		"another sealing":       {func(r *reports.Request) { r.SealedKey = h.complaint(h.sends(photo)).SealedKey }, reports.ErrIdempotency},
		"another key":           {func(r *reports.Request) { r.Idempotency = "fedcba9876543210" }, reports.ErrAlreadyReported},
		"no Idempotency-Key":    {func(r *reports.Request) { r.Idempotency = "" }, reports.ErrAlreadyReported},
		"key of another length": {func(r *reports.Request) { r.Idempotency += "0" }, reports.ErrAlreadyReported},
	} {
		other := r
		c.change(&other)
		_, err := h.File(t.Context(), other)
		h.refused(name, err, c.want)
	}
	// The same key of another reporter is another request.
	other := h.complaint(h.sends(photo))
	other.Idempotency = r.Idempotency
	if got, err := h.File(t.Context(), other); err != nil || got.ID == first.ID {
		t.Errorf("the key with another ticket: %v", err)
	}
	bare := h.complaint(h.sends(photo))
	if _, err := h.File(t.Context(), bare); err != nil {
		t.Fatal(err)
	}
	_, err = h.File(t.Context(), bare)
	h.refused("twice without a key", err, reports.ErrAlreadyReported)
	h.logged(first.ID, "filed copied")
}

// TestFileThatFails: a report either is recorded as a whole, with its pin, or not at all.
func TestFileThatFails(t *testing.T) {
	t.Parallel()
	for _, mode := range []fault{fails, failsButApplied} {
		h := newHouse(t)
		r := h.complaint(h.sends(photo))
		r.Idempotency = "0123456789abcdef"
		h.rows.fail(func(string) fault { return mode })
		_, err := h.File(t.Context(), r)
		if _, ok := errors.AsType[*reports.StoreError](err); !ok {
			t.Errorf("%v", err)
		}
		h.rows.fail(nil)
		got, err := h.File(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		h.copies()
		h.in(got.ID, reports.StateOpen)
		h.logged(got.ID, "filed copied")
		if n := len(h.evidence()); n != 1 {
			t.Errorf("%d copies", n)
		}
	}
}

// TestHandles: who has no handle learns nothing, and other tenants neither.
func TestHandles(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.open()
	wrong := handleOf(uuid.New())
	_, err := h.Handled(t.Context(), r.ID, wrong)
	h.refused("status", err, reports.ErrUnknownReport)
	h.refused("withdrawal", h.Withdraw(t.Context(), r.ID, wrong), reports.ErrUnknownReport)
	_, err = h.ReceiveMedia(t.Context(), r.ID, wrong, strings.NewReader(photo), int64(len(photo)))
	h.refused("media", err, reports.ErrUnknownReport)
	// A handle of nothing is no way around the tenant.
	h.refused("no handle", h.Withdraw(t.Context(), r.ID, reports.Hash{}), reports.ErrUnknownReport)
	_, err = h.Report(t.Context(), "other", r.ID)
	h.refused("another tenant", err, reports.ErrUnknownReport)
	if rs, err := h.Reports(t.Context(), "other", reports.Query{Limit: 10}); err != nil || len(rs) != 0 {
		t.Errorf("another tenant sees %d reports, %v", len(rs), err)
	}
	h.in(r.ID, reports.StateOpen)
}

// TestRepeatedAfterRotation: what was taken once is the answer to a repetition, also when
// the server would not take it any more; and nothing else is.
func TestRepeatedAfterRotation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.complaint(h.sends(photo))
	r.Idempotency = "0123456789abcdef"
	filed, err := h.File(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	other, err := envelope.GenerateIdentity(false)
	if err != nil {
		t.Fatal(err)
	}
	h.Recipients = func(context.Context) ([]envelope.Recipient, error) {
		return []envelope.Recipient{other.Recipient()}, nil
	}
	entries := len(h.log())
	if again, err := h.File(t.Context(), r); err != nil || again.ID != filed.ID {
		t.Errorf("%s, %v; want %s", again.ID, err, filed.ID)
	}
	for name, change := range map[string]func(*reports.Request){
		"another body":    func(r *reports.Request) { r.Comment += "!" },
		"another key":     func(r *reports.Request) { r.Idempotency += "0" },
		"no key":          func(r *reports.Request) { r.Idempotency = "" },
		"a forged ticket": func(r *reports.Request) { r.TicketHash[0] ^= 1 },
		"consent not granted": func(r *reports.Request) {
			r.Consent = &reports.Given{Statement: r.Consent.Statement, Locale: r.Consent.Locale}
		},
	} {
		changed := r
		change(&changed)
		if again, err := h.File(t.Context(), changed); err == nil {
			t.Errorf("%s: answered with %s", name, again.ID)
		}
	}
	if n := len(h.log()) - entries; n != 0 {
		t.Errorf("%d entries were written", n)
	}
}
