// Command mayfly is the one binary: the server, its maintenance and the client.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// SIGTERM and a first interrupt drain; a second one kills, as stop restores the
	// default as soon as the context has ended.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, terminal{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args[1:]))
}

// terminal is where a command reads and writes. Results go to Out, so that they
// can be piped; what is told to a person goes to Err.
type terminal struct {
	In       io.Reader
	Out, Err io.Writer
}
