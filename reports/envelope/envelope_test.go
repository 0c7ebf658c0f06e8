package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/google/uuid"

	"mayfly/blobstore"
)

// secret stands in every key, passphrase and name of these tests, so that a text
// in which it is found has leaked.
const secret = "hush"

func contents() Contents {
	return Contents{
		Blob:   uuid.MustParse("0198c0de-0000-7000-8000-00000000cafe"),
		SHA256: blobstore.Digest{1, 2, 3},
		Size:   4711,
		Format: "age",
		Key:    json.RawMessage(`{"key":"` + secret + `<&>"}`),
		Name:   secret + ".jpg",
	}
}

// moderators makes n identities and their recipients.
func moderators(t testing.TB, n int, hybrid bool) ([]Identity, []Recipient) {
	t.Helper()
	ids := make([]Identity, n)
	recipients := make([]Recipient, n)
	for i := range ids {
		var err error
		if ids[i], err = GenerateIdentity(hybrid); err != nil {
			t.Fatal(err)
		}
		recipients[i] = ids[i].Recipient()
	}
	return ids, recipients
}

func seal(t testing.TB, c Contents, to ...Recipient) string {
	t.Helper()
	armored, err := Seal(c, to)
	if err != nil {
		t.Fatal(err)
	}
	return armored
}

// stanzas is an age.Recipient that writes what it is told.
type stanzas []*age.Stanza

func (s stanzas) Wrap([]byte) ([]*age.Stanza, error) { return s, nil }

func stanza(kind string, args ...string) stanzas {
	return stanzas{{Type: kind, Args: args}}
}

// unlabelled hides the labels of a recipient, as a client would that mixes kinds.
type unlabelled struct{ age.Recipient }

// encrypt makes an age file of the plaintext, past all the checks of Seal.
func encrypt(t testing.TB, plaintext string, to ...age.Recipient) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := age.Encrypt(&b, to...)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, plaintext)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func enarmor(file []byte) string {
	var b strings.Builder
	w := armor.NewWriter(&b)
	w.Write(file)
	w.Close()
	return b.String()
}

