package main

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/internal/client/clienttest"
	"mayfly/internal/formats"
	"mayfly/reports/envelope"
	"mayfly/tickets"
)

// evidence is a report on a server in memory, and what a moderator gets of it. Change it
// before it is pulled.
type evidence struct {
	report   uuid.UUID
	contents envelope.Contents
	to       []envelope.Recipient
	stored   []byte // what the download gives
	ids      identities

	// What the server says of it.
	blob       uuid.UUID
	sum        blobstore.Digest
	size       int64
	commitment string
	told       map[string]any // over that, of the report only
	sealed     string         // in place of what is made of contents
	ticket     tickets.Token
	media      string // the key to it
}

// evidence is media of one chunk and more that was sent as picture.jpg.
func (x *exchange) evidence(plaintext []byte) *evidence {
	x.Helper()
	m, err := sealStream(context.Background(), bytes.NewReader(plaintext))
	if err != nil {
		x.Fatal(err)
	}
	defer m.close()
	r, err := m.open()
	if err != nil {
		x.Fatal(err)
	}
	sealed, err := io.ReadAll(r)
	if err != nil {
		x.Fatal(err)
	}
	id, err := envelope.GenerateIdentity(false)
	if err != nil {
		x.Fatal(err)
	}
	e := &evidence{
		report: uuid.New(), blob: uuid.New(), sum: sha256.Sum256(sealed), size: int64(len(sealed)), stored: sealed,
		to: []envelope.Recipient{id.Recipient()}, ids: identities{id}, media: m.key.String(),
	}
	e.contents = envelope.Contents{
		Blob: e.blob, SHA256: e.sum, Size: e.size, Format: formats.Age, Name: "../picture.jpg",
		Key: json.RawMessage(`{"identity":"` + m.key.String() + `"}`),
	}
	return e
}

func (e *evidence) path() string { return "/v1/reports/" + e.report.String() }

// pull lets the server say all that, and pulls.
func (x *exchange) pull(e *evidence, c moderatePullCmd) (printed string, err error) {
	x.Helper()
	x.out.Reset()
	x.err.Reset()
	if e.sealed == "" {
		if e.sealed, err = envelope.Seal(e.contents, e.to); err != nil {
			x.Fatal(err)
		}
	}
	e.ticket = x.server.Store(e.stored)
	report := map[string]any{
		"id": e.report, "state": "claimed", "reason": "threat", "filed_at": "2026-11-22T10:00:00Z", "uploaded_at": "2026-11-21T10:00:00Z",
		"blob_id": e.blob, "sha256": e.sum, "size": e.size, "stamp": map[string]any{"verdict": "valid"},
	}
	if e.commitment != "" {
		report["key_commitment"] = e.commitment
	}
	for name, value := range e.told {
		report[name] = value
	}
	text, err := json.Marshal(report)
	if err != nil {
		x.Fatal(err)
	}
	x.server.Fail("GET "+e.path(), clienttest.Plain(200, string(text)))
	ticket := map[string]any{
		"id": e.ticket.ID(), "token": e.ticket.Reveal(), "expires_at": "2026-11-22T10:45:00Z", "sealed_key": e.sealed,
		"blob_id": e.blob, "size": e.size, "sha256": e.sum,
	}
	if e.commitment != "" {
		ticket["key_commitment"] = e.commitment
	}
	if text, err = json.Marshal(ticket); err != nil {
		x.Fatal(err)
	}
	x.server.Fail("POST "+e.path()+"/tickets", clienttest.Plain(201, string(text)))
	err = c.pull(x.Context(), x.terminal(""), x.client, e.report, e.ids)
	shown := x.out.String()
	if err != nil {
		shown += err.Error()
	}
	for _, secret := range append(x.server.Secrets(), e.media, e.ids[0].(envelope.Identity).Reveal(), string(e.contents.Key), "SESAME") {
		if strings.Contains(shown+x.err.String(), secret) {
			x.Errorf("shows a secret: %s%s", shown, x.err.String())
		}
	}
	return x.out.String(), err
}

