package expiry_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/expiry"
)

// raw is a key outside of the package, to sign by hand what a Signer would not.
type raw struct{ ed25519.PrivateKey }

func newRaw(t testing.TB, seed byte) raw {
	t.Helper()
	return raw{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))}
}

func (r raw) key() expiry.Key {
	return expiry.Key{Public: r.Public().(ed25519.PublicKey)}
}

// signature is what stands in signatures: internal/docs/receipts.md, and nothing of
// the package.
func (r raw) signature(payloadType, payload string) string {
	signed := fmt.Sprintf("DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
	return fmt.Sprintf(`{"keyid":%q,"sig":%q}`, r.key().ID(), base64.StdEncoding.EncodeToString(ed25519.Sign(r.PrivateKey, []byte(signed))))
}

func (r raw) envelope(payloadType, payload string) string {
	return fmt.Sprintf(`{"payloadType":%q,"payload":%q,"signatures":[%s]}`,
		payloadType, base64.StdEncoding.EncodeToString([]byte(payload)), r.signature(payloadType, payload))
}

// What a Signer signs verifies with crypto/ed25519 and receipts.md alone.
func TestSignedByHand(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	var e struct {
		PayloadType, Payload string
		Signatures           []struct{ KeyID, Sig string }
	}
	if err := json.Unmarshal(sign(t, s, erasure()), &e); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := base64.StdEncoding.DecodeString(e.Signatures[0].Sig)
	if err != nil {
		t.Fatal(err)
	}
	signed := fmt.Sprintf("DSSEv1 35 application/vnd.mayfly.erasure+json %d %s", len(payload), payload)
	if e.PayloadType != expiry.ReceiptType || len(e.Signatures) != 1 || !ed25519.Verify(s.Keyring()[0].Public, []byte(signed), sig) {
		t.Errorf("%+v is not signed as the documentation says", e)
	}
	if e.Signatures[0].KeyID != s.KeyID() {
		t.Errorf("key id %s", e.Signatures[0].KeyID)
	}
}

// TestEveryByte flips each bit of an envelope, changes each byte to each other
// value, takes it out, and doubles it. None of these is believed. Within the
// payload it only flips bits: there every change is up to the signature, which
// costs too much to be asked 50,000 times.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	everyByte(t, s.Keyring(), sign(t, s, erasure()))
}

// TestEveryByteOfATree is the same of a receipt that was signed with others.
func TestEveryByteOfATree(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	before, after := erasure(), erasure()
	before.Blob[15]--
	after.Blob[15]++
	everyByte(t, s.Keyring(), together(t, s, before, erasure(), after)[1])
}

func everyByte(t *testing.T, keys expiry.Keyring, good []byte) {
	t.Helper()
	begin := bytes.Index(good, []byte(`"payload":"`)) + len(`"payload":"`)
	end := bytes.Index(good, []byte(`","signatures"`)) - 4 // the end of base64 may be written in more than one way
	second, secondEnd := 0, 0                              // of a receipt in a tree
	if at := bytes.Index(good, []byte(`"receipt":"`)); at > 0 {
		second = at + len(`"receipt":"`)
		secondEnd = second + bytes.IndexByte(good[second:], '"') - 4
	}
	for i := range good {
		bad := bytes.Clone(good)
		for flip := 1; flip < 256; flip++ {
			if (begin <= i && i < end || second <= i && i < secondEnd) && flip&(flip-1) != 0 {
				continue
			}
			bad[i] = good[i] ^ byte(flip)
			if _, err := keys.Verify(bad); err == nil {
				t.Fatalf("byte %d, %q instead of %q, is believed:\n%s", i, bad[i], good[i], bad)
			}
		}
		if _, err := keys.Verify(append(bytes.Clone(good[:i]), good[i+1:]...)); err == nil {
			t.Fatalf("it is believed without byte %d", i)
		}
		if _, err := keys.Verify(good[:i]); err == nil {
			t.Fatalf("it is believed when cut at byte %d", i)
		}
		doubled := append(bytes.Clone(good[:i+1]), good[i:]...)
		if _, err := keys.Verify(doubled); err == nil {
			t.Fatalf("it is believed with byte %d twice: %s", i, doubled)
		}
	}
	if _, err := keys.Verify(good); err != nil {
		t.Fatal(err)
	}
}

