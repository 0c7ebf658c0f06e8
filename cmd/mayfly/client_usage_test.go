package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly/internal/client/clienttest"
)

func TestSendUsage(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	key := clienttest.New("").Key.Reveal()
	local := serverFlags{Server: "http://127.0.0.1:1", Key: key}
	for name, c := range map[string]struct {
		cmd  sendCmd
		want string
	}{
		"tab in a name":      {sendCmd{File: file, To: []string{"a\tb"}, serverFlags: local}, "control characters"},
		"empty name":         {sendCmd{File: file, To: []string{""}, serverFlags: local}, "1 to 256 bytes"},
		"long name":          {sendCmd{File: file, To: []string{strings.Repeat("x", 257)}, serverFlags: local}, "1 to 256 bytes"},
		"many names":         {sendCmd{File: file, To: make([]string, 1025), serverFlags: local}, "1024"},
		"no time":            {sendCmd{File: file, ExpiresIn: -time.Hour, serverFlags: local}, "--expires-in"},
		"half a second":      {sendCmd{File: file, ExpiresIn: time.Second / 2, serverFlags: local}, "--expires-in"},
		"a folder":           {sendCmd{File: dir, serverFlags: local}, "is a folder"},
		"in the clear":       {sendCmd{File: file, serverFlags: serverFlags{Server: "http://192.0.2.1", Key: key}}, "--insecure"},
		"no address":         {sendCmd{File: file, serverFlags: serverFlags{Server: "nonsense", Key: key}}, "https://media.example.org"},
		"mistyped key":       {sendCmd{File: file, serverFlags: serverFlags{Server: "http://127.0.0.1:1", Key: key[:20]}}, "malformed"},
		"no key":             {sendCmd{File: file, serverFlags: serverFlags{Server: "http://127.0.0.1:1"}}, "Start mayfly serve in this folder"},
		"no key for another": {sendCmd{File: file, serverFlags: serverFlags{Server: "https://media.example.org"}}, "MAYFLY_KEY_FILE"},
	} {
		err := c.cmd.Run(t.Context(), terminal{Err: io.Discard})
		var usage usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), key[:20]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (&sendCmd{File: "absent", serverFlags: local}).Run(t.Context(), terminal{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// The embedded default's key is for servers on this machine.
func TestKeyFile(t *testing.T) {
	t.Chdir(t.TempDir())
	want := clienttest.New("").Key
	if err := os.Mkdir("mayfly-data", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeSecret(filepath.Join("mayfly-data", keyFileName), want.Reveal()+"\n"); err != nil {
		t.Fatal(err)
	}
	for server, ok := range map[string]bool{
		"http://127.0.0.1:8484": true, "http://localhost:8484": true, "https://[::1]": true, "https://localhost": true,
		"https://media.example.org": false, "https://127.0.0.1.example.org": false,
	} {
		c, err := serverFlags{Server: server}.connect()
		if ok != (err == nil) || ok && !c.Key.Equal(want) {
			t.Errorf("%s: %v", server, err)
		}
	}
}

func TestOpenUsage(t *testing.T) {
	t.Parallel()
	l := newLink(t, "http://192.0.2.1", "")
	cut, _, _ := strings.Cut(l.reveal(), "&")
	for name, c := range map[string]struct {
		cmd  openCmd
		in   string
		want string
	}{
		"two outputs":            {openCmd{Link: linkArg(l.reveal()), JSON: true, Output: "-"}, "", "standard output"},
		"in the clear":           {openCmd{Link: linkArg(l.reveal())}, "", "--insecure"},
		"in the clear, from in":  {openCmd{Link: "-"}, l.reveal() + "\nmore\n", "--insecure"},
		"cut by a shell":         {openCmd{Link: linkArg(cut)}, "", "'quotes'"},
		"nothing":                {openCmd{Link: "-"}, "", "not a link"},
		"another scheme":         {openCmd{Link: linkArg("ftp" + l.reveal()[4:])}, "", "https://media.example.org"},
		"endless standard input": {openCmd{Link: "-"}, strings.Repeat("x", 1<<20), "too long"},
	} {
		err := c.cmd.Run(t.Context(), terminal{In: strings.NewReader(c.in), Out: io.Discard, Err: io.Discard})
		var usage usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		for _, secret := range []string{l.ticket.Reveal()[4:30], l.key.String()[20:]} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s shows a secret: %v", name, err)
			}
		}
	}
}

// On the command line, through kong.
func TestOpenArguments(t *testing.T) {
	l := newLink(t, "http://192.0.2.1", "").reveal()
	for _, args := range [][]string{
		{"open", l, l}, {"open", l, "-o", "f", l}, {"open"}, {"open", "-o", "-", "--json", "-"}, {"open", l}, {"open", l + l, "--force"},
	} {
		var out, err bytes.Buffer
		code := run(t.Context(), terminal{In: strings.NewReader(l), Out: &out, Err: &err}, args)
		if code != exitUsage || strings.Contains(out.String()+err.String(), "mft_") || strings.Contains(out.String()+err.String(), "AGE-SECRET") {
			t.Errorf("%d arguments: exit %d, %s%s", len(args), code, &out, &err)
		}
	}
}
