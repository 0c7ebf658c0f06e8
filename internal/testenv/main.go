// Command testenv brings up what the tests need, runs the command it is given
// with the addresses in its environment, and takes everything down again:
//
//	go run ./internal/testenv go test -race ./...
//
// Today that is a C compiler for the race detector and curl for the README's
// examples, installed if the machine has none and lets us, and a fresh temporary
// folder, on a real disk, in TMPDIR: every database and blob folder of the tests is
// made below it, and nothing stays.
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
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "testenv:", err)
	}
	os.Exit(code)
}

// run runs the command in the environment and returns its exit code.
func run(args []string) (code int, err error) {
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

	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(withoutMayfly(os.Environ()), "TMPDIR="+dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second

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