func key(t testing.TB, r Recipient) age.Recipient {
	t.Helper()
	k, err := r.key()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// noSecret fails if the text holds one, or a line of the envelope.
func noSecret(t testing.TB, text, armored string) {
	t.Helper()
	if strings.Contains(text, secret) || strings.Contains(text, "AGE-SECRET-KEY-1") || strings.Contains(text, "AGE-SECRET-KEY-PQ-1") {
		t.Errorf("a secret in %q", text)
	}
	for line := range strings.Lines(armored) {
		if line = strings.TrimSpace(line); len(line) > 8 && !strings.Contains(armor.Header, line) && strings.Contains(text, line) {
			t.Errorf("a line of the envelope in %q", text)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n      int
		hybrid bool
	}{{1, false}, {3, false}, {maxRecipients, false}, {1, true}, {3, true}, {maxHybrid, true}} {
		t.Run(fmt.Sprintf("%d recipients, hybrid %v", c.n, c.hybrid), func(t *testing.T) {
			t.Parallel()
			ids, recipients := moderators(t, c.n, c.hybrid)
			want := contents()
			// As large as contents can be: the envelope still has to fit.
			want.Key = json.RawMessage(`"` + strings.Repeat("k", maxContents-1000) + `"`)
			want.Name = strings.Repeat("n", maxName)
			armored := seal(t, want, recipients...)
			_, others := moderators(t, 1, c.hybrid)
			named, err := Inspect(armored, slices.Concat(others, recipients))
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range recipients {
				if named[i] != r.ID() {
					t.Errorf("recipient %d is named %s, not %s", i, named[i], r.ID())
				}
			}
			for _, id := range []Identity{ids[0], ids[c.n/2], ids[c.n-1]} {
				got, err := Open(armored, id)
				if err != nil {
					t.Fatal(err)
				}
				if !equal(got, want) {
					t.Error("what was opened is not what was sealed")
				}
				// The plain tool: age, with nothing of ours.
				plain, err := age.ParseIdentities(strings.NewReader(id.Reveal()))
				if err != nil {
					t.Fatal(err)
				}
				r, err := age.Decrypt(armor.NewReader(strings.NewReader(armored)), plain...)
				if err != nil {
					t.Fatal(err)
				}
				if data, err := io.ReadAll(r); err != nil || !json.Valid(data) || !bytes.Contains(data, want.Key) {
					t.Errorf("age opens it to something else: %v", err)
				}
			}
		})
	}
}

func equal(a, b Contents) bool {
	return bytes.Equal(a.Key, b.Key) && a.Name == b.Name && a.Format == b.Format && a.BoundTo(b.Blob, b.SHA256, b.Size) == nil
}

// What is sealed is written down for clients in other languages: this is it.
func TestSealedJSON(t *testing.T) {
	t.Parallel()
	ids, recipients := moderators(t, 1, false)
	r, err := age.Decrypt(armor.NewReader(strings.NewReader(seal(t, contents(), recipients...))), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	want := `{"version":1,"blob_id":"0198c0de-0000-7000-8000-00000000cafe","sha256":"010203` + strings.Repeat("0", 58) +
		`","size":4711,"format":"age","key":{"key":"hush<&>"},"name":"hush.jpg"}` + "\n"
	if err != nil || string(got) != want {
		t.Errorf("sealed %s\nnot    %s, %v", got, want, err)
	}
}

func TestTransplanted(t *testing.T) {
	t.Parallel()
	c := contents()
	if err := c.BoundTo(c.Blob, c.SHA256, c.Size); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		what string
		err  error
	}{
		{"another id", c.BoundTo(uuid.New(), c.SHA256, c.Size)},
		{"another digest", c.BoundTo(c.Blob, blobstore.Digest{1, 2, 4}, c.Size)},
		{"another size", c.BoundTo(c.Blob, c.SHA256, c.Size+1)},
		{"another id, digest, size", c.BoundTo(uuid.New(), blobstore.Digest{}, 0)},
	} {
		if !errors.Is(x.err, ErrTransplanted) || !strings.HasSuffix(x.err.Error(), ": "+x.what) {
			t.Errorf("%s: %v", x.what, x.err)
		}
	}
}

// TestEveryByte changes each byte of an envelope to each other value. What Inspect
// and Open then still take must be the same contents, and be so for a reason that
// is known: white space around the armor, or another end of a line.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	ids, recipients := moderators(t, 1, false)
	c := contents()
	c.Key, c.Name = json.RawMessage(`"k"`), ""
	armored := seal(t, c, recipients...)
	for part := range 8 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for i := part; i < len(armored); i += 8 {
				changed := []byte(armored)
				for b := range 256 {
					if changed[i] = byte(b); string(changed) == armored {
						continue
					}
					if _, err := Inspect(string(changed), recipients); err != nil {
						noSecret(t, err.Error(), string(changed))
						continue
					}
					got, err := Open(string(changed), ids[0])
					if err != nil {
						continue
					}
					if !equal(got, c) {
						t.Fatalf("byte %d as %#x opens to other contents", i, b)
					}
					if strings.TrimSpace(strings.ReplaceAll(string(changed), "\r\n", "\n")) != strings.TrimSpace(armored) {
						t.Errorf("byte %d as %#x still opens", i, b)
					}
				}
			}
		})
	}
}

// TestEveryCut cuts an envelope off behind each byte.
func TestEveryCut(t *testing.T) {
	t.Parallel()
	ids, recipients := moderators(t, 1, false)
	armored := seal(t, contents(), recipients...)
	for n := range len(armored) - 1 { // the last line break may be missing
		if _, err := Inspect(armored[:n], recipients); !errors.Is(err, ErrNotAge) {
			t.Errorf("Inspect of %d bytes: %v", n, err)
		}
	}
	file, _, err := read(armored)
	if err != nil {
		t.Fatal(err)
	}
	_, payload, err := split(file)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(file) {
		cut := enarmor(file[:n])
		_, inspected := Inspect(cut, recipients)
		_, opened := Open(cut, ids[0])
		if opened == nil {
			t.Errorf("binary cut to %d bytes opens", n)
		}
		// Without the key only what is too short for any contents can be told.
		if n < len(file)-payload+ageNonce+minContents+ageTag {
			if !errors.Is(inspected, ErrNotAge) {
				t.Errorf("binary cut to %d bytes: %v", n, inspected)
			}
		} else if inspected != nil {
			t.Errorf("binary cut to %d bytes: %v", n, inspected)
		}
	}
}
