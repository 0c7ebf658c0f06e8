package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"mayfly/internal/client/clienttest"
)

// link seals content for a fresh key, stores it and makes its link.
func (x *exchange) link(content []byte) link {
	x.Helper()
	m, err := sealStream(context.Background(), bytes.NewReader(content))
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
	return link{server: "http://localhost", ticket: x.server.Store(sealed), key: m.key, name: "photo.jpg"}
}

// open opens a link and says what was printed.
func (x *exchange) open(l link, c openCmd) (string, error) {
	x.Helper()
	x.out.Reset()
	x.err.Reset()
	err := c.open(x.Context(), x.terminal(""), x.client, l)
	if err != nil {
		x.keepsSecrets(err.Error())
	}
	x.keepsSecrets()
	return x.out.String(), err
}

// opens opens a link that opens, to path, and compares.
func (x *exchange) opens(text, path string, want []byte) {
	x.Helper()
	l, err := parseLink(text)
	if err != nil {
		x.Fatal(err)
	}
	printed, err := x.open(l, openCmd{Output: path})
	if err != nil {
		x.Fatalf("open: %v", err)
	}
	if printed != path+"\n" {
		x.Errorf("printed %q", printed)
	}
	x.holds(path, want)
	if state := x.server.State(l.ticket); state != "delivered" {
		x.Errorf("the ticket is %s", state)
	}
}

func (x *exchange) holds(path string, want []byte) {
	x.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		x.Errorf("%s: %d bytes that are not the %d wanted, %v", path, len(got), len(want), err)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm() != 0o600 {
		x.Errorf("%s has mode %v", path, info.Mode())
	}
}

// files are the names in the folder, hidden ones too.
func (x *exchange) files(want ...string) {
	x.Helper()
	entries, err := os.ReadDir(x.dir)
	if err != nil {
		x.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, want) {
		x.Errorf("in the folder: %q, want %q", names, want)
	}
}

const (
	post = "POST /v1/download"
	get  = "GET /v1/download"
)

func TestOpenFile(t *testing.T) {
	on(t, func(x *exchange) {
		want := bytes.Repeat([]byte("0123456789"), 30_000)
		x.opens(x.link(want).reveal(), filepath.Join(x.dir, "a.jpg"), want)
		// A folder takes the sender's name.
		if printed, err := x.open(x.link(want), openCmd{Output: x.dir}); err != nil || printed != filepath.Join(x.dir, "photo.jpg")+"\n" {
			x.Errorf("%q, %v", printed, err)
		}
		x.holds(filepath.Join(x.dir, "photo.jpg"), want)
		l := x.link(want)
		l.name = "../../.ssh/authorized_keys"
		if _, err := x.open(l, openCmd{Output: x.dir}); err != nil {
			x.Error(err)
		}
		x.files("a.jpg", "authorized_keys", "photo.jpg")

		printed, err := x.open(x.link(want), openCmd{Output: filepath.Join(x.dir, "j"), JSON: true})
		var got opened
		if err != nil || json.Unmarshal([]byte(printed), &got) != nil || got.Path != filepath.Join(x.dir, "j") || got.Size != 300_000 || !got.Acknowledged {
			x.Errorf("%v: %s", err, printed)
		}
	})
}

func TestOpenHere(t *testing.T) {
	t.Chdir(t.TempDir())
	x := &exchange{T: t, server: clienttest.New("http://localhost")}
	l := newLink(t, "http://localhost", "a/b\\c .jpg ")
	g, err := (&openCmd{}).target(x.terminal(""), l)
	if err != nil {
		t.Fatal(err)
	}
	g.discard()
	if g.path != "c .jpg" {
		t.Errorf("%q", g.path)
	}
}

func TestOpenToStandardOutput(t *testing.T) {
	onHere(t, func(x *exchange) {
		want := bytes.Repeat([]byte("0123456789"), 30_000)
		l := x.link(want)
		if printed, err := x.open(l, openCmd{Output: "-"}); err != nil || printed != string(want) {
			x.Errorf("%d bytes, %v", len(printed), err)
		}
		if x.server.State(l.ticket) != "delivered" {
			x.Error("not acknowledged")
		}
		// Bytes that were damaged on the way are fetched again, and none twice.
		l = x.link(want)
		x.server.Fail(post, clienttest.FlipAt(200_000))
		if printed, err := x.open(l, openCmd{Output: "-"}); err != nil || printed != string(want) {
			x.Errorf("%d bytes, %v", len(printed), err)
		}
		x.files()
		// Standard output that is gone.
		l = x.link(want)
		err := (&openCmd{Output: "-"}).open(x.Context(), terminal{Out: failingWriter{errors.New("broken pipe")}, Err: &x.err}, x.client, l)
		if err == nil || !strings.Contains(err.Error(), "the ticket is spent, and the bytes could not be written: broken pipe") {
			x.Errorf("got %v", err)
		}
	})
}