func TestPull(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789"), 30_000)
	for name, faults := range map[string]struct{ post, get []clienttest.Fault }{
		"at once":          {},
		"broken":           {[]clienttest.Fault{clienttest.CutAt(100_000)}, []clienttest.Fault{clienttest.Abort, clienttest.CutAt(50_000), clienttest.StallAt(1000)}},
		"a lost answer":    {[]clienttest.Fault{clienttest.LoseAnswer, clienttest.Refuse(503, "unavailable", "2")}, nil},
		"without any luck": {[]clienttest.Fault{clienttest.Abort, clienttest.CutAt(10)}, []clienttest.Fault{clienttest.CutAt(10)}},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(x *exchange) {
				e := x.evidence(want)
				x.server.Fail(post, faults.post...)
				x.server.Fail(get, faults.get...)
				printed, err := x.pull(e, moderatePullCmd{Output: x.dir})
				path := filepath.Join(x.dir, "picture.jpg")
				if err != nil || printed != path+"\n" {
					x.Fatalf("printed %q: %v", printed, err)
				}
				x.holds(path, want)
				x.files("picture.jpg")
				if state := x.server.State(e.ticket); state != "delivered" {
					x.Errorf("the ticket is %s", state)
				}
				for _, told := range []string{"Uploaded: 2026-11-21T10:00:00Z", "Stamp:    valid", "Binding:  committed"} {
					if !strings.Contains(x.err.String(), told) {
						x.Errorf("does not tell %q: %s", told, x.err.String())
					}
				}
			})
		})
	}
}

// Nothing but the plaintext's file, and nothing of the ciphertext, remains anywhere.
func TestPullLeavesNothing(t *testing.T) {
	onHere(t, func(x *exchange) {
		temp := filepath.Join(x.dir, "temp")
		if err := os.Mkdir(temp, 0o700); err != nil {
			x.Fatal(err)
		}
		x.Setenv("TMPDIR", temp)
		e := x.evidence([]byte("media"))
		e.contents.Name = ""
		seen := make(chan int, 1)
		x.server.Fail("POST /v1/download/ack", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			left, _ := os.ReadDir(temp)
			seen <- len(left)
			next.ServeHTTP(w, r)
		})
		printed, err := x.pull(e, moderatePullCmd{})
		own := "evidence-" + e.report.String()
		if err != nil || printed != own+"\n" || <-seen != 0 {
			x.Errorf("printed %q: %v", printed, err)
		}
		x.files(own, "temp")
		// Also when the server is gone in the middle.
		x.server.Fail(post, clienttest.CutAt(100))
		x.server.Fail(get, slices.Repeat([]clienttest.Fault{clienttest.Abort}, 60)...)
		if _, err := x.pull(x.evidence(make([]byte, 1000)), moderatePullCmd{Output: "cut"}); err == nil || !strings.Contains(err.Error(), "did not come whole, and nothing was written") {
			x.Errorf("got %v", err)
		}
		x.files(own, "temp")
		if left, _ := os.ReadDir(temp); len(left) != 0 {
			x.Errorf("left behind: %v", left)
		}
	})
}

