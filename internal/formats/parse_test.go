package formats

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	key, long := strings.Repeat("A", 43), strings.Repeat("A", 86)
	matrix := `{"v":"v2","key":{"kty":"oct","alg":"A256CTR","k":"` + key + `"},"iv":"AAAAAAAAAAAAAAAAAAAAAA","hashes":{"sha256":"` + key + `"}}`
	change := func(old, new string) string {
		if !strings.Contains(matrix, old) {
			t.Fatal(old)
		}
		return strings.Replace(matrix, old, new, 1)
	}
	for _, c := range []struct {
		name, format, material string
		want                   error
	}{
		{"unknown", "pgp", `{}`, ErrFormat},
		{"no format", "", `{}`, ErrFormat},
		{"another case", "Age", `{}`, ErrFormat},
		{"empty", Age, ``, ErrMaterial},
		{"null", Age, `null`, ErrMaterial},
		{"a string", Age, `"` + ageIdentities[1] + `"`, ErrMaterial},
		{"no identity", Age, `{}`, ErrMaterial},
		{"a wrong checksum", Age, `{"identity":"` + ageIdentities[1][:73] + `Q"}`, ErrMaterial},
		{"a recipient", Age, `{"identity":"age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa"}`, ErrMaterial},
		{"a plugin's", Age, `{"identity":"AGE-PLUGIN-YUBIKEY-1QYQSYQC9QYQSYQC9Q"}`, ErrMaterial},
		{"a broken hybrid", Age, `{"identity":"AGE-SECRET-KEY-PQ-1HZLGZUPT4"}`, ErrMaterial},
		{"more than one field", Age, `{"identity":"` + ageIdentities[1] + `","x":1}`, ErrMaterial},
		{"more than one value", Age, `{"identity":"` + ageIdentities[1] + `"}{}`, ErrMaterial},
		{"padding", Age, `{"identity":"` + ageIdentities[1] + `"` + strings.Repeat(" ", maxMaterial) + `}`, ErrMaterial},
		{"as it should be", Age, `{"identity":"` + ageIdentities[1] + `"}`, nil},
		{"as it should be", Matrix, matrix, nil},
		{"padded", Matrix, change(`"AAAAAAAAAAAAAAAAAAAAAA"`, `"AAAAAAAAAAAAAAAAAAAAAA=="`), nil},
		{"v1", Matrix, change("v2", "v1"), ErrMaterial},
		{"another algorithm", Matrix, change("A256CTR", "A256GCM"), ErrMaterial},
		{"another type of key", Matrix, change("oct", "RSA"), ErrMaterial},
		{"no hash", Matrix, change("sha256", "sha512"), ErrMaterial},
		{"a short key", Matrix, change(key, key[:42]), ErrMaterial},
		{"a key in another alphabet", Matrix, change(key, "+"+key[1:]), ErrMaterial},
		{"a short IV", Matrix, change("AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAA"), ErrMaterial},
		{"bits that no byte has", Matrix, change(`AAAAAA"},"iv"`, `AAAAAB"},"iv"`), ErrMaterial},
		{"a line break in base64", Matrix, change(`"iv":"AAAA`, `"iv":"A\nAAA`), ErrMaterial},
		{"as it should be", Signal, `{"keys":"` + long + `"}`, nil},
		{"null for none", Signal, `{"keys":"` + long + `","digest":null,"size":null}`, nil},
		{"half of the keys", Signal, `{"keys":"` + key + `"}`, ErrMaterial},
		{"an empty digest", Signal, `{"keys":"` + long + `","digest":""}`, ErrMaterial},
		{"a negative size", Signal, `{"keys":"` + long + `","size":-1}`, ErrMaterial},
		{"a broken size", Signal, `{"keys":"` + long + `","size":1.5}`, ErrMaterial},
		{"as it should be", WhatsApp, `{"media_key":"` + key + `","media_type":"audio"}`, nil},
		{"no type", WhatsApp, `{"media_key":"` + key + `"}`, ErrMaterial},
		{"another type", WhatsApp, `{"media_key":"` + key + `","media_type":"history"}`, ErrMaterial},
		{"a long key", WhatsApp, `{"media_key":"` + long + `","media_type":"audio"}`, ErrMaterial},
		{"as it should be", XEP0454, `{"fragment":"` + strings.Repeat("a", 88) + `"}`, nil},
		{"a long IV", XEP0454, `{"fragment":"` + strings.Repeat("A", 96) + `"}`, nil},
		{"an IV of 14", XEP0454, `{"fragment":"` + strings.Repeat("a", 92) + `"}`, ErrMaterial},
		{"no IV", XEP0454, `{"fragment":"` + strings.Repeat("a", 64) + `"}`, ErrMaterial},
		{"with its #", XEP0454, `{"fragment":"#` + strings.Repeat("a", 88) + `"}`, ErrMaterial},
		{"odd", XEP0454, `{"fragment":"` + strings.Repeat("a", 89) + `"}`, ErrMaterial},
		{"none", XEP0454, `{"fragment":""}`, ErrMaterial},
	} {
		k, err := Parse(c.format, json.RawMessage(c.material))
		if !errors.Is(err, c.want) || (k == nil) != (err != nil) {
			t.Errorf("%s: %s: %v, %v", c.format, c.name, k, err)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	if want := []string{"age", "matrix", "signal", "whatsapp", "xep-0454"}; !slices.Equal(Names(), want) {
		t.Error(Names())
	}
	for _, n := range Names() {
		if _, err := Parse(n, nil); !errors.Is(err, ErrMaterial) {
			t.Errorf("%s: %v", n, err)
		}
	}
}

func TestKeysPrintRedacted(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t, 1, nil) {
		k := mustParse(t, s.format, s.material)
		var out bytes.Buffer
		for _, v := range []any{k, &k, struct{ K Key }{k}, []Key{k}, map[string]Key{"k": k}} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%o", "%c", "%U", "%t", "%p"} {
				fmt.Fprintf(&out, verb+"\n", v)
			}
			if err := json.NewEncoder(&out).Encode(v); err != nil {
				t.Fatal(err)
			}
			slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
			slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		}
		if s.format == Age {
			if strings.Contains(out.String(), ageIdentities[1][20:40]) {
				t.Error("printed: the identity")
			}
		}
		secret := keyBytes(1, 32)
		derived := hkdfBySteps(secret, "WhatsApp Video Keys", 112)
		for _, b := range [][]byte{secret[:6], derived[16:22], derived[48:54]} {
			for _, leak := range []string{
				fmt.Sprintf("%x", b), fmt.Sprintf("%X", b), strings.Trim(fmt.Sprint(b), "[]"), strings.Trim(fmt.Sprintf("%b", b), "[]"),
				strings.Trim(fmt.Sprintf("%#v", b), "[]byte{}"), base64.StdEncoding.EncodeToString(b), base64.URLEncoding.EncodeToString(b), string(b),
			} {
				if strings.Contains(out.String(), leak) {
					t.Errorf("%s printed: %q", s.format, leak)
				}
			}
		}
		if want := fmt.Sprintf("%v", k); want != s.format+"[redacted]" || fmt.Sprintf("%#v %s", k, k) != want+" "+want {
			t.Errorf("%s prints as %v", s.format, k)
		}
		if j, err := json.Marshal(k); err != nil || string(j) != `"`+s.format+`[redacted]"` {
			t.Errorf("%s marshals as %s, %v", s.format, j, err)
		}
	}
}

