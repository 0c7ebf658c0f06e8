package postgres

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// processes are those of the server that runs, each with the time of its start: the
// number alone can be another process's later.
func processes(t *testing.T, s *Server) (all [][2]string) {
	t.Helper()
	postmaster := strconv.Itoa(s.running.cmd.Process.Pid)
	children, err := os.ReadFile(filepath.Join("/proc", postmaster, "task", postmaster, "children"))
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range append(strings.Fields(string(children)), postmaster) {
		if start, _ := stat(pid); start != "" { // a worker that has just ended is none
			all = append(all, [2]string{pid, start})
		}
	}
	if len(all) < 3 {
		t.Fatalf("this test sees only %v of the server", all)
	}
	return all
}

// stat is when the process was started, and its state.
func stat(pid string) (start, state string) {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return "", ""
	}
	words := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	return words[19], words[0]
}

// survivors are those that still do something: a zombie waits for init alone.
func survivors(processes [][2]string) (alive []string) {
	for _, p := range processes {
		if start, state := stat(p[0]); start == p[1] && !strings.Contains(ended, state) {
			alive = append(alive, p[0])
		}
	}
	return alive
}

// segment is the number of the shared memory segment by which the server is known.
func segment(t *testing.T, s *Server) (id string) {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	id = strings.Fields(strings.Split(string(file), "\n")[6])[1]
	if !segmentExists(t, id) {
		t.Fatalf("this test does not see the segment %s", id)
	}
	return id
}

func segmentExists(t *testing.T, id string) bool {
	t.Helper()
	table, err := os.ReadFile("/proc/sysvipc/shm")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if words := strings.Fields(line); len(words) > 1 && words[1] == id {
			return true
		}
	}
	return false
}

func refused(t *testing.T, s *Server) {
	t.Helper()
	if _, err := pgx.Connect(t.Context(), s.URL().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("it is down, and one who connects is told %v", err)
	}
}

func TestWhatWasCommittedIsThereAfterACrash(t *testing.T) {
	t.Parallel()
	s := begun(t)
	at := s.URL().String()
	conn, open := connect(t, s), connect(t, s)
	run(t, conn, "CREATE TABLE kept (name text)", "INSERT INTO kept VALUES ('first')")
	for _, next := range []string{"second", "third"} { // a server that has crashed can crash again
		run(t, open, "BEGIN", "INSERT INTO kept VALUES ('open')")
		run(t, conn, "INSERT INTO kept VALUES ('"+next+"')")

		all, id := processes(t, s), segment(t, s)
		if err := s.Crash(); err != nil {
			t.Fatal(err)
		}
		if alive := survivors(all); len(alive) > 0 {
			t.Errorf("the processes %v have survived", alive)
		}
		if segmentExists(t, id) {
			t.Errorf("its shared memory %s has survived", id)
		}
		refused(t, s)
		if err := s.Crash(); err == nil {
			t.Error("what is down has crashed")
		}
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.URL().String(); got != at {
			t.Errorf("it was %s, and is %s", at, got)
		}
		conn, open = connect(t, s), connect(t, s)
	}
	if got := names(t, s); got != "first second third" {
		t.Errorf("there is %q", got)
	}
}

func TestRestartOfAServerThatRuns(t *testing.T) {
	t.Parallel()
	s := begun(t)
	run(t, connect(t, s), "CREATE TABLE kept (name text)", "INSERT INTO kept VALUES ('first')")
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := names(t, s); got != "first" {
		t.Errorf("there is %q", got)
	}
}

func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := reachable(t)
	for name, before := range map[string]func(*Server) error{
		"that runs":       func(*Server) error { return nil },
		"that crashed":    (*Server).Crash,
		"that was copied": func(s *Server) error { return copied(t, s).Stop() },
	} {
		s, err := Start(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		open := connect(t, s) // and who is connected does not hold it up
		run(t, open, "BEGIN", "CREATE TABLE kept (name text)")
		all, id := processes(t, s), segment(t, s)
		if filepath.Dir(s.folder) != dir {
			t.Errorf("%s: it is in %s", name, s.folder)
		}
		if err := before(s); err != nil {
			t.Fatal(err)
		}
		for range 2 { // a second Stop does nothing
			if err := s.Stop(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if alive := survivors(all); len(alive) > 0 {
			t.Errorf("%s: it has left the processes %v", name, alive)
		}
		if segmentExists(t, id) {
			t.Errorf("%s: it has left its shared memory", name)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: it has left %v, %v", name, left, err)
		}
	}
}

func TestAServerThatEndsByItselfIsAnError(t *testing.T) {
	t.Parallel()
	dir := reachable(t)
	for name, end := range map[string]func(*Server) error{
		"Stop":    (*Server).Stop,
		"Crash":   (*Server).Crash,
		"Restart": func(s *Server) error { return s.Restart(t.Context()) },
	} {
		s, err := Start(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.running.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-s.running.ended
		if err := end(s); err == nil || !strings.Contains(err.Error(), "has ended") || !strings.Contains(err.Error(), "database system is shut down") {
			t.Errorf("%s = %v", name, err)
		}
		_ = s.Stop() // it says so too, after Crash
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: it has left %v, %v", name, left, err)
		}
	}
}
