package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"mayfly/internal/testenv/child"
)

const (
	// startTime is how long a server may take until it answers: it needs a second, and
	// more on a machine that builds at the same time.
	startTime = time.Minute
	// stopTime is how long it may take to end by itself. What it holds is thrown away.
	stopTime = time.Second
)

// service is what runs beside the command.
type service interface {
	// programs are those that must be built before.
	programs() []program
	// start returns when the service answers. Its data is kept below dir. On an error
	// nothing of it is left running.
	start(ctx context.Context, dir string) (started, error)
}

// started is a service that runs.
type started interface {
	// environ is how the command finds it, as "NAME=value".
	environ() []string
	// stop ends it. That it had ended before is an error, for then the command has run
	// without it.
	stop() error
}

// server is a program that the tests speak S3 with.
type server struct {
	program
	// variable is how the command finds the server: as http://ACCESS:SECRET@127.0.0.1:PORT,
	// and its version in the variable with _VERSION behind it.
	variable string
	// command says how the program is started to serve on a URL and to keep its data in
	// the folders data and versions of dir. env is all of its environment that counts.
	command func(dir string, at *url.URL) (args, env []string)
}

func (s server) programs() []program { return []program{s.program} }

// running is a server that was started. One that has ended has closed ended, after err
// was set.
type running struct {
	server
	at    *url.URL
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
	err   error
}

// startAll builds and starts the services, in folders below dir, and returns when all of
// them answer. On an error none is left.
func startAll(ctx context.Context, services []service, dir string) ([]started, error) {
	var programs []program
	for _, s := range services {
		programs = append(programs, s.programs()...)
	}
	if err := build(ctx, programs); err != nil {
		return nil, err
	}
	all := make([]started, len(services))
	g, ctx := errgroup.WithContext(ctx)
	for i, s := range services {
		g.Go(func() (err error) {
			all[i], err = s.start(ctx, dir)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		all = slices.DeleteFunc(all, func(s started) bool { return s == nil })
		return nil, errors.Join(err, stopAll(all))
	}
	return all, nil
}

// stopAll stops the services, and says which of them had ended before.
func stopAll(all []started) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, s := range all {
		wg.Go(func() { errs[i] = s.stop() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// start starts the server and returns when it answers. A port that was free a moment
// ago can be taken by then, so a server that ends at once is given another one.
func (s server) start(ctx context.Context, dir string) (_ started, err error) {
	for range 3 {
		r, launched := s.launch(dir)
		if launched != nil {
			return nil, fmt.Errorf("missing: %s does not start: %w", s.name(), launched)
		}
		if err = r.wait(ctx); err == nil {
			return r, nil
		}
		select {
		case <-r.ended:
		default:
			return nil, errors.Join(err, r.stop())
		}
	}
	return nil, err
}

// launch starts the server on a free port, in a new folder below dir.
func (s server) launch(dir string) (*running, error) {
	bin, err := s.path()
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp(dir, s.name()+"-")
	if err != nil {
		return nil, err
	}
	for _, folder := range []string{"data", "versions"} {
		if err := os.Mkdir(filepath.Join(home, folder), 0o700); err != nil {
			return nil, err
		}
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	r := &running{
		server: s,
		at:     &url.URL{Scheme: "http", Host: address, User: url.UserPassword(rand.Text()[:20], rand.Text())},
		log:    filepath.Join(home, "log"),
		ended:  make(chan struct{}),
	}
	log, err := os.Create(r.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()

	args, env := s.command(home, r.at)
	r.cmd = exec.Command(bin, args...)
	// The caller's own environment may configure such a server, or a home folder hold
	// its certificates: neither is for the tests.
	r.cmd.Env = append(env, "HOME="+home, "TMPDIR="+home)
	r.cmd.Dir = home
	// A file and not a pipe: the server can always write, and is waited for alone.
	r.cmd.Stdout, r.cmd.Stderr = log, log
	child.DieWithParent(r.cmd)
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		r.err = r.cmd.Wait()
		close(r.ended)
	}()
	return r, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// wait returns when the server answers, or cannot any more.
func (r *running) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-r.ended:
			return r.failed("has ended before it answered")
		case <-ctx.Done():
			return r.failed("does not answer: " + context.Cause(ctx).Error())
		case <-again.C:
			if r.answers(ctx) {
				return nil
			}
		}
	}
}

// answers asks the server for its buckets. It must know our key: another program that
// took the port in between, perhaps the server of another testenv, does not.
func (r *running) answers(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, presign(http.MethodGet, r.at, time.Now()), nil)
	if err != nil {
		return false
	}
	// A connection that stays open is one that the server waits for when it stops.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

func (r *running) environ() []string {
	return []string{r.variable + "=" + r.at.String(), r.variable + "_VERSION=" + r.version}
}

// stop ends the server: SIGTERM, and SIGKILL if that does not do.
func (r *running) stop() error {
	select {
	case <-r.ended:
		return r.failed("has ended while it was needed")
	default:
	}
	_ = r.cmd.Process.Signal(syscall.SIGTERM) // if it ends right now, its exit code tells
	select {
	case <-r.ended:
		if r.cmd.ProcessState.ExitCode() > 0 {
			return r.failed("has ended while it was needed")
		}
	case <-time.After(stopTime):
		_ = r.cmd.Process.Kill()
		<-r.ended
	}
	return nil
}

// failed is an error with the end of the server's log.
func (r *running) failed(how string) error {
	select {
	case <-r.ended:
		how += fmt.Sprintf(" (%s)", r.cmd.ProcessState)
	default:
	}
	log, err := os.ReadFile(r.log)
	if err != nil {
		return fmt.Errorf("%s %s, and its log cannot be read: %w", r.program, how, err)
	}
	return fmt.Errorf("%s %s. The end of its log:\n%s", r.program, how, child.LastLines(log))
}
