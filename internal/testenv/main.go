// Command testenv brings up what the tests need, runs the command it is given
// with the addresses in its environment, and takes everything down again:
//
//	go run ./internal/testenv go test -race ./...
//
// That is
//   - a C compiler for the race detector and curl for the README's examples, installed
//     if the machine has none and lets us;
//   - a fresh temporary folder, on a real disk, in TMPDIR: every database and blob
//     folder of the tests is made below it, and nothing stays;
//   - two S3 servers on the loopback interface, of fixed versions, with their addresses
//     and keys in MAYFLY_TEST_MINIO and MAYFLY_TEST_VERSITYGW, each as
//     http://ACCESS:SECRET@127.0.0.1:PORT, and their versions in the variables with
//     _VERSION behind the name. Go builds them from source the first time and keeps
//     them in the user's cache folder.
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
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./internal/testenv COMMAND [ARGUMENT]...")
		os.Exit(2)
	}
	code, err := run(os.Args[1:], servers())
	if err != nil {
		fmt.Fprintln(os.Stderr, "testenv:", err)
	}
	os.Exit(code)
}

// run runs the command with the servers beside it and returns its exit code.
func run(args []string, servers []server) (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	if err := provide(ctx, tools()); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "mayfly-testenv-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	started, err := startAll(ctx, servers, dir)
	if err != nil {
		return 1, err
	}
	defer func() {
		// An interrupt typed at a terminal ends the servers too: that is not their failure.
		if lost := stopAll(started); lost != nil && ctx.Err() == nil {
			code, err = max(code, 1), errors.Join(err, lost)
		}
	}()

	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(withoutMayfly(os.Environ()), "TMPDIR="+dir)
	for _, r := range started {
		cmd.Env = append(cmd.Env, r.variable+"="+r.at.String(), r.variable+"_VERSION="+r.version)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	dieWithParent(cmd)

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