func TestOpenThroughBreaks(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789"), 30_000)
	for name, faults := range map[string]struct{ post, get []clienttest.Fault }{
		"in the header":         {[]clienttest.Fault{clienttest.CutAt(100)}, nil},
		"in a chunk":            {[]clienttest.Fault{clienttest.CutAt(100_000)}, []clienttest.Fault{clienttest.CutAt(10), clienttest.Abort, clienttest.StallAt(70_000)}},
		"the answer is lost":    {[]clienttest.Fault{clienttest.LoseAnswer, clienttest.Refuse(503, "unavailable", "2")}, nil},
		"damaged on the way":    {[]clienttest.Fault{clienttest.FlipAt(150_000)}, nil},
		"damaged in the header": {[]clienttest.Fault{clienttest.FlipAt(60)}, []clienttest.Fault{clienttest.CutAt(1000)}},
		"damaged in the tag":    {[]clienttest.Fault{clienttest.FlipAt(300_000)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(x *exchange) {
				l := x.link(want)
				x.server.Fail(post, faults.post...)
				x.server.Fail(get, faults.get...)
				x.opens(l.reveal(), filepath.Join(x.dir, "f"), want)
				x.files("f")
			})
		})
	}
}

// A mistake on this side must not cost the ticket.
func TestOpenChecksFirst(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(dir string) error
		output  string
		force   bool
		want    string
	}{
		"the file exists":        {func(dir string) error { return os.WriteFile(filepath.Join(dir, "f"), []byte("mine"), 0o600) }, "f", false, "f exists"},
		"no such folder":         {nil, "no/such/f", false, "no such file"},
		"a name that cannot be":  {nil, strings.Repeat("x", 300), false, "too long"},
		"a symlink to nowhere":   {func(dir string) error { return os.Symlink("nowhere", filepath.Join(dir, "f")) }, "f", false, "no regular file"},
		"a symlink, forced":      {func(dir string) error { return os.Symlink("nowhere", filepath.Join(dir, "f")) }, "f", true, "no regular file"},
		"the file is a folder":   {func(dir string) error { return os.MkdirAll(filepath.Join(dir, "photo.jpg"), 0o700) }, "", false, "no regular file"},
		"a component is a file":  {func(dir string) error { return os.WriteFile(filepath.Join(dir, "f"), nil, 0o600) }, "f/g", false, "not a directory"},
		"forced below a nothing": {nil, "no/f", true, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(x *exchange) {
				if c.prepare != nil {
					if err := c.prepare(x.dir); err != nil {
						x.Fatal(err)
					}
				}
				before, _ := os.ReadDir(x.dir)
				l := x.link([]byte("media"))
				_, err := x.open(l, openCmd{Output: x.dir + "/" + c.output, Force: c.force})
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "nothing was opened") {
					x.Errorf("got %v", err)
				}
				if state := x.server.State(l.ticket); state != "ready" {
					x.Errorf("the ticket is %s", state)
				}
				if after, _ := os.ReadDir(x.dir); len(after) != len(before) {
					x.Errorf("left behind: %v", after)
				}
			})
		})
	}
	t.Run("no room", func(t *testing.T) {
		on(t, func(x *exchange) {
			l := x.link([]byte("media"))
			x.server.Fail("GET /v1/ticket", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				w.Header().Set("Content-Type", "application/json")
				io.WriteString(w, `{"state":"ready","size":9000000000000000000,"expires_at":"2030-01-01T00:00:00Z"}`)
			})
			_, err := x.open(l, openCmd{Output: x.dir})
			if _, known := freeSpace(x.dir); known && (err == nil || !strings.Contains(err.Error(), "free") || x.server.State(l.ticket) != "ready") {
				x.Errorf("got %v, the ticket is %s", err, x.server.State(l.ticket))
			}
			x.files()
		})
	})
	t.Run("forced", func(t *testing.T) {
		on(t, func(x *exchange) {
			path := filepath.Join(x.dir, "f")
			if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
				x.Fatal(err)
			}
			if _, err := x.open(x.link([]byte("new")), openCmd{Output: path, Force: true}); err != nil {
				x.Error(err)
			}
			x.holds(path, []byte("new"))
			x.files("f")
		})
	})
}

