package main

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/reports/envelope"
)

// TestBlind: server, database, logs and evidence together cannot decrypt a reported
// picture (P6). A picture is sent, reported and moderated, with the real program and over
// the real API. Then whatever the server has, and has ever answered a moderator, is taken
// for a key: as text, as bytes at every offset, and in the usual encodings; and the server's
// memory is searched for the keys that there are. Nothing opens
// the evidence, nor what is sealed to the moderators. With the moderator's identity, which
// is elsewhere, both open; and laid beside the rest it is found, in each of its forms.
func TestBlind(t *testing.T) {
	t.Parallel()
	x := newBlindness(t)
	x.moderate()
	has := x.gather()
	began := time.Now()
	found, tried := x.search(has)
	for _, what := range found {
		t.Error(what)
	}
	t.Logf("%d things, %d keys tried in %v", len(has), tried, time.Since(began))
	if len(has) < 20 || tried < 10_000 {
		t.Errorf("%d things, %d keys: that is not all", len(has), tried)
	}
	x.control(has)
}

// blindness is a server and what it must not know.
type blindness struct {
	*testing.T
	*job
	dir, elsewhere string // the server's folder, and that of the clients
	picture        []byte
	windows        map[[32]byte]bool // of the picture
	media          *age.X25519Identity
	moderator      envelope.Identity

	evidence []byte // as a moderator gets it
	sealed   string
	answers  map[string][]byte // to the moderator, and to ops
	tokens   []string          // that were shown to the server
	locks    []padlock
}

// padlock is an age file that a key may open.
type padlock struct {
	name    string
	content []byte // binary
	public  [32]byte
	fileKey []byte // for the control alone
	header  []byte // without its MAC, mac is that
	mac     []byte
}

func newBlindness(t *testing.T) *blindness {
	t.Helper()
	x := &blindness{T: t, dir: t.TempDir(), elsewhere: t.TempDir(), answers: make(map[string][]byte)}
	var err error
	if x.picture, err = drawPicture(); err == nil {
		x.moderator, err = envelope.GenerateIdentity(false)
	}
	x.must(err)
	x.windows = make(map[[32]byte]bool, len(x.picture))
	for i := range len(x.picture) - 31 {
		if w := [32]byte(x.picture[i:]); distinct(w[:]) >= 8 {
			x.windows[w] = true
		}
	}
	data := filepath.Join(x.dir, "mayfly-data")
	x.must(os.Mkdir(data, 0o700))
	x.must(os.WriteFile(filepath.Join(data, moderatorsName), []byte(x.moderator.Recipient().String()+"\n"), 0o600))
	x.job = &job{t: t, s: startServer(t, x.dir)}
	return x
}

