package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bench is what the scenarios share.
type bench struct {
	runs     int
	quick    bool
	dir      string // where everything is kept, removed in the end
	root     string // of the checkout
	binary   string // of mayfly
	progress io.Writer
	purge    purgeFlags
}

// say tells what goes on.
func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.progress, format+"\n", args...) }

// scaled is n, or a tenth of it where only a look is wanted.
func (b *bench) scaled(n int) int {
	if b.quick {
		return max(n/10, 1)
	}
	return n
}

// build finds the checkout and builds mayfly, unless there is a binary already.
func (b *bench) build(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the checkout: %w", err)
	}
	b.root = strings.TrimSpace(string(out))
	if b.binary != "" {
		return nil
	}
	b.binary = filepath.Join(b.dir, "mayfly")
	return b.goTool(ctx, "build", "-o", b.binary, "./cmd/mayfly")
}

// goTool runs a go command in the checkout.
func (b *bench) goTool(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// settle writes what is still in memory to the disk, so that nobody pays for what
// the one before has left.
func settle(ctx context.Context) error { return exec.CommandContext(ctx, "sync").Run() }

// servers are Mayfly and the plain server on one fresh folder.
type servers struct {
	b   *bench
	dir string

	plainURL, mayflyURL string
	plain, mayfly       *process // plain is nil where MinIO is in its place
	ticketlessURL       string
	ticketless          *process // nil but in pg-open
	database, blobs     string   // Mayfly's flags
	env                 []string // what only Mayfly knows of the environment
	key                 string
	client              *http.Client
}

// withServers calls do with both servers on a fresh folder, and stops them. The
// folder goes in the end, with all others: where many files were just deleted, a
// file system may be slow to make new ones.
func (b *bench) withServers(ctx context.Context, do func(*servers) error) error {
	s, err := b.start(ctx)
	if err != nil {
		return err
	}
	return s.use(ctx, do)
}

// use calls do and stops the servers.
func (s *servers) use(ctx context.Context, do func(*servers) error) error {
	defer s.stop()
	err := do(s)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w\nthe last that mayfly logged:\n%s", err, s.mayfly.lastLines())
	}
	return err
}

// start starts both servers. Whoever starts them stops them.
func (b *bench) start(ctx context.Context) (*servers, error) {
	s, err := b.newServers()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.startPlain(ctx), s.startMayfly(ctx)); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// newServers makes a fresh folder for servers that are to be started.
func (b *bench) newServers() (*servers, error) {
	dir, err := os.MkdirTemp(b.dir, "servers-")
	if err != nil {
		return nil, err
	}
	return &servers{
		b: b, dir: dir,
		database: "sqlite://" + filepath.Join(dir, "data", "mayfly.db"),
		blobs:    "file://" + filepath.Join(dir, "blobs"),
		client:   newClient(),
	}, nil
}

// running are the servers that were started.
func (s *servers) running() []*process {
	return slices.DeleteFunc([]*process{s.plain, s.ticketless, s.mayfly}, func(p *process) bool { return p == nil })
}

// stop ends the servers.
func (s *servers) stop() {
	s.client.CloseIdleConnections()
	for _, p := range s.running() {
		p.stop()
	}
}

func (s *servers) startPlain(ctx context.Context) (err error) {
	if s.plain, s.plainURL, err = s.startSelf(ctx, "plain.log", "--serve-plain", s.dir); err != nil {
		return fmt.Errorf("start the plain server: %w", err)
	}
	return nil
}

// startSelf starts this program as another server, which prints its address.
func (s *servers) startSelf(ctx context.Context, log string, args ...string) (p *process, url string, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	address, w := io.Pipe()
	if p, err = startProcess(ctx, filepath.Join(s.dir, log), w, nil, self, args...); err != nil {
		return nil, "", err
	}
	go func() {
		<-p.done
		w.CloseWithError(p.failure())
	}()
	line, err := bufio.NewReader(address).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, "", err
	}
	return p, "http://" + strings.TrimSpace(line), nil
}

// noLimit is one that nothing reaches, and not none: counting is part of the work.
const noLimit = 1_000_000_000

func (s *servers) startMayfly(ctx context.Context) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	s.mayflyURL = "http://" + address
	s.mayfly, err = startProcess(ctx, filepath.Join(s.dir, "mayfly.log"), nil, s.env, s.b.binary, "serve",
		"--listen", address, "--admin", "off", "--database", s.database, "--blobs", s.blobs,
		"--rate-per-address", strconv.Itoa(noLimit), "--rate-per-token", strconv.Itoa(noLimit))
	if err != nil {
		return fmt.Errorf("start mayfly: %w", err)
	}
	if err := s.awaitReady(ctx); err != nil {
		return fmt.Errorf("start mayfly: %w", err)
	}
	if s.key != "" {
		return nil
	}
	key, err := os.ReadFile(filepath.Join(s.dir, "data", "backend.key"))
	s.key = strings.TrimSpace(string(key))
	return err
}

// restartMayfly puts a fresh process in the place of Mayfly's.
func (s *servers) restartMayfly(ctx context.Context) error {
	s.mayfly.stop()
	return s.startMayfly(ctx)
}

// awaitReady returns when Mayfly answers that it is ready.
func (s *servers) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := s.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.mayfly.done:
			return s.mayfly.failure()
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *servers) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.mayflyURL+"/readyz", nil)
	if err != nil {
		return err
	}
	return s.do(req, http.StatusOK, io.Discard)
}

// purge deletes what is due, as the operator's command does.
func (s *servers) purge(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, s.b.binary, "purge", "--database", s.database, "--blobs", s.blobs)
	cmd.Env = append(environment(), s.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mayfly purge: %w\n%s", err, out)
	}
	return nil
}

// environment is ours without what configures a Mayfly of the caller's own.
func environment() []string {
	var kept []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "MAYFLY_") {
			kept = append(kept, entry)
		}
	}
	return kept
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// process is a child that runs until it is stopped.
type process struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
	err    error         // how; valid then
	log    string
}

// startProcess starts a child whose stderr, and stdout if out is nil, go to a file.
// It has env besides our own environment.
func startProcess(ctx context.Context, log string, out io.Writer, env []string, name string, args ...string) (*process, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(environment(), env...), f, f
	if out != nil {
		cmd.Stdout = out
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	// It is never written to, and ends when this process does, however that ends.
	_, err = cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, errors.Join(err, f.Close())
	}
	p := &process{cmd: cmd, cancel: cancel, done: make(chan struct{}), log: log}
	go func() {
		p.err = cmd.Wait()
		f.Close()
		close(p.done)
	}()
	return p, nil
}

// failure is why a process has ended that should not have.
func (p *process) failure() error {
	return fmt.Errorf("it ended: %v\n%s", p.err, p.lastLines())
}

// lastLines are the end of the process's log.
func (p *process) lastLines() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(len(lines)-10, 0):], "\n")
}

func (p *process) stop() {
	p.cancel()
	<-p.done
}

func (p *process) pid() int { return p.cmd.Process.Pid }