func TestErrorsDoNotQuote(t *testing.T) {
	t.Parallel()
	const secret = "S3CRET"
	for _, format := range append(Names(), secret) {
		for _, material := range []string{
			secret, `"` + secret + `"`, `{"` + secret + `":1}`, `{"identity":"` + secret + `"}`, `{"identity":"AGE-SECRET-KEY-1` + secret + `"}`,
			`{"keys":"` + secret + `"}`, `{"media_key":"` + secret + `","media_type":"` + secret + `"}`, `{"media_key":"` + secret + `","media_type":"image"}`,
			`{"fragment":"` + secret + `"}`, `{"v":"` + secret + `"}`, `{"v":"v2","key":{"kty":"oct","alg":"A256CTR","k":"` + secret + `"}}`,
		} {
			if _, err := Parse(format, json.RawMessage(material)); err == nil || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), `'S'`) {
				t.Errorf("%s, %s: %v", format, material, err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("age", []byte(`{"identity":"AGE-SECRET-KEY-184JMZMVQH3E6U0PSL869004Y3U2NYV7R30EU99CSEDNPH02YUVFSZW44VU"}`))
	f.Add("matrix", []byte(`{"v":"v2","key":{"kty":"oct","alg":"A256CTR","k":"__________________________________________8"},"iv":"//////////8AAAAAAAAAAA","hashes":{"sha256":"YzF08lARDdOCzJpzuSwsjTNlQc4pHxpdHcXiD/wpK6k"}}`))
	f.Add("signal", []byte(`{"keys":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==","size":3,"digest":null}`))
	f.Add("whatsapp", []byte(`{"media_key":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","media_type":"image"}`))
	f.Add("xep-0454", []byte(`{"fragment":"cafebabefacedbaddecaf888feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"}`))
	f.Add("", []byte(`null`))
	f.Fuzz(func(t *testing.T, format string, material []byte) {
		k, err := Parse(format, material)
		if err != nil {
			if k != nil || !errors.Is(err, ErrMaterial) && !errors.Is(err, ErrFormat) {
				t.Fatalf("%v, %v", k, err)
			}
			return
		}
		if k.Format() != format || fmt.Sprint(k) != format+"[redacted]" || Judge(k, k.Commitment()) != Matches {
			t.Fatalf("a strange key: %v", k)
		}
		// No blob of these sizes is of any format but Matrix, whose hash is another.
		for _, n := range []int{1, 16, 64, 90} {
			if got, err := decrypt(k, make([]byte, n)); !errors.Is(err, ErrCiphertext) || len(got) > 0 {
				t.Fatalf("%d zeros: %q, %v", n, got, err)
			}
		}
	})
}
