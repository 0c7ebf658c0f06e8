package postgres

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestMain lets the test binary be another program as well, that starts a server, says
// where it is, and waits for the end of its input: POSTGRES_IN says in which folder.
func TestMain(m *testing.M) {
	dir, other := os.LookupEnv("POSTGRES_IN")
	if !other {
		os.Exit(m.Run())
	}
	s, err := Start(context.Background(), dir)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(s.URL())
	fmt.Println(s.folder)
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := s.Stop(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// reachable is a folder that every user can pass through, as t.TempDir is not.
func reachable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mayfly-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func owner(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Uid)
}

func TestTheServerIsNotRootAndStaysInItsFolder(t *testing.T) {
	t.Parallel()
	open, closed := reachable(t), reachable(t)
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{open, closed} {
		s, err := Start(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		// The owner of /proc/PID is who the process runs as.
		process := owner(t, filepath.Join("/proc", strconv.Itoa(s.running.cmd.Process.Pid)))
		if process == 0 || process != owner(t, s.data()) {
			t.Errorf("it runs as %d, and its data is of %d", process, owner(t, s.data()))
		}
		// Only who is another user than the caller can be kept out of the caller's folder.
		if away := filepath.Dir(s.folder) != dir; away != (dir == closed && process != os.Geteuid()) {
			t.Errorf("for %s it is in %s", dir, s.folder)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.folder); !os.IsNotExist(err) {
			t.Errorf("its folder is still there: %v", err)
		}
	}
	if info, err := os.Stat(closed); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of another was opened: %v, %v", info.Mode(), err)
	}
}

// another is the other program of TestMain, with its server in dir.
func another(t *testing.T, dir string, as *account) (cmd *exec.Cmd, stdin io.Closer, says *bufio.Reader) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The folder that go test builds in is the caller's alone.
	program := filepath.Join(reachable(t), "program")
	if err := copyFile(self, program); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(program)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "POSTGRES_IN="+dir)
	as.apply(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // if the test has not come to its end
	return cmd, in, bufio.NewReader(out)
}

func line(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	text, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("%v after %q", err, text)
	}
	return strings.TrimSpace(text)
}

func TestWhoIsNotRootRunsItAsThemselves(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // then all other tests are this one
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(nobody.Uid)
	if err != nil {
		t.Fatal(err)
	}
	as := &account{uid, uid}
	dir := reachable(t)
	if err := as.own(dir); err != nil {
		t.Fatal(err)
	}
	cmd, stdin, says := another(t, dir, as)
	at, folder := line(t, says), line(t, says)
	if filepath.Dir(folder) != dir || owner(t, filepath.Join(folder, "data", "PG_VERSION")) != uid {
		t.Errorf("%s is of %d", folder, owner(t, folder))
	}
	conn, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	run(t, conn, "CREATE TABLE kept (name text)")
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(says)
	if err != nil || len(rest) > 0 {
		t.Errorf("it says %q, %v", rest, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it has left %v, %v", left, err)
	}
}

func TestTheServerDiesWithItsParent(t *testing.T) {
	t.Parallel()
	cmd, _, says := another(t, reachable(t), nil)
	at, folder := line(t, says), line(t, says)
	as, err := unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The backend ends when it sees that its postmaster has, and the connection with it.
	if _, err := conn.WaitForNotification(t.Context()); err == nil {
		t.Error("the server is still there")
	}
	_ = cmd.Wait()
	if err := forgetSharedMemory(filepath.Join(folder, "data"), as); err != nil {
		t.Error(err)
	}
}
