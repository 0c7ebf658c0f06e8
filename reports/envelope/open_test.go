package envelope

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/uuid"

	"mayfly/blobstore"
)

func TestOpenNotForUs(t *testing.T) {
	t.Parallel()
	ids, to := moderators(t, 2, false)
	pq, _ := moderators(t, 1, true)
	armored := seal(t, contents(), to[0])
	for _, c := range []struct {
		name string
		ids  []age.Identity
		says string
	}{
		{"nobody", nil, "no identity"},
		{"another", []age.Identity{ids[1]}, "but to " + to[0].ID()},
		{"others", []age.Identity{ids[1], pq[0], Identity{}}, "but to " + to[0].ID()},
	} {
		if _, err := Open(armored, c.ids...); !errors.Is(err, ErrNotForUs) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if got, err := Open(armored, pq[0], ids[1], ids[0]); err != nil || !equal(got, contents()) {
		t.Errorf("one of several fits: %v", err)
	}
	// A liar, or a faulty client: it names the one and seals to the other.
	lie := enarmor(encrypt(t, strings.Repeat("{", 300), stanza(typeTo, to[0].ID()), key(t, to[1])))
	if _, err := Inspect(lie, to); err != nil {
		t.Errorf("nobody can tell from the outside: %v", err)
	}
	native, err := age.ParseX25519Identity(ids[0].Reveal())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []age.Identity{ids[0], native} {
		if _, err := Open(lie, id); !errors.Is(err, ErrNotForUs) || !strings.Contains(err.Error(), "although it names "+to[0].ID()) {
			t.Error(err)
		}
	}
}

func TestOpenRefusesContents(t *testing.T) {
	t.Parallel()
	ids, to := moderators(t, 1, false)
	good, err := contents().encode()
	if err != nil {
		t.Fatal(err)
	}
	with := func(old, replacement string) string {
		if !strings.Contains(string(good), old) {
			t.Fatalf("no %s in what is sealed", old)
		}
		return strings.Replace(string(good), old, replacement, 1)
	}
	for _, c := range []struct{ name, plaintext, says string }{
		{"garbage", strings.Repeat(secret, 100), "one JSON object"},
		{"array", "[" + string(good) + "]", "one JSON object"},
		{"something behind it", string(good) + "{}", "one JSON object"},
		{"cut off", string(good[:len(good)-3]), "one JSON object"},
		{"not UTF-8", with(secret+".jpg", "\xff"), "one JSON object"},
		{"twice", with(`"size"`, `"size":1,"size"`), "one JSON object"},
		{"no version", with(`"version":1,`, ``), "version"},
		{"version 2", with(`"version":1`, `"version":2,"`+secret+`":1`), "version 2; a newer"},
		{"version as text", with(`"version":1`, `"version":"1"`), "version"},
		{"unknown field", with(`"size"`, `"`+secret+`":1,"size"`), "a field that"},
		{"other letter case", with(`"size"`, `"Size"`), "a field that"},
		{"no blob", with(`"blob_id":"0198c0de-0000-7000-8000-00000000cafe",`, ``), "blob_id is missing"},
		{"other way to write an id", with(`0198c0de-0000-7000-8000-00000000cafe`, `urn:uuid:0198c0de-0000-7000-8000-00000000cafe`), "blob_id is malformed"},
		{"nil id", with(`0198c0de-0000-7000-8000-00000000cafe`, uuid.Nil.String()), "no blob"},
		{"upper-case digest", with(`"010203`, `"0102AB`), "sha256 is malformed"},
		{"null size", with(`4711`, `null`), "size is malformed"},
		{"size below zero", with(`4711`, `-1`), "size below zero"},
		{"size as text", with(`4711`, `"`+secret+`"`), "size is malformed"},
		{"no format", with(`"format":"age",`, ``), "format is missing"},
		{"empty format", with(`"age"`, `""`), "format"},
		{"format with a line break", with(`"age"`, `"a\ne"`), "format"},
		{"no key", with(`"key":{"key":"hush<&>"},`, ``), "key is missing"},
		{"null key", with(`{"key":"hush<&>"}`, `null`), "key is malformed"},
		{"long name", with(`hush.jpg`, strings.Repeat("n", maxName+1)), "name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			armored := enarmor(encrypt(t, c.plaintext, stanza(typeTo, to[0].ID()), key(t, to[0])))
			if _, err := Inspect(armored, to); err != nil {
				t.Fatal(err)
			}
			got, err := Open(armored, ids[0])
			if !errors.Is(err, ErrContents) || !strings.Contains(err.Error(), c.says) || got.Key != nil {
				t.Fatalf("%v does not say %q", err, c.says)
			}
			noSecret(t, err.Error(), armored)
		})
	}
	// In another order, with white space and without the name it is the same.
	other := `{ "key": {"key":"hush<&>"}, "format":"age", "size":4711, "sha256":"010203` + strings.Repeat("0", 58) +
		"\",\n\"blob_id\":\"0198c0de-0000-7000-8000-00000000cafe\", \"version\": 1 }"
	got, err := Open(enarmor(encrypt(t, other, stanza(typeTo, to[0].ID()), key(t, to[0]))), ids[0])
	want := contents()
	if want.Name = ""; err != nil || !equal(got, want) {
		t.Errorf("by another client: %v", err)
	}
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	_, to := moderators(t, 2, false)
	_, pq := moderators(t, 1, true)
	for _, c := range []struct {
		name   string
		change func(*Contents)
		want   error
	}{
		{"no id", func(c *Contents) { c.Blob = uuid.Nil }, ErrContents},
		{"no digest", func(c *Contents) { c.SHA256 = blobstore.Digest{} }, ErrContents},
		{"size below zero", func(c *Contents) { c.Size = -1 }, ErrContents},
		{"no format", func(c *Contents) { c.Format = "" }, ErrContents},
		{"long format", func(c *Contents) { c.Format = strings.Repeat("f", maxFormat+1) }, ErrContents},
		{"no key", func(c *Contents) { c.Key = nil }, ErrContents},
		{"null key", func(c *Contents) { c.Key = json.RawMessage(" null") }, ErrContents},
		{"key not JSON", func(c *Contents) { c.Key = json.RawMessage(secret) }, ErrContents},
		{"key not UTF-8", func(c *Contents) { c.Key = json.RawMessage("\"\xff\"") }, ErrContents},
		{"long name", func(c *Contents) { c.Name = strings.Repeat("n", maxName+1) }, ErrContents},
		{"name not UTF-8", func(c *Contents) { c.Name = secret + "\xff" }, ErrContents},
		{"too large", func(c *Contents) { c.Key = json.RawMessage(`"` + strings.Repeat("k", maxContents) + `"`) }, ErrTooLarge},
	} {
		bad := contents()
		c.change(&bad)
		if got, err := Seal(bad, to); !errors.Is(err, c.want) || got != "" {
			t.Errorf("%s: %v", c.name, err)
		} else {
			noSecret(t, err.Error(), "")
		}
	}
	if _, err := Seal(contents(), []Recipient{to[0], {}}); !errors.Is(err, ErrRecipient) || !strings.Contains(err.Error(), "it is empty") {
		t.Errorf("the zero recipient: %v", err)
	}
	_, many := moderators(t, maxRecipients+1, false)
	for name, to := range map[string][]Recipient{
		"nobody": nil, "zero": {{}}, "twice": {to[0], to[1], to[0]}, "mixed": {to[0], pq[0]}, "mixed too": {pq[0], to[0]}, "many": many,
	} {
		if _, err := Seal(contents(), to); !errors.Is(err, ErrRecipient) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestContentsAreRedacted(t *testing.T) {
	t.Parallel()
	c := contents()
	asJSON, err := json.Marshal(map[string]any{"c": c, "p": &c})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "c", c, "in", struct{ C Contents }{c})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "c", c, "in", []Contents{c})
	for _, text := range []string{
		fmt.Sprint(c, &c), fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c, c), fmt.Sprintf("%+v", []Contents{c}),
		fmt.Sprintf("%#v", struct{ C Contents }{c}), string(asJSON), log.String(),
	} {
		noSecret(t, text, "")
		if !strings.Contains(text, "[redacted]") || !strings.Contains(text, c.Blob.String()) ||
			strings.Contains(text, "104 117 115 104") || strings.Contains(text, "0x68, 0x75") {
			t.Errorf("not redacted: %s", text)
		}
	}
	if hex := fmt.Sprintf("%x", c); strings.Contains(hex, fmt.Sprintf("%x", secret)) {
		t.Errorf("not redacted: %s", hex)
	}
}