// Whatever is wrong with the evidence, it is said, and nothing is written.
func TestPullRefuses(t *testing.T) {
	media := bytes.Repeat([]byte("0123456789"), 30_000)
	stranger := func(x *exchange) envelope.Identity {
		id, err := envelope.GenerateIdentity(false)
		if err != nil {
			x.Fatal(err)
		}
		return id
	}
	for name, c := range map[string]struct {
		change func(x *exchange, e *evidence)
		want   string
		opened bool // the download was opened
	}{
		"another blob's key": {func(x *exchange, e *evidence) { e.contents.Blob = uuid.New() },
			"the sealed key is of another blob: it says blob ", false},
		"a key of other bytes": {func(x *exchange, e *evidence) { e.contents.SHA256[0]++ },
			"the sealed key is not of this blob: another digest", false},
		"a key of another size": {func(x *exchange, e *evidence) { e.contents.Size++ },
			"the sealed key is not of this blob: another size", false},
		"a whole other envelope": {func(x *exchange, e *evidence) {
			other := x.evidence([]byte("other"))
			e.contents = other.contents
		}, "another id, digest, size", false},
		"sealed to others": {func(x *exchange, e *evidence) { e.to = []envelope.Recipient{stranger(x).Recipient()} },
			"the envelope is not sealed to this identity, but to ", false},
		"another identity": {func(x *exchange, e *evidence) { e.ids = identities{stranger(x)} },
			"the envelope is not sealed to this identity, but to ", false},
		"no envelope": {func(x *exchange, e *evidence) { e.sealed = "not age" }, "not an armored age file", false},
		"a changed envelope": {func(x *exchange, e *evidence) {
			sealed, _ := envelope.Seal(e.contents, e.to)
			at := strings.Index(sealed, "\n-----END") - 10
			e.sealed = sealed[:at] + string('A'+(sealed[at]-'A'+1)%26) + sealed[at+1:]
		}, "nothing was downloaded", false},
		"another commitment": {func(x *exchange, e *evidence) { e.commitment = "sha256:" + strings.Repeat("0a", 32) },
			"not the one that the sender committed to", false},
		"an unknown format": {func(x *exchange, e *evidence) { e.contents.Format = "rot13" },
			`of the format "rot13", is of no use: unknown format`, false},
		"a key that is none": {func(x *exchange, e *evidence) {
			e.contents.Key = json.RawMessage(`{"identity":"AGE-SECRET-KEY-1SESAME"}`)
		},
			"malformed key material", false},
		"told another digest": {func(x *exchange, e *evidence) { e.told = map[string]any{"sha256": blobstore.Digest{1}} },
			"what it says of the report is not what it says of the evidence", false},
		"told another blob": {func(x *exchange, e *evidence) { e.told = map[string]any{"blob_id": uuid.New()} },
			"what it says of the report is not what it says of the evidence", false},
		"told another commitment": {func(x *exchange, e *evidence) {
			e.told = map[string]any{"key_commitment": "sha256:" + strings.Repeat("0a", 32)}
		},
			"what it says of the report is not what it says of the evidence", false},
		"told no blob": {func(x *exchange, e *evidence) { e.told = map[string]any{"blob_id": nil} },
			"what it says of the report is not what it says of the evidence", false},
		"other bytes": {func(x *exchange, e *evidence) { e.stored = slices.Clone(e.stored); e.stored[len(e.stored)-1] ^= 1 },
			"what was reported has", true},
		"fewer bytes": {func(x *exchange, e *evidence) { e.stored = e.stored[:len(e.stored)-1] },
			"what was reported has", true},
		"cut off by the sender": {func(x *exchange, e *evidence) {
			// All agree on it, and it is not whole: some chunks are there.
			e.stored = e.stored[:200_000]
			e.sum, e.size = sha256.Sum256(e.stored), 200_000
			e.contents.SHA256, e.contents.Size = e.sum, e.size
		}, "damaged or cut off", true},
		"a key that does not fit": {func(x *exchange, e *evidence) {
			other, err := age.GenerateX25519Identity()
			if err != nil {
				x.Fatal(err)
			}
			e.contents.Key = json.RawMessage(`{"identity":"` + other.String() + `"}`)
		}, "made for another age identity", true},
		"damaged on the way": {func(x *exchange, e *evidence) { x.server.Fail(post, clienttest.FlipAt(150_000)) },
			"not those that were uploaded", true},
		"opened already": {func(x *exchange, e *evidence) { x.server.Fail(post, clienttest.Refuse(410, "opened", "")) },
			"the evidence could not be opened", false},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(x *exchange) {
				e := x.evidence(media)
				c.change(x, e)
				printed, err := x.pull(e, moderatePullCmd{Output: filepath.Join(x.dir, "f"), JSON: true})
				if err == nil || !strings.Contains(err.Error(), c.want) || printed != "" {
					x.Errorf("printed %q: %v", printed, err)
				}
				if errors.As(err, new(usageError)) {
					x.Errorf("wrong usage: %v", err)
				}
				x.files()
				if opened := x.server.State(e.ticket) != "ready"; opened != c.opened {
					x.Errorf("the ticket is %s", x.server.State(e.ticket))
				}
			})
		})
	}
}

