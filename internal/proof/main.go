package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"
)

const about = `Proves that Mayfly serves a ticket once: real replicas over one database and one bucket, killed and crashed under load,
and porcupine over all that their clients saw.

  A minute, as CI does:    go run ./internal/testenv go run ./internal/proof
  All of it, 30 minutes:  go run ./internal/testenv go run ./internal/proof --full
  One shape:               go run ./internal/testenv go run ./internal/proof --tickets 1000 --openers 100
  A bug that it finds:     go run ./internal/testenv go run ./internal/proof --plant count-at-the-end

It prints a table, and exits with 1 if a ticket was served twice, or if porcupine says anything but Ok of one.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Stdout, os.Stderr, os.Args[1:]))
}

func run(ctx context.Context, out, progress io.Writer, args []string) int {
	var c command
	parser, err := kong.New(&c,
		kong.Name("proof"), kong.Description(about), kong.Writers(out, progress),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 120}),
	)
	if err != nil {
		fmt.Fprintln(progress, "proof:", err)
		return 1
	}
	if _, err := parser.Parse(args); err != nil {
		fmt.Fprintln(progress, "proof:", err, "\nsee --help")
		return 2
	}
	c.out, c.progress = out, progress
	if err := c.run(ctx); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(progress, "proof:", err)
		return 1
	}
	return 0
}

type command struct {
	Short   bool `xor:"shape" help:"Three small shapes; so it is if none is given."`
	Full    bool `xor:"shape" help:"10^5 × 10, 10^4 × 100 and 10^3 × 1000: a million opens each."`
	Tickets int  `xor:"shape" placeholder:"N" help:"One shape: so many tickets …"`
	Openers int  `default:"10" placeholder:"N" help:"… and so many who ask for each (${default})."`

	Replicas    int `default:"2" placeholder:"N" help:"Processes of Mayfly (${default})."`
	Connections int `default:"128" placeholder:"N" help:"Clients at a time (${default})."`
	Kills       int `default:"-1" placeholder:"N" help:"How often a replica is killed with kill -9 in each shape; by its size if not given."`
	Crashes     int `default:"-1" placeholder:"N" help:"How often the database is; only one that is started for the run."`

	Database string `default:"postgres" placeholder:"URL" help:"postgres or sqlite, which are started for the run, or the URL of one that is there (${default}). What is stored there stays."`
	Blobs    string `placeholder:"URL" help:"Where the bytes go, as for mayfly serve. What is stored there stays; of testenv's MinIO if not given."`
	Seed     uint64 `placeholder:"N" help:"Of all that is chosen at random; a new one if not given. The order in which things then happen is the machine's."`
	Plant    string `enum:",none,select-then-update,count-at-the-end,answer-before-commit" default:"" placeholder:"BUG" help:"Try a Mayfly with this bug: select-then-update, count-at-the-end, answer-before-commit; or none, to see that it is the bug that is found."`
	Pictures string `placeholder:"DIR" type:"existingdir" help:"Where porcupine's picture of an offending ticket goes; into the user's cache folder if not given."`

	out, progress io.Writer
}

// Validate implements kong.Validatable.
func (c *command) Validate() error {
	switch {
	case c.Tickets < 0 || c.Openers < 1 || c.Openers >= spy:
		return fmt.Errorf("--tickets, --openers: at least 1 each, and fewer than %d openers", spy)
	case c.Replicas < 1 || c.Replicas > 100:
		return errors.New("--replicas: from 1 to 100")
	case c.Connections < 1:
		return errors.New("--connections: at least 1")
	case c.Crashes > 0 && c.Database != ownPostgres:
		return errors.New("--crashes: only of a database that is started for the run, --database postgres")
	}
	return nil
}

// trials are the shapes, and how much happens in each.
func (c *command) trials() []trial {
	kills, crashes := 2, 1
	shapes := []shape{{200, 10}, {20, 100}, {4, 500}}
	switch {
	case c.Full:
		kills, crashes = 20, 3
		shapes = []shape{{100_000, 10}, {10_000, 100}, {1_000, 1000}}
	case c.Tickets > 0:
		shapes = []shape{{c.Tickets, c.Openers}}
	}
	if c.Database != ownPostgres {
		crashes = 0
	}
	if c.Kills >= 0 {
		kills = c.Kills
	}
	if c.Crashes >= 0 {
		crashes = c.Crashes
	}
	var all []trial
	for i, s := range shapes {
		all = append(all, trial{shape: s, seed: c.Seed + uint64(i), connections: c.Connections, kills: kills, crashes: crashes})
	}
	return all
}

func (c *command) run(ctx context.Context) (err error) {
	for c.Seed == 0 {
		c.Seed = rand.Uint64N(1 << 32)
	}
	dir, err := os.MkdirTemp("", "mayfly-proof-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if c.Pictures == "" {
		if c.Pictures, err = pictures(); err != nil {
			return err
		}
	}
	built, err := build(ctx, dir)
	if err != nil {
		return err
	}
	s, err := startSite(ctx, dir, siteConfig{
		replicas: c.Replicas, database: c.Database, blobs: c.Blobs, plant: c.Plant, programs: built,
	})
	if err != nil {
		return err
	}
	defer func() {
		if stopErr := s.stop(); ctx.Err() == nil {
			err = errors.Join(err, stopErr)
		}
	}()
	fmt.Fprintf(c.progress, "%d replicas over %s, %d clients, seed %d\n", c.Replicas, s.database.describe(), c.Connections, c.Seed)

	var all []*figures
	var failed []error
	for _, t := range c.trials() {
		fmt.Fprintf(c.progress, "%s: %d kills, %d crashes of the database …\n", t.shape, t.kills, t.crashes)
		f, err := s.prove(ctx, t)
		if err != nil {
			return fmt.Errorf("%s: %w", t.shape, err)
		}
		all = append(all, f)
		for _, err := range f.failures() {
			failed = append(failed, fmt.Errorf("%s: %w", t.shape, err))
		}
		if err := f.report(c.progress, c.Pictures); err != nil {
			return err
		}
		f.history = nil // the next shape needs the memory
	}
	if err := table(c.out, all); err != nil {
		return err
	}
	return errors.Join(failed...)
}

// pictures is a folder that outlives the run, unlike the temporary one of testenv.
func pictures() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("give --pictures: %w", err)
	}
	dir := filepath.Join(cache, "mayfly-proof")
	return dir, os.MkdirAll(dir, 0o700)
}
