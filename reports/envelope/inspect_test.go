package envelope

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
)

func TestInspectRefuses(t *testing.T) {
	t.Parallel()
	ids, to := moderators(t, 2, false)
	_, pq := moderators(t, 2, true)
	_, stranger := moderators(t, 1, false)
	scrypt, err := age.NewScryptRecipient("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	scrypt.SetWorkFactor(10)
	a, b := key(t, to[0]), key(t, to[1])
	text := strings.Repeat("{", 300)
	good := seal(t, contents(), to...)
	file, _, err := read(good)
	if err != nil {
		t.Fatal(err)
	}
	names := func(rs ...Recipient) stanzas {
		var of []string
		for _, r := range rs {
			of = append(of, r.ID())
		}
		return stanza(typeTo, of...)
	}
	made := func(to ...age.Recipient) string { return enarmor(encrypt(t, text, to...)) }
	withBody := names(to[0])
	withBody[0].Body = []byte(secret)
	many := names(slices.Repeat(to[:1], maxRecipients+1)...)
	for i := range many[0].Args {
		many[0].Args[i] = strings.Repeat("0", 13) + string([]byte{'a' + byte(i/26), '0', '0' + byte(i%10)})
	}
	body := make([]byte, 32)
	enc := strings.Repeat("A", 43)

	for _, c := range []struct {
		name, armored string
		want          error
		says          string
	}{
		{"empty", "", ErrNotAge, "empty"},
		{"white space", " \n\t\n", ErrNotAge, "empty"},
		{"text", "AGE-SECRET-KEY-1" + secret, ErrNotAge, "does not begin"},
		{"binary", string(file), ErrNotAge, "binary"},
		{"other PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ErrNotAge, "does not begin"},
		{"too large", good + strings.Repeat(" ", MaxBytes), ErrTooLarge, "65536"},
		{"something behind it", good + secret, ErrNotAge, "follows"},
		{"two of them", good + good, ErrNotAge, "follows"},
		{"much white space behind it", good + strings.Repeat(" ", 2000), ErrNotAge, "follows"},
		{"armor around text", enarmor([]byte(secret + text)), ErrNotAge, "header"},
		{"armor around armor", enarmor([]byte(good)), ErrNotAge, "header"},
		{"armor around nothing", enarmor(nil), ErrNotAge, "header"},
		{"header alone", enarmor(file[:strings.Index(string(file), "\n---")+48]), ErrNotAge, "cut off"},
		{"header and nonce", enarmor(encrypt(t, "", names(to[0]), a)), ErrNotAge, "cut off"},
		{"too much sealed", enarmor(encrypt(t, strings.Repeat(" ", maxContents+1), names(to[0]), a)), ErrTooLarge, "8192"},
		{"passphrase", made(scrypt), ErrNotAge, "passphrase"},
		{"passphrase, addressed", made(names(to[0]), unlabelled{scrypt}), ErrNotAge, "passphrase"},

		{"plain age file", made(a), ErrAddress, "no mayfly-to stanza. A plain age file"},
		{"second place", made(a, names(to[0])), ErrAddress, "not the first"},
		{"last place", made(a, b, names(to...)), ErrAddress, "not the first"},
		{"doubled", made(names(to[0]), names(to[0]), a), ErrAddress, "two mayfly-to"},
		{"doubled, counted", made(names(to...), names(to[0]), a), ErrAddress, "two mayfly-to"},
		{"with a body", made(withBody, a), ErrAddress, "body"},
		{"names nobody", made(stanza(typeTo), a), ErrAddress, "names nobody"},
		{"names nobody, sealed to nobody", made(stanza(typeTo)), ErrAddress, "names nobody"},
		{"names one, sealed to nobody", made(names(to[0])), ErrAddress, "names 1 recipients, and it is sealed to 0"},
		{"names one, sealed to two", made(names(to[0]), a, b), ErrAddress, "names 1 recipients, and it is sealed to 2"},
		{"names two, sealed to one", made(names(to...), a), ErrAddress, "names 2 recipients, and it is sealed to 1"},
		{"names one twice", made(names(to[0], to[0]), a, a), ErrAddress, "twice"},
		{"names too many", made(append([]age.Recipient{many}, slices.Repeat([]age.Recipient{a}, maxRecipients+1)...)...), ErrAddress, "more than 64"},
		{"id too short", made(stanza(typeTo, to[0].ID()[1:]), a), ErrAddress, "not all ids"},
		{"id upper-case", made(stanza(typeTo, "ABCDEF0123456789"), a), ErrAddress, "not all ids"},
		{"id not hex", made(stanza(typeTo, "0123456g89abcdef"), a), ErrAddress, "not all ids"},
		{"another type", made(names(to...), a, stanza("ssh-ed25519", secret, enc)), ErrAddress, "neither X25519 nor mlkem768x25519"},
		{"mixed", made(unlabelled{names(to[0], pq[0])}, a, unlabelled{key(t, pq[0])}), ErrAddress, "mixes"},
		{"X25519 named, hybrid sealed", made(address{ids: []string{to[0].ID()}, hybrid: true}, key(t, pq[0])), ErrAddress, "other kind"},
		{"hybrid named, X25519 sealed", made(names(pq[0]), a), ErrAddress, "other kind"},
		{"malformed X25519: no key", made(names(to...), a, stanzas{{Type: typeX25519, Body: body}}), ErrAddress, "malformed X25519"},
		{"malformed X25519: two keys", made(names(to...), a, stanzas{{Type: typeX25519, Args: []string{enc, enc}, Body: body}}), ErrAddress, "malformed X25519"},
		{"malformed X25519: short key", made(names(to...), a, stanzas{{Type: typeX25519, Args: []string{enc[:42]}, Body: body}}), ErrAddress, "malformed X25519"},
		{"malformed X25519: not base64", made(names(to...), a, stanzas{{Type: typeX25519, Args: []string{enc[:42] + "!"}, Body: body}}), ErrAddress, "malformed X25519"},
		{"malformed X25519: not canonical", made(names(to...), a, stanzas{{Type: typeX25519, Args: []string{enc[:42] + "B"}, Body: body}}), ErrAddress, "malformed X25519"},
		{"malformed X25519: short body", made(names(to...), a, stanzas{{Type: typeX25519, Args: []string{enc}, Body: body[1:]}}), ErrAddress, "malformed X25519"},
		{"malformed hybrid", made(names(pq[0]), stanzas{{Type: typeHybrid, Args: []string{enc}, Body: body}}), ErrAddress, "malformed mlkem768x25519"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := Inspect(c.armored, slices.Concat(to, pq))
			if !errors.Is(err, c.want) || got != nil {
				t.Fatalf("got %v, %v, not %v", got, err, c.want)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
			noSecret(t, err.Error(), c.armored)
			if c.says == "other kind" {
				return // the moderator, who knows no recipients, may open that
			}
			if _, opened := Open(c.armored, ids[0]); opened == nil || opened.Error() != err.Error() {
				t.Errorf("Open says %v, Inspect %v", opened, err)
			}
		})
	}

	t.Run("unknown recipient", func(t *testing.T) {
		t.Parallel()
		armored := seal(t, contents(), to[0], stranger[0], to[1])
		for _, c := range []struct{ known, unknown []Recipient }{{to, stranger}, {stranger, to}, {to[1:], []Recipient{to[0], stranger[0]}}, {nil, []Recipient{to[0], stranger[0], to[1]}}} {
			_, err := Inspect(armored, c.known)
			unknown, ok := errors.AsType[*UnknownRecipientError](err)
			if !ok || len(unknown.IDs) != len(c.unknown) {
				t.Fatalf("%v", err)
			}
			for i, r := range c.unknown {
				if unknown.IDs[i] != r.ID() || !strings.Contains(err.Error(), r.ID()) {
					t.Errorf("%d: %v", i, err)
				}
			}
		}
	})
	t.Run("white space around", func(t *testing.T) {
		t.Parallel()
		for _, armored := range []string{strings.TrimSpace(good), " \n\n" + good + "\n \n", strings.ReplaceAll(good, "\n", "\r\n")} {
			if _, err := Inspect(armored, to); err != nil {
				t.Error(err)
			}
		}
	})
}

// fixed are recipients whose identities nobody has: a fuzzer's workers, each a
// process, must know the same ones.
func fixed(t testing.TB, path string) []Recipient {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := ParseRecipients(f)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func FuzzInspect(f *testing.F) {
	classic, hybrid := fixed(f, "testdata/x25519.txt"), fixed(f, "testdata/hybrid.txt")
	known := slices.Concat(classic, hybrid)
	text := strings.Repeat("{", 300)
	a := key(f, classic[0])
	named := stanza(typeTo, classic[0].ID())
	for _, armored := range []string{
		"", "age-encryption.org/v1\n", "-----BEGIN AGE ENCRYPTED FILE-----\n",
		seal(f, contents(), classic[0]), seal(f, contents(), classic...), seal(f, contents(), hybrid...),
		enarmor(encrypt(f, text, a)),
		enarmor(encrypt(f, text, named, a, a)),
		enarmor(encrypt(f, text, a, named)),
		enarmor(encrypt(f, text, named)),
		enarmor(encrypt(f, text, named, stanza(typeScrypt, "AAAAAAAAAAAAAAAAAAAAAA", "10"))),
		enarmor([]byte("age-encryption.org/v1\n-> " + typeTo + "\n\n--- " + strings.Repeat("A", 43) + "\n")),
		enarmor([]byte("age-encryption.org/v1\n--- " + strings.Repeat("A", 43) + "\n")),
	} {
		f.Add(armored, false)
		if file, err := dearmor(armored); err == nil {
			f.Add(string(file), true) // a fuzzer finds nothing behind base64
		}
	}
	f.Fuzz(func(t *testing.T, text string, wrap bool) {
		if wrap {
			text = enarmor([]byte(text))
		}
		named, err := Inspect(text, known)
		if err != nil {
			_, unknown := errors.AsType[*UnknownRecipientError](err)
			if named != nil || !unknown && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrNotAge) && !errors.Is(err, ErrAddress) {
				t.Errorf("%v, %v", named, err)
			}
			return
		}
		if len(text) > MaxBytes || len(named) == 0 {
			t.Errorf("accepted: %d bytes for %v", len(text), named)
		}
		for _, id := range named {
			if !slices.ContainsFunc(known, func(r Recipient) bool { return r.ID() == id }) {
				t.Errorf("%s is not known", id)
			}
		}
	})
}