// What is there already is not replaced, and the evidence not opened for it.
func TestPullReplacesNothing(t *testing.T) {
	on(t, func(x *exchange) {
		path := filepath.Join(x.dir, "f")
		if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
			x.Fatal(err)
		}
		e := x.evidence([]byte("media"))
		_, err := x.pull(e, moderatePullCmd{Output: path})
		if err == nil || !strings.Contains(err.Error(), "f exists, and evidence replaces nothing") || x.server.State(e.ticket) != "ready" {
			x.Errorf("got %v, the ticket is %s", err, x.server.State(e.ticket))
		}
		x.holds(path, []byte("mine"))
		x.files("f")
		// Nor what appears there while it comes.
		late := filepath.Join(x.dir, "late")
		x.server.Fail(post, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if err := os.WriteFile(late, []byte("mine"), 0o600); err != nil {
				x.Error(err)
			}
			next.ServeHTTP(w, r)
		})
		if printed, err := x.pull(x.evidence([]byte("media")), moderatePullCmd{Output: late}); err != nil || printed != late+"-1\n" {
			x.Errorf("printed %q: %v", printed, err)
		}
		x.holds(late, []byte("mine"))
		x.holds(late+"-1", []byte("media"))
	})
}

// How sure it is that the sender's bytes were made for this key is told, in words and in JSON.
func TestPullTellsTheBinding(t *testing.T) {
	on(t, func(x *exchange) {
		e := x.evidence([]byte("media"))
		key, err := formats.Parse(e.contents.Format, e.contents.Key)
		if err != nil {
			x.Fatal(err)
		}
		e.commitment = key.Commitment()
		e.told = map[string]any{"stamp": map[string]any{"verdict": "invalid"}}
		printed, err := x.pull(e, moderatePullCmd{Output: filepath.Join(x.dir, "f"), JSON: true})
		var got pulled
		if err != nil || json.Unmarshal([]byte(printed), &got) != nil || got.Binding != formats.Matches || got.Stamp != "invalid" || got.Format != "age" ||
			got.Report != e.report || got.Blob != e.blob || got.SHA256 != e.sum || got.Size != e.size || !got.Acknowledged || got.UploadedAt == nil {
			x.Errorf("%v: %s", err, printed)
		}
		if !strings.Contains(x.err.String(), "Stamp:    INVALID") || !strings.Contains(x.err.String(), "commitment matches") {
			x.Error(x.err.String())
		}
		x.files("f")
	})
	// A format that does not commit to its key, and a sender who did not either.
	unbound := func(commit bool, want formats.Binding, told string) func(x *exchange) {
		return func(x *exchange) {
			e := x.evidence(nil)
			e.stored, e.contents.Format, e.contents.Key = sampleXEP0454(x, []byte("media"))
			e.sum, e.size = sha256.Sum256(e.stored), int64(len(e.stored))
			e.contents.SHA256, e.contents.Size = e.sum, e.size
			if commit {
				key, err := formats.Parse(e.contents.Format, e.contents.Key)
				if err != nil {
					x.Fatal(err)
				}
				e.commitment = key.Commitment()
			}
			printed, err := x.pull(e, moderatePullCmd{Output: filepath.Join(x.dir, "f"), JSON: true})
			var got pulled
			if err != nil || json.Unmarshal([]byte(printed), &got) != nil || got.Binding != want || !strings.Contains(x.err.String(), told) {
				x.Errorf("%v: %s%s", err, printed, x.err.String())
			}
			x.holds(filepath.Join(x.dir, "f"), []byte("media"))
		}
	}
	t.Run("unverified", func(t *testing.T) {
		on(t, unbound(false, formats.Unverified, "Do not decide against the sender on it alone"))
	})
	t.Run("committed to by the sender", func(t *testing.T) { on(t, unbound(true, formats.Matches, "so it shows what was sent")) })
}

