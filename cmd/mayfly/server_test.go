package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is a real mayfly serve, in a process of its own.
type server struct {
	address, admin string
	key            string
	process        *exec.Cmd
	log            *logBuffer
	logged         chan struct{} // closed when the log has ended
}

// startServer runs mayfly serve on free ports, with its data in dir, and waits until
// it listens. Rates are not limited and the log is complete, unless args say more.
func startServer(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	serve := exec.Command("mayfly", append([]string{"serve"}, args...)...)
	serve.Dir = dir
	return startProcess(t, serve)
}

// startProcess starts a mayfly serve that is made already, and waits until it listens.
// The API key lies where a first start of the embedded default puts it.
func startProcess(t *testing.T, serve *exec.Cmd) *server {
	t.Helper()
	s := &server{process: serve, log: new(logBuffer), logged: make(chan struct{})}
	serve.Args = slices.Insert(serve.Args, 2, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--rate-per-address=0", "--rate-per-token=0", "--log-format", "json", "--log-level", "debug")
	stderr, err := serve.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		serve.Process.Kill()
		if t.Failed() {
			s.showErrors(t)
		}
	})
	s.listening(t, stderr)
	key, err := os.ReadFile(filepath.Join(serve.Dir, "mayfly-data", keyFileName))
	if err != nil {
		t.Fatal(err)
	}
	s.key = strings.TrimSpace(string(key))
	return s
}

// showErrors prints what the server had to say of a test that failed.
func (s *server) showErrors(t *testing.T) {
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, `"level":"WARN"`) {
			t.Log("the server logged", line)
		}
	}
}

// listening reads the log until the server says where it listens, and keeps the rest.
func (s *server) listening(t *testing.T, stderr io.Reader) {
	t.Helper()
	d := json.NewDecoder(io.TeeReader(stderr, s.log))
	for {
		var line struct{ Msg, Listen, Admin string }
		if err := d.Decode(&line); err != nil {
			t.Fatalf("the server did not start: %v\n%s", err, s.log)
		}
		if line.Msg == "mayfly serves" {
			s.address, s.admin = "http://"+line.Listen, "http://"+line.Admin
			break
		}
	}
	go func() {
		defer close(s.logged)
		io.Copy(s.log, stderr)
	}()
}

// kill is kill -9.
func (s *server) kill(t *testing.T) {
	t.Helper()
	if err := s.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.logged
	s.process.Wait()
}

// stop is SIGTERM, and returns when the server has drained.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.wait(t)
}

// wait returns when the server has ended, which it must without a failure.
func (s *server) wait(t *testing.T) {
	t.Helper()
	<-s.logged
	if err := s.process.Wait(); err != nil {
		t.Errorf("the server did not stop cleanly: %v\n%s", err, s.log)
	}
}

// waitFor returns when the log has the text.
func (s *server) waitFor(t *testing.T, text string) {
	t.Helper()
	for !strings.Contains(s.log.String(), text) {
		select {
		case <-s.logged:
			t.Fatalf("the log ended without %q", text)
		case <-t.Context().Done():
			t.Fatalf("the log has no %q", text)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// logBuffer is a buffer that may be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
