package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"mayfly/internal/testenv/child"
)

const (
	// startTime is how long a server may take until it answers: it needs a tenth of a
	// second, and more on a machine that builds at the same time.
	startTime = time.Minute
	// stopTime is how long it may take to end by itself. What it holds is thrown away.
	stopTime = 5 * time.Second

	role = "mayfly"
)

// Server is a PostgreSQL server.
type Server struct {
	programs Programs
	as       *account
	folder   string
	password string
	port     *port
	running  *process // nil: it is down because we wanted it
}

// process is a postmaster that was started. One that has ended has closed ended.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// Start makes a new, empty server below dir and returns when it answers. Settings are
// lines of postgresql.conf, such as "synchronous_commit=off", that win over ours.
//
// As root it runs as the user postgres or nobody, and if that one cannot get to dir, in
// another folder, which Stop removes as well. It ends with the thread that called Start,
// so with the process: see child.DieWithParent.
func Start(ctx context.Context, dir string, settings ...string) (*Server, error) {
	programs, err := Find(ctx)
	if err != nil {
		return nil, err
	}
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	s := &Server{programs: programs, as: as, password: rand.Text()}
	if s, err = s.begin(ctx, dir, func() error { return s.initdb(ctx, settings) }); err != nil {
		return nil, err
	}
	if err := s.slim(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Copy starts a second server on what a crash of this one would leave at this moment:
// see the package's second sentence. This one stands still for as long as it takes to
// copy its folder, and runs on. One that has crashed can be copied too. The copy has the
// same settings and password, and is to be stopped as well.
func (s *Server) Copy(ctx context.Context, dir string) (*Server, error) {
	c := &Server{programs: s.programs, as: s.as, password: s.password}
	return c.begin(ctx, dir, func() error { return s.copyTo(ctx, c) })
}

// begin gives the server a folder and a port, has its data made and launches it. On an
// error nothing is left.
func (s *Server) begin(ctx context.Context, dir string, fill func() error) (_ *Server, err error) {
	if s.folder, err = newFolder(ctx, s.programs, s.as, dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(s.folder))
		}
	}()
	if err := fill(); err != nil {
		return nil, err
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	if err := s.launch(ctx); err != nil {
		return nil, errors.Join(err, s.port.release())
	}
	return s, nil
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }
func (s *Server) log() string  { return filepath.Join(s.folder, "log") }

// Version is the server's version, as "15.18".
func (s *Server) Version() string { return s.programs.Version }

// URL is where the server is, with user and password. It is the same after a Restart.
func (s *Server) URL() *url.URL {
	return &url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(role, s.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port.number)),
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}
}

// command is one of PostgreSQL's programs. The caller's own environment may configure
// it, and that is not for the tests.
func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = s.folder
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.folder, "TMPDIR=" + s.folder, "LC_ALL=C", "TZ=UTC"}
	s.as.apply(cmd)
	child.DieWithParent(cmd)
	return cmd
}

// initdb makes the data folder.
func (s *Server) initdb(ctx context.Context, settings []string) error {
	password := filepath.Join(s.folder, "password")
	if err := os.WriteFile(password, []byte(s.password), 0o600); err != nil {
		return err
	}
	if err := s.as.own(password); err != nil {
		return err
	}
	cmd := s.command(s.programs.Initdb, "--pgdata="+s.data(), "--username="+role, "--pwfile="+password, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=C",
		// An empty database that a power cut spoils is no loss. The server syncs as ever.
		"--no-sync",
		// A segment has its full size from the beginning. With the usual 16 MB it would be
		// a third of all that Copy copies.
		"--wal-segsize=1")
	out, err := output(ctx, cmd)
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", s.programs.Initdb, err, child.LastLines(out))
	}
	lines := append([]string{"",
		"listen_addresses = '127.0.0.1'",
		"unix_socket_directories = ''",
		"max_connections = 400",
		// Files in the data folder, and not in /dev/shm, where nobody would take them
		// away after a Crash.
		"dynamic_shared_memory_type = mmap",
	}, settings...)
	conf, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = conf.WriteString(strings.Join(lines, "\n") + "\n")
	return errors.Join(err, conf.Close(), os.Remove(password))
}

// slim drops the database template0, a third of all files that Copy copies. It is there
// to make databases of another encoding or locale from: CREATE DATABASE takes template1.
func (s *Server) slim(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.URL().String())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "UPDATE pg_database SET datistemplate = false WHERE datname = 'template0'"); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "DROP DATABASE template0")
	return err
}

// output runs the command until it ends or the context does.
func output(ctx context.Context, cmd *exec.Cmd) ([]byte, error) {
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err := cmd.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return []byte(out.String()), err
}

// copyTo copies the data folder, while nothing changes it.
func (s *Server) copyTo(ctx context.Context, c *Server) (err error) {
	if s.running != nil {
		f, err := freeze(ctx, s.running.cmd.Process)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.thaw()) }()
	}
	return copyData(s.data(), c.data(), s.as)
}

// launch starts the postmaster and returns when it answers. On an error it is down.
func (s *Server) launch(ctx context.Context) error {
	log, err := os.OpenFile(s.log(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := s.command(s.programs.Postgres, "-D", s.data(), "-p", strconv.Itoa(s.port.number))
	// A file and not a pipe: the server can always write, and is waited for alone.
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &process{cmd, make(chan struct{})}
	go func() {
		_ = cmd.Wait() // what it returns is in cmd.ProcessState
		close(p.ended)
	}()
	s.running = p
	if err := s.wait(ctx); err != nil {
		return errors.Join(err, s.kill())
	}
	return nil
}

// wait returns when the server answers, or cannot any more.
func (s *Server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-s.running.ended:
			return s.failed("has ended before it answered")
		case <-ctx.Done():
			return s.failed("does not answer: " + context.Cause(ctx).Error())
		case <-again.C:
			if s.answers(ctx) {
				return nil
			}
		}
	}
}

// answers asks the server for a sign of life, as our user.
func (s *Server) answers(ctx context.Context) bool {
	conn, err := pgx.Connect(ctx, s.URL().String())
	if err != nil {
		return false
	}
	defer conn.Close(ctx)
	return conn.Ping(ctx) == nil
}

// failed is an error with the end of the server's log.
func (s *Server) failed(how string) error {
	select {
	case <-s.running.ended:
		how += fmt.Sprintf(" (%s)", s.running.cmd.ProcessState)
	default:
	}
	log, err := os.ReadFile(s.log())
	if err != nil {
		return fmt.Errorf("PostgreSQL %s, and its log cannot be read: %w", how, err)
	}
	return fmt.Errorf("PostgreSQL %s. The end of its log:\n%s", how, child.LastLines(log))
}
