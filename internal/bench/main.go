package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

const about = `Measures Mayfly beside a minimal net/http file server, in turn, on one disk, and prints a table for the README.

  All scenarios:    go run ./internal/bench
  One, quickly:     go run ./internal/bench --only small-open --runs 3
  On another disk:  go run ./internal/bench --dir /mnt/data
  With MinIO:       go run ./internal/testenv go run ./internal/bench --only s3-large,s3-small,s3-memory
  PostgreSQL:       go run ./internal/bench --only pg-spends,pg-open,pg-tables,pg-tables-open
  Purges:           go run ./internal/testenv go run ./internal/bench --only purge-rows,purge-objects,purge-opens

The figures are only worth something on a real disk (on tmpfs an fsync costs nothing) and on a machine that does
nothing else: runs that differ much are marked as noisy. All scenarios together take some minutes and up to 20 GiB,
which are given back. PostgreSQL is set up as its manual says for a machine of its own, and as durable as it comes.
A missed target is told and is no failure.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	// Who reads the progress may go away first, as head does: what was started is
	// stopped and removed all the same.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(run(ctx, os.Stdout, os.Stderr, os.Args[1:]))
}

func run(ctx context.Context, out, progress io.Writer, args []string) int {
	var c command
	parser, err := kong.New(&c,
		kong.Name("bench"), kong.Description(about+"\n\n"+scenarioHelp()),
		kong.Writers(out, progress),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 120}),
	)
	if err != nil {
		fmt.Fprintln(progress, "bench:", err)
		return 1
	}
	if _, err := parser.Parse(args); err != nil {
		fmt.Fprintln(progress, "bench:", err, "\nsee --help")
		return 2
	}
	if err := c.run(ctx, terminal{out, progress}); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(progress, "bench:", err)
		return 1
	}
	return 0
}

// terminal is where the command writes: results to out, what is told meanwhile
// to progress.
type terminal struct{ out, progress io.Writer }

type command struct {
	Runs   int      `default:"5" help:"Runs of each side, beside the warm-up (${default})."`
	Only   []string `placeholder:"NAME" help:"Only these scenarios."`
	Dir    string   `placeholder:"DIR" type:"existingdir" help:"Where the servers keep their bytes, on a real disk; the temporary folder if not given."`
	JSON   bool     `name:"json" help:"Print JSON, with every run, in place of the table."`
	Quick  bool     `help:"A tenth of the work, to see that everything runs. The figures mean little."`
	Mayfly string   `placeholder:"FILE" type:"existingfile" help:"Measure this binary in place of one built from the checkout."`

	purgeFlags `embed:""`

	// The bench starts itself as the plain server, and as the one without tickets.
	ServePlain      string `hidden:"" placeholder:"DIR"`
	ServeTicketless string `hidden:"" placeholder:"FILE"`
}

// Validate implements kong.Validatable.
func (c *command) Validate() error {
	if c.Runs < 1 {
		return errors.New("--runs: at least 1")
	}
	_, err := chosen(c.Only, os.Getenv)
	return errors.Join(err, c.check())
}

func (c *command) run(ctx context.Context, t terminal) error {
	if c.ServePlain != "" {
		return servePlain(ctx, c.ServePlain, t.out)
	}
	if c.ServeTicketless != "" {
		return serveTicketless(ctx, c.ServeTicketless, t)
	}
	if c.PurgePass {
		return servePass(ctx, os.Stdin, t.out)
	}
	return c.measure(ctx, t)
}

func (c *command) measure(ctx context.Context, t terminal) (err error) {
	scenarios, err := chosen(c.Only, os.Getenv)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.Dir, "mayfly-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	b := &bench{runs: c.Runs, quick: c.Quick, dir: dir, binary: c.Mayfly, progress: t.progress, purge: c.purgeFlags}
	if err := b.build(ctx); err != nil {
		return err
	}
	r := report{Machine: describeMachine(dir), Runs: c.Runs, Quick: c.Quick, progress: t.progress}
	b.say("%s", r.Machine)
	if r.Machine.InMemory() {
		b.say("warning: %s is %s, where an fsync costs nothing: choose a real disk with --dir", dir, r.Machine.Filesystem)
	}
	for _, s := range scenarios {
		b.say("\n%s: %s", s.name, s.about)
		if err := s.run(ctx, b, &r); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	b.say("")
	if c.JSON {
		e := json.NewEncoder(t.out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	return r.write(t.out)
}
