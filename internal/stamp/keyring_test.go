package stamp_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"mayfly/internal/stamp"
)

func TestGenerate(t *testing.T) {
	t.Parallel()
	a, b := stamp.Generate(), stamp.Generate()
	if a == b || strings.Count(a, "\n") != 1 || !strings.HasSuffix(a, "\n") {
		t.Errorf("%d bytes and %d", len(a), len(b))
	}
	k, rotated := keyring(t, a), keyring(t, a+b) // as >> makes it
	if got := rotated.Verify(upload(), k.Stamp(upload())); got != stamp.Valid {
		t.Errorf("an appended key: %s", got)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	want := keyring(t, keyA, keyB).Stamp(upload())
	for name, text := range map[string]string{
		"plain":                keyA + "\n" + keyB,
		"CRLF, BOM-less":       keyA + "\r\n" + keyB + "\r\n",
		"comments, blanks":     "# of 2026\n\n" + keyA + "\n  # " + keyA + "\n\t" + keyB + " \n#\n",
		"digits of both cases": strings.ToUpper(keyA) + "\n" + keyB,
	} {
		k, err := stamp.Parse(text)
		if err != nil || k.Stamp(upload()) != want {
			t.Errorf("%s: %v", name, err)
		}
	}

	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%064x\n", i)
		}
		return b.String()
	}
	if _, err := stamp.Parse(many(64)); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct{ text, says string }{
		"empty":           {"", "line 0: the end"},
		"comments only":   {"# none\n\n", "line 2: the end"},
		"short":           {keyB + "\n" + keyA[1:], "line 2: 63 characters"},
		"long":            {keyA + "0", "line 1: 65 characters"},
		"two in a line":   {keyA + keyB, "line 1: 128 characters"},
		"not hex":         {"#\n\ng" + keyA[1:], "line 3: not 64 hex digits"},
		"base64":          {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "line 1: 44 characters"},
		"comment behind":  {keyA + " # of 2026", "line 1: 74 characters"},
		"byte-order mark": {"\ufeff" + keyA, "line 1: 67 characters"},
		"twice":           {keyA + "\n\n" + keyB + "\n" + strings.ToUpper(keyA), "line 4: the same key as in line 1"},
		"too many":        {many(65), "line 65: more than 64"},
		"too large":       {strings.Repeat("#\n", 1<<20), "more than 1048576 bytes"},
	} {
		k, err := stamp.Parse(c.text)
		switch {
		case !errors.Is(err, stamp.ErrKeyring) || k != nil:
			t.Errorf("%s: %v, %v", name, k, err)
		case !strings.Contains(err.Error(), c.says):
			t.Errorf("%s: %q does not say %q", name, err, c.says)
		}
		for line := range strings.Lines(c.text) {
			if line = strings.TrimSpace(line); err != nil && len(line) > 8 && strings.Contains(err.Error(), line[:8]) {
				t.Errorf("%s: %q quotes the line", name, err)
			}
		}
	}
}

// P8.
func TestRedacted(t *testing.T) {
	t.Parallel()
	k := keyring(t, keyB, keyA)
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("m", "k", k, "v", *k, "any", []any{k, *k})
	}
	fmt.Fprintln(&log, k, *k, errors.Join(fmt.Errorf("%v", k)))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%c", "%T", "%p", "%t", "%08b"} {
		// The last two: fmt cannot call methods of what is in unexported fields.
		fmt.Fprintf(&log, strings.Repeat(verb+"\n", 6), k, *k, []any{k, *k}, map[string]*stamp.Keyring{"": k}, struct{ k *stamp.Keyring }{k}, struct{ k stamp.Keyring }{*k})
	}
	for _, v := range []any{k, *k, struct{ K *stamp.Keyring }{k}, struct{ K stamp.Keyring }{*k}} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		log.Write(text)
	}
	raw, _ := hex.DecodeString(keyA)
	for _, secret := range []string{
		keyA[:16], strings.ToUpper(keyA[:16]), string(raw[:8]), "[0 1 2 3", "0 1 2 3 4", "0x0, 0x1, 0x2, 0x3", "00000000 00000001", keyA[48:],
	} {
		if strings.Contains(log.String(), secret) {
			i := strings.Index(log.String(), secret)
			t.Errorf("%q was printed: %q", secret, log.String()[max(0, i-200):i+100])
		}
	}
	if n := strings.Count(log.String(), "[redacted]"); n < 40 {
		t.Errorf("only %d forms are redacted:\n%s", n, log.String())
	}
}
