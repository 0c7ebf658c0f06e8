package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"

	"mayfly/blobstore"
	"mayfly/internal/client"
)

type openCmd struct {
	Link     linkArg `arg:"" help:"Link from mayfly send, in 'quotes'; - reads it from standard input, which keeps it out of the shell's history."`
	Output   string  `short:"o" placeholder:"FILE" help:"Where to: a file, a folder, or - for standard output. If not set a file here, named as the sender named it."`
	Force    bool    `help:"Replace the file if it exists."`
	Insecure bool    `help:"Talk plain http beyond this machine, where everybody on the way can read the ticket."`
	JSON     bool    `name:"json" help:"As JSON."`
}

// Help is behind the flags of mayfly open --help.
func (*openCmd) Help() string {
	return "A link opens once. What could go wrong here is checked before the ticket is spent; after that a broken " +
		"connection is resumed, for as long as this command runs. The file gets its name, which is printed, only when it is " +
		"complete and verified. With -o - the bytes come as they arrive, each 64 KiB authenticated, and whether they were all " +
		"only the exit status tells. What cannot be decrypted is kept as it came, in FILE.age."
}

// Run opens a link.
func (c *openCmd) Run(ctx context.Context, t terminal) error {
	if c.JSON && c.Output == "-" {
		return usageError{errors.New("--json and -o - both want standard output")}
	}
	l, err := c.link(ctx, t)
	if err != nil {
		return usageError{err}
	}
	cl, err := connect(l.server, c.Insecure)
	if err != nil {
		return err
	}
	return c.open(ctx, t, cl, l)
}

func (c *openCmd) link(ctx context.Context, t terminal) (link, error) {
	if c.Link != "-" {
		return parseLink(string(c.Link))
	}
	if isTerminal(t.In) {
		fmt.Fprint(t.Err, "Link: ")
	}
	in := interruptible(ctx, t.In)
	defer in.Close()
	line, err := bufio.NewReader(io.LimitReader(in, maxLink+1)).ReadString('\n')
	if err != nil && err != io.EOF {
		return link{}, fmt.Errorf("read the link: %w", err)
	}
	return parseLink(line)
}

// opened is the result, as scripts see it.
type opened struct {
	Path         string           `json:"path"`
	Size         int64            `json:"size"`
	SHA256       blobstore.Digest `json:"sha256"` // of the encrypted bytes
	Acknowledged bool             `json:"acknowledged"`
}

// open first does all that may fail for reasons on this side, then spends the
// ticket, downloads, and acknowledges what is safe here.
func (c *openCmd) open(ctx context.Context, t terminal, cl *client.Client, l link) error {
	g, err := c.target(t, l)
	if err != nil {
		return fmt.Errorf("nothing was opened: %w", err)
	}
	defer g.discard()
	seen, err := cl.Ticket(ctx, l.ticket)
	if err != nil {
		return notOpened(ctx, err)
	}
	if err := g.room(seen.Size); err != nil {
		return fmt.Errorf("nothing was opened: %w", err)
	}

	bar := t.progress("opening", seen.Size)
	defer bar.clear()
	cl.Retrying = bar.retrying(t)
	// P2: from here on the ticket is spent.
	d, err := cl.Open(ctx, l.ticket)
	if err != nil {
		return notOpened(ctx, err)
	}
	defer d.Close()
	if err := g.decrypt(bar.reading(d), l.key); err != nil {
		if err := c.rescue(ctx, t, g, d, l, err); err != nil {
			return err
		}
	}
	bar.clear()
	path, err := g.publish()
	if err != nil {
		return fmt.Errorf("the ticket is spent, and the file could not be saved: %w", err)
	}
	return c.print(t, opened{Path: path, Size: g.written, SHA256: d.SHA256, Acknowledged: acknowledge(ctx, t, d)})
}

// target is where the plaintext goes.
func (c *openCmd) target(t terminal, l link) (*target, error) {
	path := c.Output
	switch info, err := os.Stat(path); {
	case path == "-":
		return &target{out: t.Out}, nil
	case path == "":
		path = safeName(l.name)
	case err == nil && info.IsDir():
		path = filepath.Join(path, safeName(l.name))
	}
	return newTarget(path, c.Force)
}

// decrypt writes the plaintext of src behind what is written already: after a
// failure it can be called again with the same media. age authenticates each
// chunk, and d ends well only with the right digest.
func (g *target) decrypt(src io.Reader, key age.Identity) error {
	plain, err := age.Decrypt(src, key)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, plain, g.written); err != nil {
		return err
	}
	_, err = io.Copy(g, plain)
	return err
}

