package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"

	"mayfly/internal/client"
	"mayfly/internal/client/clienttest"
)

// exchange is a server in memory, the client commands' output, and a folder.
type exchange struct {
	*testing.T
	net      clienttest.Network
	server   *clienttest.Server
	client   *client.Client
	dir      string
	out, err bytes.Buffer
}

// on runs a test in a bubble, where waits cost nothing.
func on(t *testing.T, test func(x *exchange)) {
	t.Parallel()
	bubble(t, t.TempDir(), test)
}

// onHere runs it with the folder as the working directory, alone.
func onHere(t *testing.T, test func(x *exchange)) {
	dir := t.TempDir()
	t.Chdir(dir)
	bubble(t, dir, test)
}

func bubble(t *testing.T, dir string, test func(x *exchange)) {
	synctest.Test(t, func(t *testing.T) {
		x := &exchange{T: t, server: clienttest.New("http://localhost"), dir: dir}
		x.net.Serve(t, "localhost:80", x.server)
		x.client = &client.Client{Server: "http://localhost", Key: x.server.Key, HTTP: x.net.Client(t)}
		test(x)
	})
}

func (x *exchange) terminal(in string) terminal {
	return terminal{In: strings.NewReader(in), Out: &x.out, Err: &x.err}
}

// file makes a file with size random bytes.
func (x *exchange) file(name string, size int) (path string, content []byte) {
	x.Helper()
	content = make([]byte, size)
	source := rand.NewChaCha8([32]byte{byte(size)})
	source.Read(content)
	path = filepath.Join(x.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		x.Fatal(err)
	}
	return path, content
}

// send sends and gives back the lines that were printed.
func (x *exchange) send(c sendCmd, in string) []string {
	x.Helper()
	c.Server = "http://localhost"
	x.out.Reset()
	if err := c.send(x.Context(), x.terminal(in), x.client); err != nil {
		x.Fatalf("send: %v", err)
	}
	return strings.Split(strings.TrimSuffix(x.out.String(), "\n"), "\n")
}

// keepsSecrets fails if text, or what was told on stderr, shows a token, a claim
// key or a media key.
func (x *exchange) keepsSecrets(texts ...string) {
	x.Helper()
	for _, text := range append(texts, x.err.String()) {
		for _, secret := range append(x.server.Secrets(), "AGE-SECRET-KEY-1") {
			if strings.Contains(text, secret) {
				x.Errorf("shows a secret: %s", text)
			}
		}
	}
}

func TestSealedSize(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 15, 65535, 65536, 65537, 131072, 131073, 3<<20 + 5} {
		path := filepath.Join(t.TempDir(), "f")
		plain := make([]byte, size)
		if err := os.WriteFile(path, plain, 0o600); err != nil {
			t.Fatal(err)
		}
		ofFile, err := sealFile(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		ofStream, err := sealStream(t.Context(), bytes.NewReader(plain))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []*media{ofFile, ofStream} {
			for range 2 { // a retry opens again
				r, err := m.open()
				if err != nil {
					t.Fatal(err)
				}
				sealed, err := io.ReadAll(r)
				if err != nil {
					t.Fatal(err)
				}
				if int64(len(sealed)) != m.size {
					t.Errorf("%d bytes are %d encrypted, not %d", size, len(sealed), m.size)
				}
				opened, err := age.Decrypt(bytes.NewReader(sealed), m.key)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(opened); err != nil || !bytes.Equal(got, plain) {
					t.Errorf("%d bytes: got %d, %v", size, len(got), err)
				}
			}
			m.close()
		}
		if ofFile.key.String() == ofStream.key.String() {
			t.Error("the same key twice")
		}
	}
}

