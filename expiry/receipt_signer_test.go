package expiry_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"mayfly/expiry"
)

func generate(t testing.TB) []byte {
	t.Helper()
	file, err := expiry.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func publicPEM(t testing.TB, s *expiry.Signer) []byte {
	t.Helper()
	file, err := s.Keyring().PEM()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// A rotation adds a key at the end; what older ones signed stays valid, also when
// only their public part is kept.
func TestRotation(t *testing.T) {
	t.Parallel()
	oldFile, newFile := generate(t), generate(t)
	old, latest := signerOf(t, oldFile), signerOf(t, newFile)
	both := signerOf(t, append(bytes.Clone(oldFile), newFile...))
	retired := signerOf(t, append(publicPEM(t, old), newFile...))
	before := sign(t, old, erasure())
	for name, s := range map[string]*expiry.Signer{"both": both, "retired": retired} {
		if s.KeyID() != latest.KeyID() || len(s.Keyring()) != 2 {
			t.Errorf("%s: signs with %s, has %s", name, s.KeyID(), s.Keyring())
		}
		if v := verify(t, s.Keyring(), before); v.KeyID != old.KeyID() {
			t.Errorf("%s: %s", name, v.KeyID)
		}
		after := sign(t, s, erasure())
		if v := verify(t, s.Keyring(), after); v.KeyID != latest.KeyID() {
			t.Errorf("%s: %s", name, v.KeyID)
		}
		if _, err := old.Keyring().Verify(after); !errors.Is(err, expiry.ErrUnknownKey) || !strings.Contains(err.Error(), old.KeyID()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if a, b := verify(t, both.Keyring(), before), verify(t, both.Keyring(), sign(t, both, erasure())); !bytes.Equal(a.Payload, b.Payload) {
		t.Error("signed again with another key it says something else")
	}
}

func TestKeyID(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	sum := sha256.Sum256(s.Keyring()[0].Public)
	if want := hex.EncodeToString(sum[:8]); s.KeyID() != want {
		t.Errorf("%s, not %s", s.KeyID(), want)
	}
}

// The keyring that a signer gives away is the caller's.
func TestKeyringIsACopy(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	s.Keyring()[0].Until = start
	if !s.Keyring()[0].Until.IsZero() {
		t.Error("it changes the signer's")
	}
}

// P8: a key prints and logs as its id, and errors do not quote it.
func TestKeysStaySecret(t *testing.T) {
	t.Parallel()
	file := generate(t)
	s := signerOf(t, file)
	block, _ := pem.Decode(file)
	seed := block.Bytes[len(block.Bytes)-32:]
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb, s, *s)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("key", "pointer", s, "value", *s)
	damaged := bytes.Clone(file)
	damaged[len(damaged)/2] = '!'
	_, err := expiry.NewSigner(damaged)
	fmt.Fprint(&out, err)
	_, err = expiry.ParseKeyring(file)
	fmt.Fprint(&out, err)
	for _, secret := range []string{hex.EncodeToString(seed), fmt.Sprint(seed[:4])[1:9], strings.Split(string(file), "\n")[1][22:40]} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("shows %s:\n%s", secret, out.String())
		}
	}
	if !strings.Contains(out.String(), s.KeyID()) {
		t.Error(out.String())
	}
}

func TestNewSignerRefuses(t *testing.T) {
	t.Parallel()
	good := string(generate(t))
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(p256)
	if err != nil {
		t.Fatal(err)
	}
	foreign := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	for name, c := range map[string]struct{ file, want string }{
		"nothing":                {"", "genpkey"},
		"no PEM":                 {"secret", "genpkey"},
		"only a public key":      {string(publicPEM(t, newSigner(t))), "genpkey"},
		"another algorithm":      {foreign, "not an Ed25519 key"},
		"behind a good one":      {good + foreign, "key 2"},
		"a passphrase":           {strings.ReplaceAll(good, "PRIVATE", "ENCRYPTED PRIVATE"), "passphrase"},
		"a certificate":          {strings.ReplaceAll(good, "PRIVATE KEY", "CERTIFICATE"), "CERTIFICATE"},
		"the last one damaged":   {good + strings.Replace(good, "MC4C", "M*4C", 1), "of 2 PEM blocks 1 can be read"},
		"the last one cut":       {good + good[:60], "of 2 PEM blocks 1 can be read"},
		"damaged within":         {strings.Replace(good, "MC4C", "MC5C", 1), "damaged"},
		"a private as a public":  {strings.ReplaceAll(good, "PRIVATE", "PUBLIC"), "damaged"},
		"more than a key can be": {good + strings.Repeat("x", 1<<20), "more than"},
	} {
		if _, err := expiry.NewSigner([]byte(c.file)); !errors.Is(err, expiry.ErrKeys) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// openssl genpkey -text, and what people write between keys.
	signerOf(t, []byte("# the first\n"+good+"\nED25519 Private-Key:\npriv: …\n"+string(generate(t))))
}

func TestParseKeyring(t *testing.T) {
	t.Parallel()
	s := signerOf(t, append(generate(t), generate(t)...))
	want := s.Keyring()
	want[0].From, want[0].Until = start, start.Add(time.Hour)
	published, err := want.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := expiry.ParseKeyring(published); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("JWKS: %v, %v", got, err)
	}
	if got, err := expiry.ParseKeyring(publicPEM(t, s)); err != nil || !reflect.DeepEqual(got, s.Keyring()) {
		t.Errorf("PEM: %v, %v", got, err)
	}
	// RFC 8037, appendix A.2, beside a key of another kind.
	mixed := `{"keys":[{"kty":"RSA","n":"x","e":"AQAB"},{"kty":"OKP","crv":"X25519","x":"x"},
		{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`
	if got, err := expiry.ParseKeyring([]byte(mixed)); err != nil || got.String() != "21fe31dfa154a261" {
		t.Errorf("mixed: %v, %v", got, err)
	}
}

func TestParseKeyringRefuses(t *testing.T) {
	t.Parallel()
	const x = `"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`
	const okp = `"kty":"OKP","crv":"Ed25519",` + x
	good := string(publicPEM(t, newSigner(t)))
	for name, c := range map[string]struct{ file, want string }{
		"nothing":             {"", "no Ed25519 key"},
		"a private key":       {string(generate(t)), "kept secret"},
		"a private one too":   {good + string(generate(t)), "key 2 is a private key"},
		"a certificate":       {strings.ReplaceAll(good, "PUBLIC KEY", "CERTIFICATE"), "CERTIFICATE"},
		"a damaged one":       {good + good[:50], "of 2 PEM blocks 1"},
		"no keys":             {`{"keys":[]}`, "no Ed25519 key"},
		"keys missing":        {`{}`, "keys is missing"},
		"keys twice":          {`{"keys":[],"keys":[{` + okp + `}]}`, "twice"},
		"something behind":    {`{"keys":[{` + okp + `}]}{}`, "JWKS"},
		"a private JWK":       {`{"keys":[{` + okp + `,"d":"x"}]}`, "kept secret"},
		"a short x":           {`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKx"}]}`, "32 bytes"},
		"x with padding":      {`{"keys":[{` + strings.Replace(okp, "URo", "URo=", 1) + `}]}`, "32 bytes"},
		"x written otherwise": {`{"keys":[{` + strings.Replace(okp, "URo", "URp", 1) + `}]}`, "32 bytes"},
		"another's kid":       {`{"keys":[{` + okp + `,"kid":"me"}]}`, "21fe31dfa154a261"},
		"two times for one":   {`{"keys":[{` + okp + `},{` + okp + `,"exp":1}]}`, "other times"},
		"time as text":        {`{"keys":[{` + okp + `,"exp":"1"}]}`, "exp"},
		"very long":           {`{"keys":[{` + okp + `}]}` + strings.Repeat(" ", 1<<20), "more than"},
	} {
		if k, err := expiry.ParseKeyring([]byte(c.file)); !errors.Is(err, expiry.ErrKeys) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
}

func FuzzParseKeyring(f *testing.F) {
	s := newSigner(f)
	f.Add(publicPEM(f, s))
	published, err := s.Keyring().JWKS()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(published)
	f.Fuzz(func(t *testing.T, file []byte) {
		k, err := expiry.ParseKeyring(file)
		if err != nil {
			return
		}
		published, err := k.JWKS()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := expiry.ParseKeyring(published); err != nil || !reflect.DeepEqual(again, k) {
			t.Errorf("%v became %v: %v", k, again, err)
		}
	})
}