func FuzzSeal(f *testing.F) {
	ids, classic := moderators(f, 3, false)
	pqs, hybrid := moderators(f, 2, true)
	f.Add("age", []byte(`"k"`), "a.jpg", int64(0), uint8(1), false)
	f.Add("jwe", []byte(`{"kty":"oct","k":"<&>\u2028"}`), "", int64(1<<40), uint8(2), true)
	f.Add("age", []byte(` [1, 2e400, null] `), "\u0000\u202e", int64(-1), uint8(3), false)
	f.Fuzz(func(t *testing.T, format string, media []byte, name string, size int64, n uint8, pq bool) {
		to, with := classic, ids
		if pq {
			to, with = hybrid, pqs
		}
		to = to[:int(n)%(len(to)+1)]
		c := contents()
		c.Format, c.Key, c.Name, c.Size = format, media, name, size
		armored, err := Seal(c, to)
		if err != nil {
			if !errors.Is(err, ErrContents) && !errors.Is(err, ErrRecipient) && !errors.Is(err, ErrTooLarge) {
				t.Error(err)
			}
			return
		}
		if named, err := Inspect(armored, to); err != nil || len(named) != len(to) {
			t.Fatalf("Inspect refuses what Seal made: %v, %v", named, err)
		}
		got, err := Open(armored, with[len(to)-1])
		if err != nil {
			t.Fatal(err)
		}
		var was, is any
		errors.Join(json.Unmarshal(media, &was), json.Unmarshal(got.Key, &is))
		if got.Key = c.Key; !equal(got, c) || fmt.Sprint(was) != fmt.Sprint(is) {
			t.Errorf("sealed %q, opened %q", media, got.Key)
		}
	})
}

// TestOpenDamaged changes what only the key can tell: the last byte of the payload,
// and the address, which the header's MAC covers.
func TestOpenDamaged(t *testing.T) {
	t.Parallel()
	ids, to := moderators(t, 2, false)
	file, _, err := read(seal(t, contents(), to[0]))
	if err != nil {
		t.Fatal(err)
	}
	payload := string(file[:len(file)-1]) + string([]byte{file[len(file)-1] ^ 1})
	address := strings.Replace(string(file), to[0].ID(), to[1].ID(), 1)
	for name, changed := range map[string]string{"payload": payload, "address": address} {
		armored := enarmor([]byte(changed))
		if _, err := Inspect(armored, to); err != nil {
			t.Errorf("%s: nobody can tell from the outside: %v", name, err)
		}
		got, err := Open(armored, ids[0])
		if !errors.Is(err, ErrContents) || !strings.Contains(err.Error(), "changed since it was sealed") || got.Key != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