func (x *blindness) must(err error) {
	x.T.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

// said is the answer to a call, as JSON.
func (x *blindness) said(r reply, status int, into any) {
	x.T.Helper()
	r.want(status)
	x.answers[r.call] = r.body
	if into != nil {
		x.must(json.Unmarshal(r.body, into))
	}
}

// mayfly runs the program as somebody who is not the server.
func (x *blindness) mayfly(dir string, args ...string) string {
	x.T.Helper()
	c := exec.Command("mayfly", args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GORACE="+quickExit, "MAYFLY_SERVER="+x.s.address, "MAYFLY_KEY="+x.s.key)
	out, err := c.Output()
	if err != nil {
		x.Fatalf("mayfly %s: %v", args[0], err)
	}
	return strings.TrimSpace(string(out))
}

func (x *blindness) key(role string) string {
	x.T.Helper()
	c := exec.Command("mayfly", "key", "create", "--role", role, "--tenant", "default")
	c.Dir, c.Env = x.dir, append(os.Environ(), "GORACE="+quickExit)
	out, err := c.Output()
	x.must(err)
	return x.shown(strings.TrimSpace(string(out)))
}

func (x *blindness) shown(token string) string {
	x.tokens = append(x.tokens, token)
	return token
}

// moderate is the whole way of a picture, from its sender to a moderator's decision.
func (x *blindness) moderate() {
	x.T.Helper()
	path := filepath.Join(x.elsewhere, "picture.png")
	x.must(os.WriteFile(path, x.picture, 0o600))
	l, err := parseLink(x.mayfly(x.elsewhere, "send", path))
	x.must(err)
	x.media = l.key
	ticket, asJSON := x.shown(l.ticket.Reveal()), "application/json"
	x.shown(x.s.key)

	report, handle := x.report(ticket)
	moderator, ops := x.key("moderator"), x.key("ops")
	var state struct{ State string }
	for state.State != "open" {
		x.said(x.call("GET", "/v1/reports/"+report, moderator, "", "", nil), 200, &state)
		switch state.State {
		case "open":
		case "copying":
			time.Sleep(5 * time.Millisecond) // the copy is another goroutine's of another process
		default:
			x.Fatalf("the report is %s", state.State)
		}
	}
	x.said(x.call("GET", "/v1/reports/"+report, handle, "", "", nil), 200, nil)
	x.said(x.call("GET", "/v1/reports", moderator, "", "", nil), 200, nil)
	x.said(x.call("POST", "/v1/reports/"+report+"/claim", moderator, "", "", nil), 200, nil)
	var pulled struct {
		Token     string
		SealedKey string `json:"sealed_key"`
	}
	x.said(x.call("POST", "/v1/reports/"+report+"/tickets", moderator, "", "", nil), 201, &pulled)
	evidence := x.call("POST", "/v1/download", x.shown(pulled.Token), "", "", nil)
	evidence.want(200)
	x.said(x.call("POST", "/v1/reports/"+report+"/decision", moderator, asJSON, `{"outcome":"upheld","note":"seen"}`, nil), 200, nil)
	x.said(x.call("GET", "/v1/audit", ops, "", "", nil), 200, nil)
	x.evidence, x.sealed = evidence.body, pulled.SealedKey
	x.locks = []padlock{
		x.lock("the evidence", x.evidence, x.media, x.media.Recipient().String()),
		x.lock("the sealed key", x.dearmored(), x.moderator, x.moderator.Recipient().String()),
	}
}

// report reports what a ticket is for, as a reporter's client does that has the link.
func (x *blindness) report(ticket string) (id, handle string) {
	x.T.Helper()
	var status struct {
		Blob   uuid.UUID        `json:"blob_id"`
		SHA256 blobstore.Digest `json:"sha256"`
		Size   int64
	}
	x.said(x.call("GET", "/v1/ticket", ticket, "", "", nil), 200, &status)
	key, err := json.Marshal(map[string]string{"identity": x.media.String()})
	x.must(err)
	sealed, err := envelope.Seal(envelope.Contents{
		Blob: status.Blob, SHA256: status.SHA256, Size: status.Size, Format: "age", Key: key, Name: "picture.png",
	}, []envelope.Recipient{x.moderator.Recipient()})
	x.must(err)
	body, err := json.Marshal(map[string]any{
		"reason": "harassment", "comment": "I asked for it to stop.", "sealed_key": sealed,
		"consent": map[string]any{"granted": true, "statement": "mayfly-1"},
	})
	x.must(err)
	var created struct{ ID, Token string }
	x.said(x.call("POST", "/v1/reports", ticket, "application/json", string(body), nil), 201, &created)
	return created.ID, x.shown(created.Token)
}

func (x *blindness) dearmored() []byte {
	x.T.Helper()
	file, err := io.ReadAll(armor.NewReader(strings.NewReader(x.sealed)))
	x.must(err)
	return file
}

// lock is an age file with what it takes to try keys on it: the public key of the one
// recipient that it is for, and its header, whose MAC tells a file key.
func (x *blindness) lock(name string, file []byte, id age.Identity, recipient string) padlock {
	x.T.Helper()
	const last = "\n--- "
	i := bytes.Index(file, []byte(last))
	if i < 0 {
		x.Fatalf("%s is no age file", name)
	}
	if n := bytes.Count(file[:i], []byte("\n-> X25519 ")); n != 1 {
		x.Fatalf("%s is for %d recipients", name, n)
	}
	l := padlock{name: name, content: file, public: [32]byte(x.bech32(recipient)), header: file[:i+len(last)-1]}
	var err error
	l.mac, err = base64.RawStdEncoding.DecodeString(string(file[i+len(last) : i+len(last)+43]))
	x.must(err)
	_, err = age.Decrypt(bytes.NewReader(file), keeper{id, &l.fileKey})
	x.must(err)
	return l
}

// keeper is an identity that keeps the file key.
type keeper struct {
	age.Identity
	fileKey *[]byte
}

func (k keeper) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	key, err := k.Identity.Unwrap(stanzas)
	*k.fileKey = slices.Clone(key)
	return key, err
}

// takes reports whether a file key is the lock's (C2SP age.md, "Header MAC").
func (l padlock) takes(fileKey []byte) bool {
	key, err := hkdf.Key(sha256.New, fileKey, nil, "header", 32)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(l.header)
	return hmac.Equal(mac.Sum(nil), l.mac)
}

// bech32Digits in their order (BIP 173).
const bech32Digits = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// bech32 is the 32 bytes of a recipient or an identity, which are no secret and a secret.
func (x *blindness) bech32(text string) []byte {
	x.T.Helper()
	text = strings.ToLower(text)
	raw := fromBech32(text[strings.LastIndexByte(text, '1')+1:])
	if len(raw) < 32 {
		x.Fatal("no age key")
	}
	return raw[:32]
}

// fromBech32 is what whole bytes there are in the digits.
func fromBech32(digits string) (raw []byte) {
	bits, n := 0, 0
	for i := range len(digits) {
		bits, n = bits<<5|strings.IndexByte(bech32Digits, digits[i]), n+5
		if n >= 8 {
			n -= 8
			raw = append(raw, byte(bits>>n))
			bits &= 1<<n - 1
		}
	}
	return raw
}

// gather is everything that the server has: its files, as they are while it runs and when
// it has ended, its log, its metrics, its environment, and what it has answered.
func (x *blindness) gather() map[string][]byte {
	x.T.Helper()
	has := maps.Clone(x.answers)
	has["metrics"] = []byte(x.metrics())
	maps.Copy(has, x.files("running: "))
	x.memory()
	x.s.stop(x.T)
	for name, content := range x.files("") {
		dir, file := filepath.Split(name)
		if !bytes.Equal(has[dir+"running: "+file], content) { // else it was there before
			has[name] = content
		}
	}
	has["log"] = []byte(x.s.log.String())
	has["environment"] = []byte(strings.Join(x.s.process.Environ(), "\n"))
	has["arguments"] = []byte(strings.Join(x.s.process.Args, "\n"))
	has["tokens"] = []byte(strings.Join(x.tokens, "\n"))
	for _, must := range []string{"/mayfly.db", "/running: mayfly.db-wal", keyFileName, stampKeysName, erasureKeysName, moderatorsName} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(has)), func(name string) bool { return strings.HasSuffix(name, must) }) {
			x.Errorf("%s is not among what the server has", must)
		}
	}
	if n := len(slices.DeleteFunc(slices.Collect(maps.Keys(has)), func(name string) bool { return !ofBlobs(name) })); n < 2 {
		x.Errorf("%d blobs are among what the server has", n)
	}
	return has
}

// files are those of the server by their path.
func (x *blindness) files(when string) map[string][]byte {
	x.T.Helper()
	all := make(map[string][]byte)
	x.must(filepath.WalkDir(x.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(x.dir, path)
		all[filepath.ToSlash(filepath.Dir(rel))+"/"+when+d.Name()] = content
		return err
	}))
	return all
}

const largestRegion = 256 << 20 // bytes

// memory searches the memory of the server as it runs; where the system does not show it,
// nothing is said. What is larger than largestRegion is the race detector's.
func (x *blindness) memory() {
	x.T.Helper()
	proc := fmt.Sprintf("/proc/%d/", x.s.process.Process.Pid)
	regions, err := os.ReadFile(proc + "maps")
	if err != nil {
		x.Logf("the server's memory is not to be seen: %v", err)
		return
	}
	mem, err := os.Open(proc + "mem")
	if err != nil {
		x.Logf("the server's memory is not to be seen: %v", err)
		return
	}
	defer mem.Close()
	never := map[string][]byte{
		"the media key's text": []byte(x.media.String()), "the media key": x.bech32(x.media.String()),
		"the moderator's identity": []byte(x.moderator.Reveal()), "the moderator's key": x.bech32(x.moderator.Reveal()),
		"the picture's beginning": x.picture[:32], "the picture": x.picture[len(x.picture)/2:][:32],
		"the evidence's file key": x.locks[0].fileKey, "the sealed key's file key": x.locks[1].fileKey,
	}
	size, control := 0, false
	for line := range strings.Lines(string(regions)) {
		var from, to uint64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || mode != "rw-p" || to-from > largestRegion {
			continue
		}
		region := make([]byte, to-from)
		n, _ := mem.ReadAt(region, int64(from)) // what cannot be read is not there
		size += n
		for what, secret := range never {
			if bytes.Contains(region[:n], secret) {
				x.Errorf("%s is in the server's memory", what)
			}
		}
		control = control || bytes.Contains(region[:n], []byte(x.moderator.Recipient().String()))
	}
	if !control {
		x.Errorf("in %d bytes of memory not even the moderator's recipient is", size)
	}
}

// ofBlobs reports whether a file is encrypted media, in which any key is a chance.
func ofBlobs(name string) bool {
	return strings.Contains(name, "mayfly-data/blobs/") || strings.Contains(name, "mayfly-data/evidence/")
}

// search tells what of has is, or opens, what nobody may have; and how many keys it tried.
func (x *blindness) search(has map[string][]byte) (found []string, tried int) {
	x.T.Helper()
	secrets := map[string][]byte{"the media key": x.bech32(x.media.String()), "the moderator's identity": x.bech32(x.moderator.Reveal())}
	keys := make(map[[32]byte]string)
	fileKeys := make(map[[16]byte]string)
	for name, content := range has {
		forms := append(decoded(content), content)
		for what, secret := range secrets {
			if slices.ContainsFunc(forms, func(raw []byte) bool { return bytes.Contains(raw, secret) }) {
				found = append(found, fmt.Sprintf("%s: %s is in it", name, what))
			}
		}
		for i := range len(content) - 31 {
			if x.windows[[32]byte(content[i:])] {
				found = append(found, fmt.Sprintf("%s: bytes %d of the picture are in it", name, i))
				break
			}
		}
		found = append(found, x.identities(name, content)...)
		if ofBlobs(name) {
			continue
		}
		for _, raw := range forms {
			candidates(raw, name, keys, fileKeys)
		}
	}
	return append(found, x.try(keys, fileKeys)...), len(keys) + len(fileKeys)
}

var (
	identityText = regexp.MustCompile(`(?i)AGE-SECRET-KEY-1[0-9A-Z]{58}`)
	hexRun       = regexp.MustCompile(`(?i)[0-9a-f]{32,}`)
	base64Run    = regexp.MustCompile(`[0-9A-Za-z+/_-]{22,}`)
	bech32Run    = regexp.MustCompile(`[` + bech32Digits + `]{52,}`)
)

func runs(r *regexp.Regexp, content []byte) (all []string) {
	for _, run := range r.FindAll(content, -1) {
		all = append(all, string(run))
	}
	return all
}

// decoded is what stands in a text in hex, base64 or bech32, from each digit on, and in
// the blocks of PEM.
func decoded(content []byte) (all [][]byte) {
	for _, digits := range runs(hexRun, content) {
		for from := range 2 {
			part := digits[from:]
			raw, _ := hex.DecodeString(part[:len(part)&^1])
			all = append(all, raw)
		}
	}
	urlToStd := strings.NewReplacer("-", "+", "_", "/")
	for _, digits := range runs(base64Run, content) {
		digits = urlToStd.Replace(digits)
		for from := range 4 {
			part := digits[from:]
			if len(part)%4 == 1 {
				part = part[:len(part)-1]
			}
			raw, _ := base64.RawStdEncoding.DecodeString(part)
			all = append(all, raw)
		}
	}
	for _, digits := range runs(bech32Run, bytes.ToLower(content)) {
		for from := range 8 {
			all = append(all, fromBech32(digits[from:]))
		}
	}
	for rest := content; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return all
		}
		all = append(all, block.Bytes)
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if k, ok := key.(interface{ Seed() []byte }); ok {
				all = append(all, k.Seed())
			}
		}
	}
}

// identities are the texts of identities that open anything.
func (x *blindness) identities(name string, content []byte) (found []string) {
	for _, text := range runs(identityText, content) {
		id, err := age.ParseX25519Identity(strings.ToUpper(text))
		if err != nil {
			continue
		}
		for _, l := range x.locks {
			if _, err := age.Decrypt(bytes.NewReader(l.content), id); err == nil {
				found = append(found, fmt.Sprintf("%s: an identity in it opens %s", name, l.name))
			}
		}
	}
	return found
}

