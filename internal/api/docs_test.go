package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/uuid"

	"mayfly/internal/formats"
	"mayfly/internal/openapi"
	"mayfly/reports/envelope"
)

const sealedKeysPage = "../docs/sealed_keys.md"

// documented is the fenced block behind an example's name.
func documented(t *testing.T, page, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, behind, found := bytes.Cut(text, []byte("<!-- example: "+name+" -->\n```"))
	_, behind, begun := bytes.Cut(behind, []byte("\n"))
	block, _, ended := bytes.Cut(behind, []byte("\n```"))
	if !found || !begun || !ended {
		t.Fatalf("%s has no example %s", page, name)
	}
	return block
}

// internal/docs/sealed_keys.md says how to seal a key and how to commit to one; whoever
// follows it is understood, by the server and by the moderator's tool.
func TestSealedKeysAreAsDocumented(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	block := func(name string) []byte { return documented(t, sealedKeysPage, name) }
	identity, err := age.ParseX25519Identity(string(block("identity.txt")))
	if err != nil {
		t.Fatal(err)
	}
	recipient, err := envelope.ParseRecipient(identity.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(sealedKeysPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{recipient.String(), "`" + recipient.ID() + "`", "-> mayfly-to " + recipient.ID() + " "} {
		if !bytes.Contains(page, []byte(said)) {
			t.Errorf("the page does not say %s", said)
		}
	}

	// The example opens, and has the contents that the page shows; so do the contents when
	// somebody else seals them, byte for byte as they are shown.
	contents, sealed := block("contents.json"), string(block("sealed_key.txt"))+"\n"
	var shown struct {
		Blob   uuid.UUID       `json:"blob_id"`
		SHA256 string          `json:"sha256"`
		Size   int64           `json:"size"`
		Format string          `json:"format"`
		Key    json.RawMessage `json:"key"`
		Name   string          `json:"name"`
	}
	if err := json.Unmarshal(contents, &shown); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{sealed, addressed(w, contents, recipient)} {
		ids, err := envelope.Inspect(text, []envelope.Recipient{recipient})
		if err != nil || !slices.Equal(ids, []string{recipient.ID()}) {
			t.Errorf("%v, %v", ids, err)
		}
		got, err := envelope.Open(text, identity)
		if err != nil {
			t.Fatal(err)
		}
		if got.Blob != shown.Blob || got.SHA256.String() != shown.SHA256 || got.Size != shown.Size || got.Format != shown.Format ||
			!bytes.Equal(got.Key, shown.Key) || got.Name != shown.Name {
			t.Errorf("%+v, %v", shown, got)
		}
	}

	// Every format, with its key and the commitment to it.
	var keys map[string]json.RawMessage
	var commitments map[string]string
	if err := errors.Join(json.Unmarshal(block("keys.json"), &keys), json.Unmarshal(block("commitments.json"), &commitments)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(slices.Sorted(maps.Keys(keys)), slices.Sorted(slices.Values(formats.Names()))) || len(commitments) != len(keys) {
		t.Errorf("the page shows %v", slices.Sorted(maps.Keys(keys)))
	}
	for format, material := range keys {
		key, err := formats.Parse(format, material)
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if key.Commitment() != commitments[format] || formats.Judge(key, commitments[format]) != formats.Matches {
			t.Errorf("%s: %s, and the page says %s", format, key.Commitment(), commitments[format])
		}
	}
	hashed, err := hex.DecodeString(strings.ReplaceAll(string(block("hashed.hex")), "\n", ""))
	if sum := sha256.Sum256(hashed); err != nil || "sha256:"+hex.EncodeToString(sum[:]) != commitments["xep-0454"] {
		t.Errorf("the worked example gives %x, %v", sum, err)
	}
	if !strings.HasPrefix(string(hashed), "mayfly key commitment v1\x00xep-0454\x00") || !bytes.Equal(keys["xep-0454"], bytes.ReplaceAll(shown.Key, []byte(`":"`), []byte(`": "`))) {
		t.Error("the worked example is of another key")
	}

	// And the server takes it.
	media := content(10)
	blob, tokens := w.store(media, "")
	w.recipients = []envelope.Recipient{recipient}
	created := w.file(tokens[0], w.filing(blob, media).with("sealed_key", sealed))
	if created.State != openapi.ReportState("copying") {
		t.Errorf("%+v", created)
	}
}
