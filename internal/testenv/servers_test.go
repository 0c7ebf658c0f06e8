package main

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheCommandFindsTheServerAndTheServerEndsWithIt(t *testing.T) {
	fakeIsBuilt(t)
	for _, as := range []string{"server", "stubborn server"} {
		for _, exit := range []string{"exit 0", "exit 7"} {
			out := filepath.Join(t.TempDir(), "environment")
			command := `printf '%s %s' "$MAYFLY_TEST_FAKE" "$MAYFLY_TEST_FAKE_VERSION" > "$0"; curl -sf "$MAYFLY_TEST_FAKE/" && ` + exit
			code, err := run([]string{"sh", "-c", command, out}, []service{fake(as)})
			if want := int(exit[len(exit)-1] - '0'); code != want || err != nil {
				t.Fatalf("%s, %s: run = %d, %v", as, exit, code, err)
			}
			at, version := handedOver(t, out)
			if version != "v1.2.3" {
				t.Errorf("version %q", version)
			}
			if _, ok := at.User.Password(); at.Scheme != "http" || at.Hostname() != "127.0.0.1" || !ok {
				t.Errorf("the address is %s", at)
			}
			if c, err := net.Dial("tcp", at.Host); err == nil {
				c.Close()
				t.Errorf("%s, %s: the server is still there", as, exit)
			}
		}
	}
}

// handedOver reads the server's address and version as the command has written them.
func handedOver(t *testing.T, path string) (at *url.URL, version string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	address, version, _ := strings.Cut(string(text), " ")
	if at, err = url.Parse(address); err != nil {
		t.Fatal(err)
	}
	return at, version
}

func TestAServerThatFailsIsAnErrorWithItsLog(t *testing.T) {
	fakeIsBuilt(t)
	out := filepath.Join(t.TempDir(), "ran")
	code, err := run([]string{"touch", out}, []service{fake("server"), fake("has no room")})
	if code == 0 || err == nil || !strings.Contains(err.Error(), "the disk has no room") ||
		!strings.Contains(err.Error(), "example.com/cmd/fake@v1.2.3 has ended before it answered (exit status 4)") {
		t.Errorf("run = %d, %v", code, err)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("the command was run")
	}
}

func TestAServerThatEndsMeanwhileIsAnError(t *testing.T) {
	fakeIsBuilt(t)
	code, err := run([]string{"sh", "-c", `curl -s "$MAYFLY_TEST_FAKE/end"; exit 0`}, []service{fake("server")})
	if code == 0 || err == nil || !strings.Contains(err.Error(), "has ended while it was needed (exit status 3)") {
		t.Errorf("run = %d, %v", code, err)
	}
}

func TestTheServerAnswersItsOwnKeyAlone(t *testing.T) {
	for _, s := range servers() {
		r := running{server: s, at: given(t, s)}
		if !r.answers(t.Context()) {
			t.Errorf("%s does not answer", s.name())
		}
		r.at.User = url.UserPassword(r.at.User.Username(), "another-secret")
		if r.answers(t.Context()) {
			t.Errorf("%s answers with a wrong key", s.name())
		}
	}
}

// given is the server that testenv has started for this very test.
func given(t *testing.T, s server) *url.URL {
	t.Helper()
	address, ok := os.LookupEnv(s.variable)
	if !ok {
		t.Fatalf("%s is not set: go run ./internal/testenv go test ./...", s.variable)
	}
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
