package main

import (
	"bufio"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestNothingOutlivesATestenvThatIsKilled(t *testing.T) {
	fakeIsBuilt(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "sh", "-c", `echo "$MAYFLY_TEST_FAKE"; exec cat`)
	// A testenv that is killed leaves its folder: here it goes with the test's.
	cmd.Env = append(os.Environ(), "TESTENV_AS=testenv", "TMPDIR="+t.TempDir())
	stdin, err := cmd.StdinPipe() // open, so that cat does not end by itself
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()

	out := bufio.NewReader(stdout)
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", at.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// Both ends are open for as long as there is a process that holds them.
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); os.IsTimeout(err) {
		t.Error("the server is still there")
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Error(err)
	}
}
