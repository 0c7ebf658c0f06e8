package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// TestMain lets the test binary be the other programs of a test as well: TESTENV_AS
// says which.
func TestMain(m *testing.M) {
	switch as := os.Getenv("TESTENV_AS"); as {
	case "":
		os.Exit(m.Run())
	case "testenv":
		code, err := run(os.Args[1:], []service{fake("server")})
		fmt.Fprintln(os.Stderr, err)
		os.Exit(code)
	case "server", "stubborn server":
		if as == "stubborn server" {
			signal.Ignore(syscall.SIGTERM)
		}
		fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Getenv("TESTENV_ADDRESS"),
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/end" {
					os.Exit(3)
				}
			})))
		os.Exit(1)
	default:
		fmt.Println("the disk", as)
		os.Exit(4)
	}
}

// fake is a server that does what TestMain says.
func fake(as string) server {
	return server{
		program{"example.com/cmd/fake", "v1.2.3"}, "MAYFLY_TEST_FAKE",
		func(dir string, at *url.URL) (args, env []string) {
			return nil, []string{"TESTENV_AS=" + as, "TESTENV_ADDRESS=" + at.Host}
		},
	}
}

// emptyCache gives the test a cache folder of its own.
func emptyCache(t *testing.T) {
	t.Helper()
	variable := "XDG_CACHE_HOME" // and not HOME if it need not be: go keeps counters there
	if runtime.GOOS == "darwin" {
		variable = "HOME"
	}
	t.Setenv(variable, t.TempDir())
}

// fakeIsBuilt puts the fake server where it would lie if it had been built.
func fakeIsBuilt(t *testing.T) {
	t.Helper()
	emptyCache(t)
	bin, err := fake("").path()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(bin), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, bin); err != nil {
		t.Fatal(err)
	}
}