// sampleXEP0454 is media as XMPP clients share it, whose tag commits to no key.
func sampleXEP0454(x *exchange, plaintext []byte) (sealed []byte, format string, key json.RawMessage) {
	x.Helper()
	iv, secret := make([]byte, 12), make([]byte, 32)
	rand.Read(iv)
	rand.Read(secret)
	block, err := aes.NewCipher(secret)
	if err != nil {
		x.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		x.Fatal(err)
	}
	return aead.Seal(nil, iv, plaintext, nil), formats.XEP0454, json.RawMessage(fmt.Sprintf(`{"fragment":"%x%x"}`, iv, secret))
}

// The refusals of the server say what to do.
func TestPullIsRefused(t *testing.T) {
	for code, want := range map[string]string{
		"not_claimed": "claim it first, with mayfly moderate next or mayfly moderate claim ID",
		"claimed":     "another moderator has the report", "no_evidence": "there is no evidence yet", "withdrawn": "the reporter has withdrawn",
	} {
		refused := func(x *exchange) {
			e := x.evidence([]byte("media"))
			x.server.Fail("POST "+e.path()+"/tickets", clienttest.Refuse(409, code, ""))
			_, err := x.pull(e, moderatePullCmd{Output: filepath.Join(x.dir, "f")})
			if err == nil || !strings.Contains(err.Error(), want) {
				x.Errorf("%s: %v", code, err)
			}
			x.files()
		}
		t.Run(code, func(t *testing.T) { on(t, refused) })
	}
}

func TestPullUsage(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	locked, err := envelope.GenerateIdentity(false)
	if err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte(locked.Reveal()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	local := moderatorFlags{Server: "http://127.0.0.1:1", Key: clienttest.New("").Key.Reveal()}
	id := uuid.NewString()
	for name, c := range map[string]struct {
		cmd   moderatePullCmd
		want  string
		usage bool
	}{
		"no id":                 {moderatePullCmd{ID: "photo.jpg", moderatorFlags: local}, "not a report's id", true},
		"a token":               {moderatePullCmd{ID: "mft_SESAME", moderatorFlags: local}, `"[redacted]" is not a report's id`, true},
		"standard output":       {moderatePullCmd{ID: id, Output: "-", moderatorFlags: local}, "evidence goes to a file", true},
		"no key":                {moderatePullCmd{ID: id, moderatorFlags: moderatorFlags{Server: "http://127.0.0.1:1"}}, "mayfly key create --role moderator", true},
		"in the clear":          {moderatePullCmd{ID: id, moderatorFlags: moderatorFlags{Server: "http://192.0.2.1"}}, "--insecure", true},
		"no identity":           {moderatePullCmd{ID: id, moderatorFlags: local}, "moderator.identity here: give --identity", true},
		"a file that is absent": {moderatePullCmd{ID: id, Identity: "absent", moderatorFlags: local}, "no such file", false},
		"a file that is none":   {moderatePullCmd{ID: id, Identity: os.DevNull, moderatorFlags: local}, "not a moderator's identity file", false},
	} {
		err := c.cmd.Run(t.Context(), terminal{In: strings.NewReader(""), Err: io.Discard})
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, new(usageError)) != c.usage {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One that is not locked opens without a passphrase; that it was given one is a misunderstanding.
	ids, err := unlock(t.Context(), terminal{}, plain)
	if err != nil || len(ids) != 1 {
		t.Error(err)
	}
	t.Setenv(passphraseVar, "four random words")
	if _, err := unlock(t.Context(), terminal{}, plain); !errors.Is(err, envelope.ErrPassphrase) || strings.Contains(fmt.Sprint(err), "random") {
		t.Error(err)
	}
}