// A file that appears while the download runs is not overwritten, and neither is
// what was opened lost.
func TestOpenRace(t *testing.T) {
	on(t, func(x *exchange) {
		path := filepath.Join(x.dir, "f.tar")
		x.server.Fail(post, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			for _, name := range []string{path, filepath.Join(x.dir, "f-1.tar")} {
				if err := os.WriteFile(name, []byte("mine"), 0o600); err != nil {
					x.Error(err)
				}
			}
			next.ServeHTTP(w, r)
		})
		printed, err := x.open(x.link([]byte("media")), openCmd{Output: path})
		if err != nil || printed != filepath.Join(x.dir, "f-2.tar")+"\n" {
			x.Errorf("%q, %v", printed, err)
		}
		x.holds(path, []byte("mine"))
		x.holds(filepath.Join(x.dir, "f-2.tar"), []byte("media"))
		x.files("f-1.tar", "f-2.tar", "f.tar")
	})
}

// What arrived whole but cannot be decrypted is kept: nobody can fetch it again.
func TestOpenWithWrongKey(t *testing.T) {
	for name, output := range map[string]string{"to a file": "f", "to standard output": "-"} {
		t.Run(name, func(t *testing.T) {
			onHere(t, func(x *exchange) {
				want := bytes.Repeat([]byte("0123456789"), 30_000)
				l := x.link(want)
				right := l.key
				l.key = newLink(x.T, "", "").key
				path := filepath.Join(x.dir, output)
				if output == "-" {
					path = "-"
				}
				kept := map[string]string{"f": "f.age", "-": "photo.jpg.age"}[output]
				// The second fetch breaks, too.
				x.server.Fail(get, clienttest.CutAt(1000))
				printed, err := x.open(l, openCmd{Output: path})
				if err == nil || !strings.Contains(err.Error(), "the key in the link is not the one") || !strings.Contains(err.Error(), kept) || printed != "" {
					x.Fatalf("printed %q: %v", printed, err)
				}
				x.files(kept)
				f, err := os.Open(filepath.Join(x.dir, kept))
				if err != nil {
					x.Fatal(err)
				}
				defer f.Close()
				r, err := age.Decrypt(f, right)
				if err != nil {
					x.Fatal(err)
				}
				if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
					x.Errorf("%d bytes, %v", len(got), err)
				}
				if x.server.State(l.ticket) != "delivered" {
					x.Error("not acknowledged")
				}
			})
		})
	}
	t.Run("not age", func(t *testing.T) {
		on(t, func(x *exchange) {
			l := newLink(x.T, "http://localhost", "")
			l.ticket = x.server.Store([]byte("not age at all"))
			_, err := x.open(l, openCmd{Output: x.dir})
			if err == nil || !strings.Contains(err.Error(), "not encrypted with age") {
				x.Errorf("got %v", err)
			}
			x.holds(filepath.Join(x.dir, fallbackName+".age"), []byte("not age at all"))
			x.files(fallbackName + ".age")
		})
	})
	t.Run("cut by the sender", func(t *testing.T) {
		on(t, func(x *exchange) {
			l := x.link(make([]byte, 200_000))
			whole, _, _ := x.server.Blob()
			l.ticket = x.server.Store(whole[:len(whole)-1])
			_, err := x.open(l, openCmd{Output: filepath.Join(x.dir, "f")})
			if err == nil || !strings.Contains(err.Error(), "what was uploaded is not whole") {
				x.Errorf("got %v", err)
			}
			x.files("f.age")
		})
	})
}

func TestOpenDamagedTwice(t *testing.T) {
	on(t, func(x *exchange) {
		l := x.link(make([]byte, 1000))
		x.server.Fail(post, clienttest.FlipAt(500))
		x.server.Fail(get, clienttest.FlipAt(500))
		_, err := x.open(l, openCmd{Output: filepath.Join(x.dir, "f")})
		if err == nil || !strings.Contains(err.Error(), "not those that were uploaded") {
			x.Errorf("got %v", err)
		}
		if state := x.server.State(l.ticket); state != "opened" {
			x.Errorf("the ticket is %s", state)
		}
		x.files()
	})
}

// The file is safe: that the server cannot be told is no failure.
func TestOpenUnacknowledged(t *testing.T) {
	on(t, func(x *exchange) {
		x.server.Fail("POST /v1/download/ack", slices.Repeat([]clienttest.Fault{clienttest.Abort}, 10)...)
		_, err := x.open(x.link([]byte("media")), openCmd{Output: x.dir})
		if err != nil || !strings.Contains(x.err.String(), "could not be told") {
			x.Errorf("%v: %s", err, x.err.String())
		}
		x.holds(filepath.Join(x.dir, "photo.jpg"), []byte("media"))
	})
}