func TestSend(t *testing.T) {
	for _, size := range []int{0, 1, 65536, 1_000_000} {
		t.Run("", func(t *testing.T) {
			on(t, func(x *exchange) {
				path, want := x.file("holiday photo.jpg", size)
				lines := x.send(sendCmd{File: path, To: []string{"alice", "bob", "alice"}, ExpiresIn: time.Hour}, "")
				if len(lines) != 3 {
					x.Fatalf("%q", lines)
				}
				for i, line := range lines {
					name, text, ok := strings.Cut(line, "\t")
					if !ok || name != []string{"alice", "bob", "alice"}[i] {
						x.Errorf("%q", line)
					}
					x.opens(text, filepath.Join(x.dir, "got"), want)
					os.Remove(filepath.Join(x.dir, "got"))
				}
				if l, err := parseLink(lines[0][6:]); err != nil || l.name != "holiday photo.jpg" {
					x.Errorf("%v, %v", l.name, err)
				}
				if content, _, _ := x.server.Blob(); size > 100 && bytes.Contains(content, want[:100]) {
					x.Error("the server has the plaintext")
				}
				x.keepsSecrets()
			})
		})
	}
}

func TestSendPrints(t *testing.T) {
	on(t, func(x *exchange) {
		path, _ := x.file(".private", 10)
		for _, c := range []struct {
			cmd  sendCmd
			name string
		}{
			{sendCmd{File: path}, "private"},
			{sendCmd{File: path, NoName: true}, ""},
			{sendCmd{File: path, Name: "a b.txt"}, "a b.txt"},
			{sendCmd{File: "-"}, ""},
			{sendCmd{File: "-", Name: "note.txt"}, "note.txt"},
		} {
			lines := x.send(c.cmd, "from standard input")
			l, err := parseLink(lines[0])
			if len(lines) != 1 || err != nil || l.name != c.name || !strings.HasPrefix(lines[0], "http://localhost/#ticket=mft_") {
				x.Errorf("%+v: %q, %v", c.cmd, lines, err)
			}
		}
		x.send(sendCmd{File: path, To: []string{"alice"}, JSON: true}, "")
		var got sent
		if err := json.Unmarshal(x.out.Bytes(), &got); err != nil {
			x.Fatal(err)
		}
		if l, err := parseLink(got.Links[0].Link); err != nil || l.name != "private" || got.Links[0].Recipient != "alice" || got.ExpiresAt.IsZero() || got.Size < 200 {
			x.Errorf("%v: %s", err, x.out.String())
		}
	})
}

// What has no length is spooled encrypted, and nothing of it remains.
func TestSendStream(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	plain := strings.Repeat("very private ", 20_000)
	m, err := sealStream(t.Context(), strings.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("the spool has a name: %v", left)
	}
	r, err := m.open()
	if err != nil {
		t.Fatal(err)
	}
	sealed, _ := io.ReadAll(r)
	if bytes.Contains(sealed, []byte("private")) || int64(len(sealed)) != m.size {
		t.Errorf("%d bytes", len(sealed))
	}
	m.close()

	broken := errors.New("the pipe broke")
	if _, err := sealStream(t.Context(), io.MultiReader(strings.NewReader(plain), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	// An interrupt ends a read that would never return.
	ctx, cancel := context.WithCancel(t.Context())
	silent, w := io.Pipe()
	defer w.Close()
	time.AfterFunc(time.Millisecond, cancel)
	if _, err := sealStream(ctx, silent); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A file that changes while it is read is not sent in part.
func TestSendChangingFile(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"grows":   func(path string) error { return appendTo(path, "x") },
		"shrinks": func(path string) error { return os.Truncate(path, 10) },
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(x *exchange) {
				path, _ := x.file("log.txt", 300_000)
				x.server.Fail("POST /v1/blobs", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if err := change(path); err != nil {
						x.Error(err)
					}
					next.ServeHTTP(w, r)
				})
				c := sendCmd{File: path}
				err := c.send(x.Context(), x.terminal(""), x.client)
				if err == nil || !strings.Contains(err.Error(), "changed while it was read") {
					x.Errorf("got %v", err)
				}
				if _, stored, unsent := x.server.Blob(); stored || !unsent || x.out.Len() > 0 {
					x.Errorf("stored %v, unsent %v, printed %q", stored, unsent, x.out.String())
				}
			})
		})
	}
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