// rescue is for a failure after the ticket was spent. If the bytes could not be
// decrypted they are fetched once more, as the claim key allows, and kept as they
// are: they may have been damaged on the way, and then they decrypt now. If not,
// the ciphertext is saved, because nobody can fetch it again.
func (c *openCmd) rescue(ctx context.Context, t terminal, g *target, d *client.Download, l link, failure error) error {
	if writing := (writeError{}); errors.As(failure, &writing) {
		return fmt.Errorf("the ticket is spent, and the bytes could not be written: %w", failure)
	}
	if err := d.Err(); err != nil && err != io.EOF && !errors.Is(err, client.ErrDigest) {
		return lost(ctx, err)
	}
	fmt.Fprintln(t.Err, "The bytes cannot be decrypted: fetching them again, to keep them.")
	path := g.path
	if path == "" {
		path = safeName(l.name)
	}
	sealed, err := newPart(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("the ticket is spent, and what came could neither be decrypted nor kept: %w; %w", undecipherable(failure), err)
	}
	defer sealed.discard()
	d.Rewind()
	if _, err := io.Copy(sealed, d); err != nil {
		return lost(ctx, err)
	}
	if _, err := sealed.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if failure = g.decrypt(sealed, l.key); failure == nil {
		return nil
	}
	if writing := (writeError{}); errors.As(failure, &writing) {
		return fmt.Errorf("the bytes could not be written: %w", failure)
	}
	kept, err := sealed.publish(path+".age", false)
	if err != nil {
		return fmt.Errorf("the ticket is spent, and what came could neither be decrypted nor kept: %w; %w", undecipherable(failure), err)
	}
	acknowledge(ctx, t, d)
	return fmt.Errorf("%w. The ticket is spent; the encrypted bytes are kept in %s, and whoever has the right key can read them with age", undecipherable(failure), kept)
}

func undecipherable(err error) error {
	if wrong := new(age.NoIdentityMatchError); errors.As(err, &wrong) {
		return errors.New("the key in the link is not the one that this was encrypted for")
	}
	return fmt.Errorf("what was uploaded is not whole, or not encrypted with age (%w)", err)
}

// acknowledge tells the server that the bytes are safe here. If it cannot be told
// nothing is lost: its resume window closes by itself.
func acknowledge(ctx context.Context, t terminal, d *client.Download) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := d.Acknowledge(ctx); err != nil {
		fmt.Fprintln(t.Err, "All is here, but the sender's server could not be told:", err)
		return false
	}
	return true
}

func (c *openCmd) print(t terminal, result opened) error {
	if c.JSON {
		return printJSON(t, result)
	}
	if result.Path == "" {
		return nil
	}
	fmt.Fprintf(t.Err, "Opened %s. The link is used up.\n", bytesText(result.Size))
	_, err := fmt.Fprintln(t.Out, result.Path)
	return err
}

// refusals are the server's reasons not to open, as the recipient needs them.
var refusals = map[string]string{
	"opened":          "this link was opened before, and a link opens once. If it was not you, tell the sender",
	"expired":         "this link has expired, and what it led to is deleted",
	"revoked":         "the sender has taken this link back",
	"erased":          "what this link led to is deleted",
	"not_uploaded":    "the sender's upload is not complete yet. The link stays good: try again later",
	"unknown_ticket":  "the server does not know this link: it is another server's, or what it led to was deleted long ago",
	"malformed_token": "the ticket in the link is mistyped or cut off",
	"rate_limited":    "the server has too much to do. The link stays good: try again later",
	"unavailable":     "the server cannot open it now. The link stays good: try again later",
}

// notOpened says why nothing was opened, and what became of the link.
func notOpened(ctx context.Context, err error) error {
	var uncertain *client.UncertainError
	var problem *client.Problem
	switch {
	case errors.As(err, &uncertain):
		return fmt.Errorf("the server was asked to open, and never said whether it did: %w. "+
			"Try the link once more; if it did, the sender has to send again", uncertain.Err)
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted before anything was opened, the link stays good: %w", err)
	case errors.As(err, &problem) && refusals[problem.Code] != "":
		return fmt.Errorf("%s (%w)", refusals[problem.Code], err)
	}
	return fmt.Errorf("nothing was opened, the link stays good: %w", err)
}

// lost says that the ticket is spent and the media did not come.
func lost(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: the ticket is spent, and what could have fetched the rest ends with this command. "+
			"The sender has to send again (%w)", err)
	case errors.Is(err, client.ErrDigest):
		return fmt.Errorf("twice %w. The ticket is spent, nothing is saved: the sender has to send again", err)
	}
	return fmt.Errorf("the ticket is spent, and the rest did not come: %w. The sender has to send again", err)
}