// What a JSON library does on the way changes nothing.
func TestEnvelopeReformatted(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	good := sign(t, s, erasure())
	var indented bytes.Buffer
	if err := json.Indent(&indented, good, "", "\t"); err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(good, &fields); err != nil {
		t.Fatal(err)
	}
	fields["note"] = "DSSE: consumers must ignore unrecognized fields"
	sorted, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	want := verify(t, s.Keyring(), good).Payload
	for _, e := range [][]byte{indented.Bytes(), sorted, append([]byte(" \n"), append(good, '\n')...)} {
		if got := verify(t, s.Keyring(), e).Payload; !bytes.Equal(got, want) {
			t.Errorf("%s", got)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	k, other := newRaw(t, 1), newRaw(t, 2)
	keys := expiry.Keyring{{}, k.key()} // a key that is none harms nobody
	payload := string(verify(t, expiry.Keyring{newRaw(t, 3).key()}, []byte(newRaw(t, 3).envelope(expiry.ReceiptType, statement(t)))).Payload)
	good := k.envelope(expiry.ReceiptType, payload)
	encoded := base64.StdEncoding.EncodeToString([]byte(payload))
	own, foreign := k.signature(expiry.ReceiptType, payload), other.signature(expiry.ReceiptType, payload)
	// stolen is another's signature under the name of a known key.
	stolen := strings.Replace(foreign, other.key().ID(), k.key().ID(), 1)
	with := func(signatures string) string {
		return fmt.Sprintf(`{"payloadType":%q,"payload":%q,"signatures":[%s]}`, expiry.ReceiptType, encoded, signatures)
	}
	said := func(old, new string) string {
		changed := strings.Replace(payload, old, new, 1)
		if changed == payload {
			t.Fatalf("the payload has no %s", old)
		}
		return k.envelope(expiry.ReceiptType, changed)
	}
	for name, c := range map[string]struct {
		envelope string
		want     error
	}{
		"nothing":                 {"", expiry.ErrNotEnvelope},
		"null":                    {"null", expiry.ErrNotEnvelope},
		"an array":                {"[" + good + "]", expiry.ErrNotEnvelope},
		"two":                     {good + good, expiry.ErrNotEnvelope},
		"something behind":        {good + "x", expiry.ErrNotEnvelope},
		"too long":                {good + strings.Repeat(" ", 64<<10), expiry.ErrNotEnvelope},
		"a payload twice":         {strings.Replace(good, `"payload":`, `"payload":"","payload":`, 1), expiry.ErrNotEnvelope},
		"twice, with an escape":   {strings.Replace(good, `"payload":`, `"p\u0061yload":"","payload":`, 1), expiry.ErrNotEnvelope},
		"twice, further in":       {strings.Replace(good, `"keyid":`, `"keyid":"x","keyid":`, 1), expiry.ErrNotEnvelope},
		"in other letter case":    {strings.Replace(good, `"payload":`, `"Payload":`, 1), expiry.ErrNotEnvelope},
		"deep nesting":            {strings.Replace(good, `{`, `{"x":`+strings.Repeat("[", 99)+strings.Repeat("]", 99)+`,`, 1), expiry.ErrNotEnvelope},
		"payload null":            {strings.Replace(good, `"payload":"`+encoded+`"`, `"payload":null`, 1), expiry.ErrNotEnvelope},
		"not UTF-8":               {strings.Replace(good, `{`, "{\"x\":\"\xff\",", 1), expiry.ErrNotEnvelope},
		"base64 with line breaks": {strings.Replace(good, encoded, encoded[:8]+`\n`+encoded[8:], 1), expiry.ErrNotEnvelope},
		"base64 without padding":  {strings.Replace(good, `==`, ``, 1), expiry.ErrNotEnvelope},
		"no signatures":           {with(""), expiry.ErrNotEnvelope},
		"very many signatures":    {with(own + strings.Repeat(","+own, 16)), expiry.ErrNotEnvelope},
		"no key id":               {with(strings.Replace(own, "keyid", "kid", 1)), expiry.ErrNotEnvelope},
		"another key":             {with(foreign), expiry.ErrUnknownKey},
		"a key that is none":      {with(`{"keyid":"e3b0c44298fc1c14","sig":"AAAA"}`), expiry.ErrUnknownKey},
		"in another's name":       {with(stolen), expiry.ErrBadSignature},
		"one good, one stolen":    {with(own + "," + stolen), expiry.ErrBadSignature},
		"a signature of nothing":  {with(fmt.Sprintf(`{"keyid":%q,"sig":""}`, k.key().ID())), expiry.ErrBadSignature},
		"type changed":            {strings.Replace(good, expiry.ReceiptType, expiry.SummaryType, 1), expiry.ErrBadSignature},
		"another's type":          {k.envelope("application/vnd.in-toto+json", payload), expiry.ErrUnknownStatement},
		"type in capitals":        {k.envelope(strings.ToUpper(expiry.ReceiptType), payload), expiry.ErrUnknownStatement},
		"version 2":               {said(`"version":1`, `"version":2`), expiry.ErrUnknownStatement},
		"version 2, other fields": {k.envelope(expiry.ReceiptType, `{"version":2}`), expiry.ErrUnknownStatement},
		"a receipt as a summary":  {k.envelope(expiry.SummaryType, payload), expiry.ErrStatement},
		"no JSON":                 {k.envelope(expiry.ReceiptType, "hello world"), expiry.ErrStatement},
		"no version":              {said(`"version":1,`, ``), expiry.ErrStatement},
		"version as text":         {said(`"version":1`, `"version":"1"`), expiry.ErrStatement},
		"size missing":            {said(`"size":5,`, ``), expiry.ErrStatement},
		"size twice":              {said(`"size":5`, `"size":6,"size":5`), expiry.ErrStatement},
		"size with a point":       {said(`"size":5`, `"size":5.0`), expiry.ErrStatement},
		"digest null":             {said(`"sha256":"`, `"sha256":null,"x":"`), expiry.ErrStatement},
		"digest in capitals":      {said(`"sha256":"`, `"sha256":"A`), expiry.ErrStatement},
		"time in a zone":          {said(`00:10Z"`, `00:10+02:00"`), expiry.ErrStatement},
		"erased before due":       {said(`"erased_at":"2026-03-15`, `"erased_at":"2026-03-14`), expiry.ErrStatement},
		"something behind it":     {k.envelope(expiry.ReceiptType, payload+"{}"), expiry.ErrStatement},
	} {
		v, err := keys.Verify([]byte(c.envelope))
		if !errors.Is(err, c.want) || v.Receipt != nil || v.Summary != nil || v.Payload != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, e := range map[string]string{
		"alone": good, "with a stranger's signature": with(foreign + "," + own), "twice": with(own + "," + own),
		"with a field of tomorrow": said(`"version":1`, `"version":1,"witness":{"a":[1]}`),
	} {
		if v, err := keys.Verify([]byte(e)); err != nil || v.KeyID != k.key().ID() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// statement is the payload of erasure.
func statement(t *testing.T) string {
	t.Helper()
	s := newSigner(t)
	return string(verify(t, s.Keyring(), sign(t, s, erasure())).Payload)
}

func TestKeyTimes(t *testing.T) {
	t.Parallel()
	s, at := newSigner(t), erasure().VerifiedAbsentAt
	e := sign(t, s, erasure())
	for name, c := range map[string]struct {
		from, until time.Time
		want        error
	}{
		"always":            {},
		"from that moment":  {from: at},
		"later":             {from: at.Add(time.Second), want: expiry.ErrKeyTime},
		"until that moment": {until: at, want: expiry.ErrKeyTime},
		"until later":       {until: at.Add(time.Second)},
	} {
		keys := s.Keyring()
		keys[0].From, keys[0].Until = c.from, c.until
		published, err := keys.JWKS()
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := expiry.ParseKeyring(published)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []expiry.Keyring{keys, parsed} {
			if _, err := k.Verify(e); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestTreeRefuses: what stands beside a tree that was signed is believed only if it is in it.
func TestTreeRefuses(t *testing.T) {
	t.Parallel()
	k := newRaw(t, 1)
	keys := expiry.Keyring{k.key()}
	receipt := statement(t)
	leaf := func(payload string) []byte { sum := sha256.Sum256([]byte("\x00" + payload)); return sum[:] }
	node := func(left, right []byte) []byte {
		sum := sha256.Sum256(slices.Concat([]byte{1}, left, right))
		return sum[:]
	}
	b64 := base64.StdEncoding.EncodeToString
	first, second := leaf(receipt), leaf("another")
	root := node(first, second)
	tree := func(root []byte) string { return fmt.Sprintf(`{"version":1,"receipts":2,"root":"%x"}`, root) }
	inclusion := func(payload string, index int, path ...[]byte) string {
		texts := make([]string, len(path))
		for i, hash := range path {
			texts[i] = `"` + b64(hash) + `"`
		}
		return fmt.Sprintf(`{"receipt":%q,"index":%d,"path":[%s]}`, b64([]byte(payload)), index, strings.Join(texts, ","))
	}
	envelope := func(payloadType, signed, inclusion string) string {
		return strings.TrimSuffix(k.envelope(payloadType, signed), "}") + `,"inclusion":` + inclusion + "}"
	}
	said := func(old, new string) string { return strings.Replace(tree(root), old, new, 1) }
	in := inclusion(receipt, 0, second)
	good := envelope(expiry.TreeType, tree(root), in)
	if v, err := keys.Verify([]byte(good)); err != nil || string(v.Payload) != receipt || v.Receipt == nil {
		t.Fatalf("%+v, %v", v, err)
	}
	for name, c := range map[string]struct {
		envelope string
		want     error
	}{
		"alone":                     {k.envelope(expiry.TreeType, tree(root)), expiry.ErrNotEnvelope},
		"null":                      {envelope(expiry.TreeType, tree(root), "null"), expiry.ErrNotEnvelope},
		"an array":                  {envelope(expiry.TreeType, tree(root), "["+in+"]"), expiry.ErrNotEnvelope},
		"twice":                     {envelope(expiry.TreeType, tree(root), in+`,"inclusion":`+in), expiry.ErrNotEnvelope},
		"a receipt twice":           {strings.Replace(good, `{"receipt":`, `{"receipt":"","receipt":`, 1), expiry.ErrNotEnvelope},
		"no index":                  {strings.Replace(good, `"index":0,`, ``, 1), expiry.ErrNotEnvelope},
		"no path":                   {envelope(expiry.TreeType, tree(root), strings.Replace(in, `"path"`, `"way"`, 1)), expiry.ErrNotEnvelope},
		"index below zero":          {envelope(expiry.TreeType, tree(root), inclusion(receipt, -1, second)), expiry.ErrNotEnvelope},
		"index behind the end":      {envelope(expiry.TreeType, tree(root), inclusion(receipt, 2, second)), expiry.ErrNotEnvelope},
		"index with a point":        {strings.Replace(good, `"index":0`, `"index":0.0`, 1), expiry.ErrNotEnvelope},
		"a path too short":          {envelope(expiry.TreeType, tree(root), inclusion(receipt, 0)), expiry.ErrNotEnvelope},
		"a path too long":           {envelope(expiry.TreeType, tree(root), inclusion(receipt, 0, second, second)), expiry.ErrNotEnvelope},
		"a very long path":          {envelope(expiry.TreeType, tree(root), inclusion(receipt, 0, slices.Repeat([][]byte{second}, 1000)...)), expiry.ErrNotEnvelope},
		"a short hash":              {envelope(expiry.TreeType, tree(root), inclusion(receipt, 0, second[:31])), expiry.ErrNotEnvelope},
		"a hash without padding":    {strings.Replace(good, `="]`, `"]`, 1), expiry.ErrNotEnvelope},
		"a receipt of no base64":    {strings.Replace(good, `{"receipt":"`, `{"receipt":"!`, 1), expiry.ErrNotEnvelope},
		"on the wrong side":         {envelope(expiry.TreeType, tree(root), inclusion(receipt, 1, second)), expiry.ErrBadSignature},
		"another hash":              {envelope(expiry.TreeType, tree(root), inclusion(receipt, 0, first)), expiry.ErrBadSignature},
		"another receipt":           {envelope(expiry.TreeType, tree(root), inclusion(strings.Replace(receipt, `"size":5`, `"size":6`, 1), 0, second)), expiry.ErrBadSignature},
		"a node as a receipt":       {envelope(expiry.TreeType, tree(node(root, root)), inclusion(string(first)+string(second), 0, root)), expiry.ErrBadSignature},
		"a tree of another type":    {envelope(expiry.ReceiptType, tree(root), in), expiry.ErrStatement},
		"a receipt as a tree":       {envelope(expiry.TreeType, receipt, in), expiry.ErrStatement},
		"a tree of tomorrow":        {envelope(expiry.TreeType, said(`"version":1`, `"version":2`), in), expiry.ErrUnknownStatement},
		"a tree of none":            {envelope(expiry.TreeType, said(`"receipts":2`, `"receipts":0`), in), expiry.ErrStatement},
		"a tree below none":         {envelope(expiry.TreeType, said(`"receipts":2`, `"receipts":-2`), in), expiry.ErrStatement},
		"a tree too large":          {envelope(expiry.TreeType, said(`"receipts":2`, `"receipts":65537`), in), expiry.ErrStatement},
		"a root in capitals":        {envelope(expiry.TreeType, strings.ToUpper(tree(root)), in), expiry.ErrStatement},
		"no root":                   {envelope(expiry.TreeType, said(`,"root"`, `,"top"`), in), expiry.ErrStatement},
		"a lie in it":               {envelope(expiry.TreeType, tree(node(leaf("{}"), second)), inclusion("{}", 0, second)), expiry.ErrStatement},
		"changed after it was made": {strings.Replace(good, b64([]byte(tree(root))), b64([]byte(said(`"receipts":2`, `"receipts":3`))), 1), expiry.ErrBadSignature},
	} {
		v, err := keys.Verify([]byte(c.envelope))
		if !errors.Is(err, c.want) || v.Receipt != nil || v.Summary != nil || v.Payload != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	single := fmt.Sprintf(`{"version":1,"receipts":1,"root":"%x"}`, first)
	for name, e := range map[string]string{
		"a tree of one":          envelope(expiry.TreeType, single, inclusion(receipt, 0)),
		"a field of tomorrow":    strings.Replace(good, `"index":0`, `"index":0,"witness":[1]`, 1),
		"a stranger's inclusion": envelope(expiry.ReceiptType, receipt, `"of another standard"`),
	} {
		if v, err := keys.Verify([]byte(e)); err != nil || string(v.Payload) != receipt {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	k := newRaw(f, 1)
	keys := expiry.Keyring{k.key()}
	receipt := `{"version":1,"blob":"0193b1c2-6d2f-7b3a-8f60-51b0d3f0a9c4","size":0,"reason":"unsent","policy":"view-once",` +
		`"due_at":"2026-03-01T12:00:00Z","erased_at":"2026-03-01T12:00:00Z","verified_absent_at":"2026-03-01T12:00:00Z"}`
	good := k.envelope(expiry.ReceiptType, receipt)
	root := sha256.Sum256([]byte("\x00" + receipt))
	f.Add([]byte(strings.TrimSuffix(k.envelope(expiry.TreeType, fmt.Sprintf(`{"version":1,"receipts":1,"root":"%x"}`, root)), "}") +
		`,"inclusion":{"receipt":"` + base64.StdEncoding.EncodeToString([]byte(receipt)) + `","index":0,"path":[]}}`))
	f.Add([]byte(good))
	f.Add([]byte(k.envelope("x", receipt)))
	f.Add([]byte(strings.ReplaceAll(good, ",", " ,\n")))
	f.Fuzz(func(t *testing.T, e []byte) {
		v, err := keys.Verify(e)
		if err == nil && string(v.Payload) != receipt {
			t.Errorf("believed: %s", hex.Dump(e))
		}
		for _, known := range []error{
			expiry.ErrNotEnvelope, expiry.ErrUnknownKey, expiry.ErrBadSignature, expiry.ErrUnknownStatement, expiry.ErrStatement, expiry.ErrKeyTime,
		} {
			if err == nil || errors.Is(err, known) {
				return
			}
		}
		t.Errorf("an error of no kind: %v", err)
	})
}

// FuzzStatement signs whatever the fuzzer says: what is believed can be signed
// again, and says the same.
func FuzzStatement(f *testing.F) {
	s, k := newSigner(f), newRaw(f, 1)
	keys := expiry.Keyring{k.key()}
	for _, e := range [][]byte{sign(f, s, erasure())} {
		v, err := s.Keyring().Verify(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(v.Payload), true)
	}
	f.Add(`{"version":1,"tenant":"acme","month":"2026-12","from":"2026-12-01T00:00:00Z","to":"2027-01-01T00:00:00Z","made_at":"2027-01-01T00:10:00Z",`+
		`"receipts":1,"erased":{"unopened":1},"bytes":7,"oldest_age_seconds":12,"overdue":0,"overdue_after_seconds":300,`+
		`"receipts_sha256":"e917dbd7c6052c9960ce73de47108fdb261be8f5b0d1a8b6efc94c67a4f05814"}`, false)
	f.Fuzz(func(t *testing.T, payload string, receipt bool) {
		payloadType := expiry.SummaryType
		if receipt {
			payloadType = expiry.ReceiptType
		}
		v, err := keys.Verify([]byte(k.envelope(payloadType, payload)))
		if err != nil {
			return
		}
		if receipt {
			_, err = s.Sign(*v.Receipt, *v.Receipt)
		} else {
			_, err = s.SignSummary(*v.Summary)
		}
		if err != nil {
			t.Errorf("believed, and could not be signed: %v\n%s", err, payload)
		}
	})
}