// candidates are all windows of the size of a key that may be one, and what a careless
// hand might make of the whole: its SHA-256. Of random keys of 32 bytes one in 10⁵ has
// fewer than 4 bytes above 127 or fewer than 22 different ones; text never has as many.
func candidates(raw []byte, name string, keys map[[32]byte]string, fileKeys map[[16]byte]string) {
	for i := range len(raw) - 31 {
		if w := raw[i : i+32]; high(w) >= 4 && distinct(w) >= 22 {
			keys[[32]byte(w)] = name
		}
	}
	for i := range len(raw) - 15 {
		if w := raw[i : i+16]; high(w) >= 1 && distinct(w) >= 11 {
			fileKeys[[16]byte(w)] = name
		}
	}
	for _, text := range append(bytes.Fields(raw), raw) {
		if len(text) >= 16 {
			keys[sha256.Sum256(text)] = "the SHA-256 of a text in " + name
		}
	}
}

func high(w []byte) (n int) {
	for _, b := range w {
		n += int(b >> 7)
	}
	return n
}

func distinct(w []byte) (n int) {
	var seen [256]bool
	for _, b := range w {
		if !seen[b] {
			seen[b] = true
			n++
		}
	}
	return n
}

// try tries keys on the locks: an X25519 key opens what is for its public half, and that
// alone.
func (x *blindness) try(keys map[[32]byte]string, fileKeys map[[16]byte]string) (found []string) {
	type attempt struct {
		key  []byte
		name string
	}
	attempts := make(chan attempt, 256)
	var mu sync.Mutex
	var tries sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		tries.Go(func() {
			for a := range attempts {
				for _, l := range x.locks {
					if l.opensWith(a.key) {
						mu.Lock()
						found = append(found, fmt.Sprintf("%s: a key in it opens %s", a.name, l.name))
						mu.Unlock()
					}
				}
			}
		})
	}
	for key, name := range keys {
		attempts <- attempt{key[:], name}
	}
	for key, name := range fileKeys {
		attempts <- attempt{key[:], name}
	}
	close(attempts)
	tries.Wait()
	return found
}

func (l padlock) opensWith(key []byte) bool {
	if len(key) == 16 {
		return l.takes(key)
	}
	private, err := ecdh.X25519().NewPrivateKey(key)
	return err == nil && bytes.Equal(private.PublicKey().Bytes(), l.public[:])
}

// control: the search finds what it looks for, and what it looks for opens the picture.
func (x *blindness) control(has map[string][]byte) {
	x.T.Helper()
	contents, err := envelope.Open(x.sealed, x.moderator)
	x.must(err)
	var key struct{ Identity string }
	x.must(json.Unmarshal(contents.Key, &key))
	id, err := age.ParseX25519Identity(key.Identity)
	x.must(err)
	r, err := age.Decrypt(bytes.NewReader(x.evidence), id)
	x.must(err)
	if picture, err := io.ReadAll(r); err != nil || !bytes.Equal(picture, x.picture) {
		x.Fatalf("what the moderator sees: %d bytes, not %d, %v", len(picture), len(x.picture), err)
	}

	// The moderator's identity in the server's folder.
	stray := filepath.Join(x.dir, "mayfly-data", "stray.txt")
	x.must(os.WriteFile(stray, []byte(x.moderator.Reveal()), 0o600))
	files := x.files("")
	maps.DeleteFunc(files, func(name string, _ []byte) bool { return name != "mayfly-data/stray.txt" })
	x.finds("an identity in the data folder", files)

	var db []byte
	for name, content := range has {
		if strings.HasSuffix(name, "/mayfly.db") {
			db = content
		}
	}
	media, moderator := x.bech32(x.media.String()), x.bech32(x.moderator.Reveal())
	for what, bytes := range map[string][]byte{
		"the media key":              media,
		"the moderator's key":        moderator,
		"the media key in hex":       []byte(hex.EncodeToString(media)),
		"the media key in base64":    []byte(base64.StdEncoding.EncodeToString(media)),
		"the media key in base64url": []byte("key=" + base64.RawURLEncoding.EncodeToString(media) + "&"),
		"the media key's bech32":     []byte(strings.ToLower(x.media.String()[len("AGE-SECRET-KEY-1"):])),
		"the evidence's file key":    x.locks[0].fileKey,
		"a sealed key's file key":    []byte(hex.EncodeToString(x.locks[1].fileKey)),
		"32 bytes of the picture":    x.picture[4711 : 4711+32],
	} {
		at := len(db)/2 | 1
		x.finds(what, map[string][]byte{"planted": slices.Concat(db[at-501:at], bytes, db[at:at+500])})
	}
}

func (x *blindness) finds(what string, in map[string][]byte) {
	x.T.Helper()
	if found, _ := x.search(in); len(found) == 0 {
		x.Errorf("%s is not found", what)
	}
}
