// Command testenv brings up what the tests need, runs the command it is given
// with the addresses in its environment, and takes everything down again:
//
//	go run ./internal/testenv go test -race ./...
//
// That is
//   - a C compiler for the race detector, curl for the README's examples and PostgreSQL,
//     installed if the machine has none and lets us;
//   - a fresh temporary folder, on a real disk, in TMPDIR: every database and blob
//     folder of the tests is made below it, and nothing stays. Others can pass through
//     it and not list it: PostgreSQL does not run as root;
//   - two S3 servers on the loopback interface, of fixed versions, with their addresses
//     and keys in MAYFLY_TEST_MINIO and MAYFLY_TEST_VERSITYGW, each as
//     http://ACCESS:SECRET@127.0.0.1:PORT, and their versions in the variables with
//     _VERSION behind the name. Go builds them from source the first time and keeps
//     them in the user's cache folder;
//   - a PostgreSQL server on the loopback interface, of the version that the machine has,
//     15 or newer, with its address, user and password in MAYFLY_TEST_POSTGRES, as
//     postgres://USER:PASSWORD@127.0.0.1:PORT/postgres?sslmode=disable, and its version
//     in MAYFLY_TEST_POSTGRES_VERSION. It is new and has nothing to do with one that the
//     machine runs. A test that crashes or copies one starts its own, by the package
//     internal/testenv/postgres.
//
// What cannot be had is an error: no test is skipped for it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"mayfly/internal/testenv/child"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./internal/testenv COMMAND [ARGUMENT]...")
		os.Exit(2)
	}
	code, err := run(os.Args[1:], services())
	if err != nil {
		fmt.Fprintln(os.Stderr, "testenv:", err)
	}
	os.Exit(code)
}

// services are all that run beside the command.
func services() []service {
	all := []service{database{}}
	for _, s := range servers() {
		all = append(all, s)
	}
	return all
}

// run runs the command with the services beside it and returns its exit code.
func run(args []string, services []service) (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	if err := provide(ctx, tools(ctx)); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "mayfly-testenv-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	if err := os.Chmod(dir, 0o711); err != nil { // the user of a database passes through
		return 1, err
	}

	all, err := startAll(ctx, services, dir)
	if err != nil {
		return 1, err
	}
	defer func() {
		// An interrupt typed at a terminal ends the servers too: that is not their failure.
		if lost := stopAll(all); lost != nil && ctx.Err() == nil {
			code, err = max(code, 1), errors.Join(err, lost)
		}
	}()

	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(withoutMayfly(os.Environ()), "TMPDIR="+dir)
	for _, s := range all {
		cmd.Env = append(cmd.Env, s.environ()...)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	child.DieWithParent(cmd)

	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil // the command has said what failed
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}
