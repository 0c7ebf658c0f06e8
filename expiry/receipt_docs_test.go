package expiry_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/expiry"
)

// documented is the text behind <!-- mark --> in internal/docs/receipts.md.
func documented(t *testing.T, mark string) []byte {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "internal", "docs", "receipts.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(page), "<!-- "+mark+" -->\n```")
	_, after, begun := strings.Cut(after, "\n")
	text, _, closed := strings.Cut(after, "\n```")
	if !found || !begun || !closed {
		t.Fatalf("receipts.md has no block %q", mark)
	}
	return []byte(text)
}

// documentedSigner has the key that the examples are signed with.
func documentedSigner(t *testing.T) *expiry.Signer {
	t.Helper()
	// RFC 8032, section 7.1, test 1.
	seed, err := hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		t.Fatal(err)
	}
	return signerOf(t, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// TestDocumentedExamples holds the page against the code: its examples verify, say
// what they are said to say, and are what Mayfly signs today.
func TestDocumentedExamples(t *testing.T) {
	t.Parallel()
	s := documentedSigner(t)
	var r, m expiry.Verified
	for _, file := range []string{"key.pem", "keys.json"} {
		keys, err := expiry.ParseKeyring(documented(t, "example: "+file))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(keys, s.Keyring()) {
			t.Errorf("%s has %s", file, keys)
		}
		r, m = verify(t, keys, documented(t, "example: receipt.json")), verify(t, keys, documented(t, "example: summary.json"))
	}
	if !bytes.Equal(r.Payload, documented(t, "example: payload.json")) || !bytes.Equal(m.Payload, documented(t, "example: summary-payload.json")) {
		t.Errorf("the payloads are\n%s\n%s", r.Payload, m.Payload)
	}
	if again := sign(t, s, *r.Receipt); !bytes.Equal(again, documented(t, "example: receipt.json")) {
		t.Errorf("Mayfly signs now\n%s", again)
	}
	tree := verify(t, s.Keyring(), documented(t, "example: tree.json"))
	before, after := *r.Receipt, *r.Receipt
	before.Blob[15]--
	after.Blob[15]++
	if !bytes.Equal(tree.Payload, r.Payload) {
		t.Errorf("of the tree the payload is\n%s", tree.Payload)
	}
	if again := together(t, s, before, *r.Receipt, after)[1]; !bytes.Equal(again, documented(t, "example: tree.json")) {
		t.Errorf("Mayfly signs now, together with two others\n%s", again)
	}
	again, err := s.SignSummary(*m.Summary)
	if err != nil || !bytes.Equal(again, documented(t, "example: summary.json")) {
		t.Errorf("Mayfly signs now\n%s\n%v", again, err)
	}
	tally := expiry.Tally{OverdueAfter: time.Duration(m.Summary.OverdueAfterSeconds) * time.Second}
	if err := tally.Add(*r.Receipt, r.Payload); err != nil || !tally.Totals().Equal(m.Summary.Totals) || !m.Summary.Covers(*r.Receipt) {
		t.Errorf("the summary is not of the receipt: %+v, %v", tally.Totals(), err)
	}
}

// TestDocumentedFields: every field of the statements is in the page's tables.
func TestDocumentedFields(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "internal", "docs", "receipts.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{expiry.Receipt{}, expiry.Summary{}} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.Anonymous && !bytes.Contains(page, []byte("`"+name+"`")) {
				t.Errorf("receipts.md does not have %s", name)
			}
		}
	}
}

// TestDocumentedRecipes types what the page says to type.
func TestDocumentedRecipes(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"bash", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("the recipes of receipts.md cannot be tried: %v; install it", err)
		}
	}
	dir := t.TempDir()
	for _, file := range []string{"key.pem", "receipt.json", "tree.json"} {
		if err := os.WriteFile(filepath.Join(dir, file), append(documented(t, "example: "+file), '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	typed := func(mark string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", string(documented(t, mark)))
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := typed("run: openssl"); err != nil || !strings.Contains(out, "Verified Successfully") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := typed("run: keyid"); err != nil || strings.TrimSpace(out) != documentedSigner(t).KeyID() {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := typed("run: tree"); err != nil || !strings.Contains(out, "Verified Successfully") || !strings.Contains(out, "The receipt is in the tree") {
		t.Errorf("%v: %s", err, out)
	}
	// As the API has it, in the order of the names.
	_, inclusion, _ := bytes.Cut(documented(t, "example: tree.json"), []byte(`"inclusion":`))
	rest := bytes.TrimSuffix(bytes.Replace(documented(t, "example: tree.json"), slices.Concat([]byte(`,"inclusion":`), inclusion), nil, 1), []byte("}"))
	sorted := slices.Concat([]byte(`{"inclusion":`), bytes.TrimSuffix(inclusion, []byte("}")), []byte(","), rest[1:], []byte("}"))
	if err := os.WriteFile(filepath.Join(dir, "tree.json"), sorted, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := typed("run: tree"); err != nil {
		t.Errorf("in another order: %v: %s", err, out)
	}
	receipt, err := os.ReadFile(filepath.Join(dir, "payload"))
	if err != nil || !bytes.Equal(receipt, documented(t, "example: payload.json")) {
		t.Errorf("the recipe for a tree has verified %s, %v", receipt, err)
	}
	for _, change := range []struct{ file, mark, old, new string }{
		{"receipt.json", "run: openssl", `"payload":"eyJ2`, `"payload":"eyJ3`},
		{"tree.json", "run: tree", `"payload":"eyJ2`, `"payload":"eyJ3`},
		{"tree.json", "run: tree", `"receipt":"eyJ2`, `"receipt":"eyJ3`},
		{"tree.json", "run: tree", `"index":1`, `"index":0`},
		{"tree.json", "run: tree", `"sig":"ay`, `"sig":"by`},
	} {
		changed := bytes.Replace(documented(t, "example: "+change.file), []byte(change.old), []byte(change.new), 1)
		if err := os.WriteFile(filepath.Join(dir, change.file), changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := typed(change.mark); err == nil {
			t.Errorf("a %s with %s is believed: %s", change.file, change.new, out)
		}
	}
}

// Keys that openssl makes sign, and openssl's public part of ours verifies.
func TestOpensslKeys(t *testing.T) {
	t.Parallel()
	made, err := exec.CommandContext(t.Context(), "openssl", "genpkey", "-algorithm", "ed25519").Output()
	if err != nil {
		t.Fatalf("openssl genpkey: %v; is openssl installed?", err)
	}
	for _, file := range [][]byte{made, generate(t)} {
		cmd := exec.CommandContext(t.Context(), "openssl", "pkey", "-pubout")
		cmd.Stdin = bytes.NewReader(file)
		public, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		keys, err := expiry.ParseKeyring(public)
		if err != nil {
			t.Fatal(err)
		}
		verify(t, keys, sign(t, signerOf(t, file), erasure()))
	}
}
