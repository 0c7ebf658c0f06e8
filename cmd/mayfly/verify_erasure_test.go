package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/expiry"
)

// erasures is a signer, its keys in a file, and receipts of it.
type erasures struct {
	signer *expiry.Signer
	keys   string
	when   time.Time
}

func newErasures(t *testing.T) erasures {
	t.Helper()
	private, err := expiry.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := expiry.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	public, err := signer.Keyring().PEM()
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(t.TempDir(), "keys.pem")
	if err := os.WriteFile(keys, public, 0o600); err != nil {
		t.Fatal(err)
	}
	return erasures{signer: signer, keys: keys, when: time.Date(2026, 12, 6, 9, 30, 0, 0, time.UTC)}
}

// after is the same signer, that much later.
func (e erasures) after(d time.Duration) erasures {
	e.when = e.when.Add(d)
	return e
}

// receipt of a blob whose bytes never arrived.
func (e erasures) receipt(t *testing.T, id uuid.UUID) string {
	t.Helper()
	return e.sign(t, e.of(id))[0]
}

func (e erasures) of(id uuid.UUID) expiry.Receipt {
	return expiry.Receipt{
		Blob: id, Size: 7, Reason: "not_uploaded", Policy: "view-once", DueAt: e.when, ErasedAt: e.when, VerifiedAbsentAt: e.when,
	}
}

// sign receipts together.
func (e erasures) sign(t *testing.T, receipts ...expiry.Receipt) (envelopes []string) {
	t.Helper()
	proofs, err := e.signer.Sign(receipts...)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range receipts {
		envelope, err := expiry.Envelope(r, proofs[i])
		if err != nil {
			t.Fatal(err)
		}
		envelopes = append(envelopes, string(envelope))
	}
	return envelopes
}

// summary of the receipts, which are in order.
func (e erasures) summary(t *testing.T, receipts ...string) string {
	t.Helper()
	var tally expiry.Tally
	for _, r := range receipts {
		v, err := e.signer.Keyring().Verify([]byte(r))
		if err == nil {
			err = tally.Add(*v.Receipt, v.Payload)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	from := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	signed, err := e.signer.SignSummary(expiry.Summary{
		Tenant: "acme", Month: "2026-12", From: from, To: from.AddDate(0, 1, 0), MadeAt: from.AddDate(0, 1, 0), Totals: tally.Totals(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

// judged runs the command on a text and gives its verdicts, one word each.
func (e erasures) judged(t *testing.T, text string, flags ...string) (string, int) {
	t.Helper()
	var out, err bytes.Buffer
	args := append([]string{"verify-erasure", "-", "--keys", e.keys, "--json"}, flags...)
	code := run(t.Context(), terminal{In: strings.NewReader(text), Out: &out, Err: &err}, args)
	var verdicts []verdict
	if err := json.Unmarshal(out.Bytes(), &verdicts); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	var words []string
	for i, v := range verdicts {
		word := v.Code
		if v.Valid {
			word = "valid"
		}
		if v.Complete != nil && *v.Complete {
			word += ":complete"
		} else if v.Complete != nil {
			word += ":partial"
		}
		if v.Number != i+1 || v.Valid != (v.Problem == "") {
			t.Errorf("verdict %d is %+v", i+1, v)
		}
		words = append(words, word)
	}
	return strings.Join(words, " "), code
}

func TestVerifyErasure(t *testing.T) {
	e := newErasures(t)
	a, b := uuid.MustParse("0193b1c2-6d2f-7b3a-8f60-51b0d3f0a9c4"), uuid.MustParse("0193b1c2-6d2f-7b3a-8f60-51b0d3f0a9c5")
	first, second, stranger := e.receipt(t, a), e.receipt(t, b), newErasures(t).receipt(t, a)
	both := e.summary(t, first, second)
	// treed is first, signed together with another.
	treed := e.sign(t, e.of(b), e.of(a))[1]
	blob := func(id, receipt string) string {
		return fmt.Sprintf(`{"id":%q,"receipt":%s,"tickets":[{}]}`, id, receipt)
	}
	for name, c := range map[string]struct {
		text  string
		want  string
		flags []string
	}{
		"one":                         {text: first, want: "valid"},
		"a blob's":                    {text: blob(a.String(), first), want: "valid"},
		"a blob's, id in capitals":    {text: blob(strings.ToUpper(a.String()), first), want: "other_blob"},
		"another blob's":              {text: blob(b.String(), first), want: "other_blob"},
		"the id is a number":          {text: `{"id":1,"receipt":` + first + `}`, want: "other_blob"},
		"not erased yet":              {text: blob(a.String(), "null"), want: "malformed"},
		"a blob without":              {text: `{"id":"x"}`, want: "malformed"},
		"two receipts of one blob":    {text: `{"receipt":` + stranger + `,"receipt":` + first + `}`, want: "malformed"},
		"signed with another":         {text: blob(a.String(), treed), want: "valid"},
		"and not the blob's":          {text: blob(b.String(), treed), want: "other_blob"},
		"not in the tree":             {text: strings.Replace(treed, `"index":1`, `"index":0`, 1), want: "bad_signature"},
		"signed with another, once":   {text: second + both + treed + first, want: "valid valid:complete valid valid", flags: []string{"--complete"}},
		"lines":                       {text: first + "\n" + second + "\n", want: "valid valid"},
		"an array":                    {text: "[" + first + "," + blob(b.String(), second) + "]", want: "valid valid"},
		"a damaged one among them":    {text: "[" + first + `,{"id":"x"},` + second + "]", want: "valid malformed valid"},
		"another's among them":        {text: first + stranger + second, want: "valid unknown_key valid"},
		"cut off":                     {text: first + second[:99], want: "valid malformed"},
		"no JSON behind":              {text: first + "<html>", want: "valid malformed"},
		"nothing":                     {text: " \n", want: "malformed"},
		"an empty array":              {text: "[]", want: "malformed"},
		"an empty array within":       {text: `{"receipts":[]}`, want: "malformed"},
		"a text":                      {text: `"receipt"`, want: "malformed"},
		"a number":                    {text: `1`, want: "malformed"},
		"arrays without end":          {text: strings.Repeat("[", 9) + first + strings.Repeat("]", 9), want: "malformed"},
		"a summary alone":             {text: both, want: "valid:partial"},
		"a summary, insisting":        {text: both, want: "incomplete:partial", flags: []string{"--complete"}},
		"with all, in any order":      {text: second + both + first, want: "valid valid:complete valid", flags: []string{"--complete"}},
		"with one twice":              {text: second + both + first + first, want: "valid valid:complete valid valid", flags: []string{"--complete"}},
		"with one missing":            {text: second + both, want: "valid incomplete:partial", flags: []string{"--complete"}},
		"with another's in its place": {text: second + both + stranger, want: "valid incomplete:partial unknown_key", flags: []string{"--complete"}},
		"as many, not the same":       {text: e.summary(t, first) + second, want: "incomplete:partial valid", flags: []string{"--complete"}},
		"in one object":               {text: `{"summary":` + both + `,"receipts":[` + first + "," + second + "]}", want: "valid:complete valid valid", flags: []string{"--complete"}},
		"two that contradict each other": {
			text: e.summary(t, first) + first + e.after(time.Second).receipt(t, a),
			want: "incomplete:partial valid valid", flags: []string{"--complete"},
		},
		"a receipt of another month": {
			text: e.summary(t, first) + first + e.after(31*24*time.Hour).receipt(t, b),
			want: "valid:complete valid valid", flags: []string{"--complete"},
		},
	} {
		got, code := e.judged(t, c.text, c.flags...)
		wantCode := exitDone
		for word := range strings.FieldsSeq(c.want) {
			if !strings.HasPrefix(word, "valid") {
				wantCode = exitFailed
			}
		}
		if got != c.want || code != wantCode {
			t.Errorf("%s: %s, exit %d", name, got, code)
		}
	}
}

func TestVerifyErasureUsage(t *testing.T) {
	t.Parallel()
	e := newErasures(t)
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cmd  verifyErasureCmd
		want string
	}{
		"no keys":       {verifyErasureCmd{File: empty}, "operator"},
		"absent keys":   {verifyErasureCmd{File: empty, Keys: filepath.Join(dir, "absent")}, "--keys"},
		"keys of none":  {verifyErasureCmd{File: empty, Keys: empty}, "no Ed25519 key"},
		"absent file":   {verifyErasureCmd{File: filepath.Join(dir, "absent"), Keys: e.keys}, "absent"},
		"a folder":      {verifyErasureCmd{File: dir, Keys: e.keys}, "directory"},
		"keys a folder": {verifyErasureCmd{File: empty, Keys: dir}, "directory"},
	} {
		err := c.cmd.Run(t.Context(), terminal{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
		var usage usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is printed of a receipt: how many versions were removed, if the store said so.
func TestVerifyErasurePrintsVersions(t *testing.T) {
	t.Parallel()
	e := newErasures(t)
	none, many := int64(0), int64(12)
	for want, versions := range map[string]*int64{
		"; versions removed: 0\n":                            &none,
		"; versions removed: 12\n":                           &many,
		"; how many versions, the blob store does not say\n": nil,
	} {
		signed := e.sign(t, expiry.Receipt{
			Blob: uuid.New(), Size: 7, Reason: "not_uploaded", Policy: "view-once", DueAt: e.when, ErasedAt: e.when, VerifiedAbsentAt: e.when,
			VersionsRemoved: versions,
		})[0]
		var out bytes.Buffer
		cmd := verifyErasureCmd{File: "-", Keys: e.keys}
		if err := cmd.Run(t.Context(), terminal{In: strings.NewReader(signed), Out: &out, Err: io.Discard}); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%v, and printed is\n%s, want %q", err, out.String(), want)
		}
	}
}

// A stream of any length is judged in bounded memory a value; one value without
// end is refused.
func TestVerifyErasureBounds(t *testing.T) {
	t.Parallel()
	e := newErasures(t)
	c := verifyErasureCmd{File: "-", Keys: e.keys}
	endless := io.MultiReader(strings.NewReader(`{"receipt":"`), neverEnding('x'))
	err := c.Run(t.Context(), terminal{In: endless, Out: io.Discard, Err: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "one by line") {
		t.Errorf("got %v", err)
	}
}

type neverEnding byte

func (n neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(n)
	}
	return len(p), nil
}
