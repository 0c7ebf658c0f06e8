package envelope

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

const readme = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p" // of age's README

// The id is part of the format: other clients compute it, too.
func TestRecipientID(t *testing.T) {
	t.Parallel()
	r, err := ParseRecipient(readme)
	if err != nil {
		t.Fatal(err)
	}
	if r.String() != readme || r.ID() != "cf7e568231315068" {
		t.Errorf("%s has id %s", r, r.ID())
	}
}

func TestParseRecipientRefuses(t *testing.T) {
	t.Parallel()
	ids, _ := moderators(t, 1, false)
	const good = readme
	for _, c := range []struct{ text, says string }{
		{"", "does not begin with age1"},
		{secret, "does not begin with age1"},
		{ids[0].Reveal(), "secret key"},
		{"AGE-PLUGIN-YUBIKEY-1" + secret, "secret key"},
		{"ssh-ed25519 AAAA" + secret, "SSH"},
		{"age1yubikey1" + secret, "plugins"},
		{"age1pq1" + secret, "mistyped"},
		{"age1" + secret, "mistyped"},
		{good[:len(good)-1], "mistyped"},
		{good[:20] + "q" + good[21:], "mistyped"},
		{good[:20] + "Y" + good[21:], "mistyped"},
		{strings.ToUpper(good), "does not begin with age1"},
		{" " + good, "does not begin with age1"},
		{good + "\n", "mistyped"},
	} {
		r, err := ParseRecipient(c.text)
		if !errors.Is(err, ErrRecipient) || r != (Recipient{}) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v does not say %q", c.text, err, c.says)
			continue
		}
		noSecret(t, err.Error(), c.text)
	}
}

func TestParseRecipients(t *testing.T) {
	t.Parallel()
	_, to := moderators(t, maxRecipients+1, false)
	_, pq := moderators(t, maxHybrid+1, true)
	lines := func(list ...Recipient) string {
		var b strings.Builder
		for _, r := range list {
			fmt.Fprintln(&b, r)
		}
		return b.String()
	}
	for name, c := range map[string]struct {
		text string
		n    int
	}{
		"one, no line break": {to[0].String(), 1},
		"comments":           {"# moderators\r\n\r\n  " + to[0].String() + " \r\n\t\n#" + secret + "\n" + lines(to[1]), 2},
		"most":               {lines(to[1:]...), maxRecipients},
		"most, hybrid":       {lines(pq[1:]...), maxHybrid},
	} {
		got, err := ParseRecipients(strings.NewReader(c.text))
		if err != nil || len(got) != c.n {
			t.Errorf("%s: %d, %v", name, len(got), err)
		}
	}
	for name, c := range map[string]struct {
		text io.Reader
		says string
	}{
		"empty":           {strings.NewReader(""), "no recipient"},
		"comments":        {strings.NewReader("#\n\n"), "line 2: "},
		"malformed":       {strings.NewReader("#\n" + lines(to[0]) + "age1" + secret + "\n"), "line 3: "},
		"twice":           {strings.NewReader(lines(to[0], to[1], to[0])), "line 3: unusable recipient: " + to[0].ID() + " is there twice"},
		"mixed":           {strings.NewReader(lines(to[0], pq[0])), "line 2: unusable recipient: hybrid (age1pq1…) and X25519 (age1…) recipients cannot be mixed"},
		"too many":        {strings.NewReader(lines(to...)), "line 65: unusable recipient: more than 64"},
		"too many hybrid": {strings.NewReader(lines(pq...)), "line 25: unusable recipient: more than 24 hybrid"},
		"endless line":    {endless("a"), "line 1: unusable recipient: the line is too long"},
		"endless lines":   {endless("\n"), "bytes of recipients"},
		"broken":          {io.MultiReader(strings.NewReader(lines(to[0])), broken{}), "line 2: broken"},
	} {
		got, err := ParseRecipients(c.text)
		if err == nil || got != nil || !strings.Contains(err.Error(), c.says) || name != "broken" && !errors.Is(err, ErrRecipient) {
			t.Errorf("%s: %v does not say %q", name, err, c.says)
			continue
		}
		noSecret(t, err.Error(), "")
	}
}

// endless is a reader without an end.
type endless string

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e[0]
	}
	return len(p), nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }
