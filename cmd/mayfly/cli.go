package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"

	"github.com/alecthomas/kong"
)

// Exit codes of every command.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// cli is the command line; the help is made from its comments' twins, the tags.
type cli struct {
	Serve    serveCmd    `cmd:"" help:"Run the service. With no flags: SQLite and a folder under mayfly-data, on loopback."`
	Demo     demoCmd     `cmd:"" help:"Show the whole life of a picture in a temporary folder: sent, opened once, refused, resumed, purged."`
	Send     sendCmd     `cmd:"" help:"Encrypt a file, upload it and print one link per recipient."`
	Open     openCmd     `cmd:"" help:"Open a link: download, verify and decrypt, once."`
	Report   reportCmd   `cmd:"" help:"Report what a link leads to, see where the report stands, withdraw it."`
	Key      keyCmd      `cmd:"" help:"Create, list and revoke API keys."`
	Policy   policyCmd   `cmd:"" help:"See, plan and change how long blobs are kept."`
	Moderate moderateCmd `cmd:"" help:"See, decide and hold what was reported; verify the audit log."`
	Purge    purgeCmd    `cmd:"" help:"Delete what is due, now."`
	Sweep    sweepCmd    `cmd:"" help:"Remove what has no owner: bytes without a row, unfinished uploads."`
	Doctor   doctorCmd   `cmd:"" help:"Look whether database and blob store can keep the promises, and say how to mend what cannot."`
	Migrate  migrateCmd  `cmd:"" help:"Bring the database's schema up to this version."`
	Version  versionCmd  `cmd:"" help:"Print the version."`

	ErasureSummary erasureSummaryCmd `cmd:"" help:"Sum up, signed, what was erased for a tenant in a month."`
	VerifyErasure  verifyErasureCmd  `cmd:"" help:"Verify receipts of erasure, offline."`
}

// Lines that begin with white space are printed as they are.
const about = `Mayfly keeps end-to-end encrypted media for messaging services, lets each recipient open it once, and deletes it.

  Try it:  mayfly demo
  Run it:  mayfly serve
  Use it:  mayfly send picture.jpg --to alice --to bob

Every flag has a variable: --database is MAYFLY_DATABASE. Exit status: 0 done, 1 failed, 2 wrong usage.`

// usageError is a mistake in how the command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// run parses the arguments and the environment and runs the command they name.
func run(ctx context.Context, t terminal, args []string) int {
	parser, err := newParser(ctx, &cli{}, t)
	if err != nil {
		fmt.Fprintln(t.Err, "mayfly:", err)
		return exitFailed
	}
	return report(t, parseAndRun(parser, t, args))
}

func newParser(ctx context.Context, c *cli, t terminal) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("mayfly"), kong.Description(about),
		kong.Writers(t.Out, t.Err),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(t),
		// --help ends the parse, not the process: defers run, tests live on.
		kong.Exit(func(code int) { panic(exited(code)) }),
	)
}

// exited carries kong's exit code out of the parse.
type exited int

func parseAndRun(parser *kong.Kong, t terminal, args []string) (err error) {
	defer func() {
		if code, ok := recover().(exited); ok && code != 0 {
			err = usageError{errors.New("see mayfly --help")}
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	if err := environment(parser.Model, os.Environ()); err != nil {
		return usageError{err}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return usageError{fmt.Errorf("%s\nsee mayfly %s--help", withoutSecrets(err.Error()), commandOf(parser.Model, args))}
	}
	return parsed.Run()
}

var secretText = regexp.MustCompile(`mf[a-z]_[0-9A-Za-z]+|AGE-SECRET-KEY-[0-9A-Za-z-]+`)

// withoutSecrets hides the tokens and keys in a text: kong quotes the arguments that
// it does not expect, and a link may be one of them (P8).
func withoutSecrets(text string) string { return secretText.ReplaceAllString(text, "[redacted]") }

// commandOf is the command that the arguments name, for a hint; empty if none.
func commandOf(model *kong.Application, args []string) string {
	for _, node := range model.Children {
		if node.Name == args[0] {
			return args[0] + " "
		}
	}
	return ""
}

// report tells a failure and chooses the exit code.
func report(t terminal, err error) int {
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(t.Err, "mayfly:", err)
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}