// Each try of an upload is another ciphertext, and each is good.
func TestSendAgain(t *testing.T) {
	cut := func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		io.CopyN(io.Discard, r.Body, 100_000)
		panic(http.ErrAbortHandler)
	}
	for name, faults := range map[string][]clienttest.Fault{
		"cut":            {cut, cut},
		"draining":       {clienttest.Refuse(503, "unavailable", "3")},
		"answer lost":    {clienttest.LoseAnswer},
		"cut, then lost": {cut, clienttest.LoseAnswer, clienttest.Abort},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(x *exchange) {
				path, want := x.file("f", 400_000)
				x.server.Fail("PUT /v1/uploads", faults...)
				lines := x.send(sendCmd{File: path}, "")
				x.opens(lines[0], filepath.Join(x.dir, "got"), want)
				x.keepsSecrets()
			})
		})
	}
}

// A failure leaves nothing that could be opened.
func TestSendFails(t *testing.T) {
	for name, c := range map[string]struct {
		fault clienttest.Fault
		want  string
	}{
		"too large": {clienttest.Refuse(413, "too_large", ""), "Title of too_large"},
		"damaged": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			body, _ := io.ReadAll(r.Body)
			body[1] ^= 1
			r.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(w, r)
		}, "other bytes than were sent"},
		"redirected": {clienttest.Redirect(307, "http://elsewhere.test"), "redirects"},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(x *exchange) {
				path, _ := x.file("f", 1000)
				x.server.Fail("PUT /v1/uploads", c.fault)
				err := (&sendCmd{File: path}).send(x.Context(), x.terminal(""), x.client)
				if err == nil || !strings.Contains(err.Error(), c.want) {
					x.Fatalf("got %v", err)
				}
				if _, stored, unsent := x.server.Blob(); stored || !unsent || x.out.Len() > 0 {
					x.Errorf("stored %v, unsent %v, printed %q", stored, unsent, x.out.String())
				}
				x.keepsSecrets(err.Error())
			})
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		on(t, func(x *exchange) {
			path, _ := x.file("f", 1000)
			x.server.Fail("PUT /v1/uploads", clienttest.Stall)
			ctx, cancel := context.WithTimeout(x.Context(), 5*time.Second)
			defer cancel()
			err := (&sendCmd{File: path}).send(ctx, x.terminal(""), x.client)
			if err == nil || !strings.Contains(err.Error(), "interrupted; nothing is kept") {
				x.Errorf("got %v", err)
			}
			if _, stored, unsent := x.server.Blob(); stored || !unsent {
				x.Errorf("stored %v, unsent %v", stored, unsent)
			}
		})
	})
	t.Run("links cannot be printed", func(t *testing.T) {
		on(t, func(x *exchange) {
			path, _ := x.file("f", 1000)
			full := errors.New("no space left")
			err := (&sendCmd{File: path}).send(x.Context(), terminal{Out: failingWriter{full}, Err: &x.err}, x.client)
			if _, stored, unsent := x.server.Blob(); !errors.Is(err, full) || stored || !unsent {
				x.Errorf("got %v, stored %v, unsent %v", err, stored, unsent)
			}
		})
	})
	t.Run("wrong key", func(t *testing.T) {
		on(t, func(x *exchange) {
			path, _ := x.file("f", 1000)
			x.client.Key = clienttest.New("").Key
			err := (&sendCmd{File: path}).send(x.Context(), x.terminal(""), x.client)
			if err == nil || !strings.Contains(err.Error(), "does not know this API key") {
				x.Errorf("got %v", err)
			}
			x.keepsSecrets(err.Error(), x.client.Key.String())
		})
	})
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }
