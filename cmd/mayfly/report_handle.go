package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"mayfly/blobstore"
	"mayfly/internal/client"
	"mayfly/tickets"
)

// reportHandle is a variable and no flag: the arguments of a process are there for all to see.
const reportHandle = "MAYFLY_REPORT"

// handleFlags say where a report is, and what leads to it.
type handleFlags struct {
	Server   string `env:"MAYFLY_SERVER" default:"http://127.0.0.1:8484" placeholder:"URL" help:"The server (${default})."`
	Insecure bool   `help:"Talk plain http beyond this machine, where everybody on the way can read the handle."`
}

// Help is behind the flags of each command that takes a handle.
func (handleFlags) Help() string {
	return "The handle is what mayfly report printed, mfr_…. It comes from MAYFLY_REPORT, from the file that MAYFLY_REPORT_FILE names, " +
		"or with - from standard input; as an argument it stays in the shell's history."
}

// connect makes the client, and reads the handle.
func (f handleFlags) connect(ctx context.Context, t terminal, argument string) (*client.Client, tickets.Token, error) {
	text := argument
	switch argument {
	case "":
		if text = os.Getenv(reportHandle); text == "" {
			return nil, tickets.Token{}, usageError{fmt.Errorf("no report handle: give - to read it from standard input, or %s, or %[1]s_FILE with the file that holds it", reportHandle)}
		}
	case "-":
		var err error
		if text, err = readLine(ctx, t, "Report handle: "); err != nil {
			return nil, tickets.Token{}, fmt.Errorf("read the report handle: %w", err)
		}
	}
	handle, err := tickets.ParseToken(tickets.KindReport, strings.TrimSpace(text))
	if err != nil {
		return nil, tickets.Token{}, usageError{fmt.Errorf("the report handle is mistyped or cut off: %w", err)}
	}
	cl, err := connect(f.Server, f.Insecure)
	if err != nil {
		return nil, tickets.Token{}, err
	}
	cl.Retrying = progress{}.retrying(t)
	return cl, handle, nil
}

// maxLine in bytes of what is read from standard input.
const maxLine = 4 << 10

// readLine reads one line of standard input; a person is asked for it.
func readLine(ctx context.Context, t terminal, prompt string) (string, error) {
	if isTerminal(t.In) {
		fmt.Fprint(t.Err, prompt)
	}
	in := interruptible(ctx, t.In)
	defer in.Close()
	line, err := bufio.NewReader(io.LimitReader(in, maxLine)).ReadString('\n')
	if err == io.EOF {
		err = nil
	}
	return line, err
}

type reportStatusCmd struct {
	handleFlags `embed:""`
	Handle      string `arg:"" optional:"" help:"The report's handle; - reads it from standard input."`
	JSON        bool   `name:"json" help:"As JSON."`
}

// Run tells where a report stands.
func (c *reportStatusCmd) Run(ctx context.Context, t terminal) error {
	cl, handle, err := c.connect(ctx, t, c.Handle)
	if err != nil {
		return err
	}
	r, err := cl.FiledStatus(ctx, handle)
	if err != nil {
		return handleRefused(err)
	}
	if c.JSON {
		return printJSON(t, r)
	}
	return printReport(t.Out, r)
}

type reportWithdrawCmd struct {
	handleFlags `embed:""`
	Handle      string `arg:"" optional:"" help:"The report's handle; - reads it from standard input."`
}

// Run withdraws a report.
func (c *reportWithdrawCmd) Run(ctx context.Context, t terminal) error {
	cl, handle, err := c.connect(ctx, t, c.Handle)
	if err != nil {
		return err
	}
	if err := cl.Withdraw(ctx, handle); err != nil {
		return handleRefused(err)
	}
	fmt.Fprintf(t.Err, "Report %s is withdrawn: the moderators' copy, its key and your comment are deleted.\n", handle.ID())
	return nil
}

type reportMediaCmd struct {
	handleFlags `embed:""`
	File        string `arg:"" help:"The bytes as they were downloaded, still encrypted."`
	Handle      string `arg:"" optional:"" help:"The report's handle; - reads it from standard input."`
	JSON        bool   `name:"json" help:"As JSON."`
}

// Run brings the bytes of a report.
func (c *reportMediaCmd) Run(ctx context.Context, t terminal) error {
	cl, handle, err := c.connect(ctx, t, c.Handle)
	if err != nil {
		return err
	}
	r, err := cl.FiledStatus(ctx, handle)
	switch {
	case err != nil:
		return handleRefused(err)
	case r.State != "awaiting_media":
		return fmt.Errorf("report %s waits for no bytes: %s", r.ID, stateText(r))
	case r.Size == nil || r.SHA256 == nil:
		return fmt.Errorf("%w: it does not say which bytes the report waits for", client.ErrAnswer)
	}
	media, err := openMedia(ctx, c.File, *r.Size, *r.SHA256)
	if err != nil {
		return err
	}
	defer media.close()
	if r, err = media.bring(ctx, t, cl, handle); err != nil {
		return handleRefused(err)
	}
	if c.JSON {
		return printJSON(t, r)
	}
	fmt.Fprintf(t.Err, "The bytes are there. Report %s: %s.\n", r.ID, stateText(r))
	return nil
}

// bringing is a file that a report waits for.
type bringing struct {
	f    *os.File
	size int64
}

// openMedia makes sure, before it is sent, that a file is what was reported.
func openMedia(ctx context.Context, path string, size int64, sum blobstore.Digest) (*bringing, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b := &bringing{f, size}
	if err := b.check(ctx, sum); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

func (b *bringing) check(ctx context.Context, sum blobstore.Digest) error {
	info, err := b.f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is no regular file")
	case info.Size() != b.size:
		return fmt.Errorf("it has %d bytes, and what was reported has %d: it must be the bytes as they were downloaded, still encrypted", info.Size(), b.size)
	}
	in := interruptible(ctx, io.NewSectionReader(b.f, 0, b.size))
	defer in.Close()
	h := sha256.New()
	if _, err := io.Copy(h, in); err != nil {
		return err
	}
	if blobstore.Digest(h.Sum(nil)) != sum {
		return errors.New("it is not what was reported, by its SHA-256: it must be the bytes as they were downloaded, still encrypted")
	}
	return nil
}

func (b *bringing) close() { b.f.Close() }

func (b *bringing) bring(ctx context.Context, t terminal, cl *client.Client, handle tickets.Token) (client.Report, error) {
	bar := t.progress("bringing", b.size)
	defer bar.clear()
	cl.Retrying = bar.retrying(t)
	return cl.BringMedia(ctx, handle, client.Media{
		Size: b.size, Progress: bar.at,
		Open: func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(b.f, 0, b.size)), nil },
	})
}

// handleRefusals are the server's answers to a handle, as the reporter needs them.
var handleRefusals = map[string]string{
	"unknown_report":    "the server knows no report with this handle: it is another server's, or forgotten after its time",
	"on_hold":           "the evidence is on hold, and is kept for as long as that lasts: the report cannot be withdrawn now. Nothing was changed",
	"media_not_awaited": "the report waits for no bytes: it has them",
	"withdrawn":         "the report is withdrawn",
	"forgotten":         "it is too late to bring the bytes",
}

func handleRefused(err error) error {
	var problem *client.Problem
	if errors.As(err, &problem) && handleRefusals[problem.Code] != "" {
		return fmt.Errorf("%s (%w)", handleRefusals[problem.Code], err)
	}
	return err
}

// stateText is where a report stands, for a person.
func stateText(r client.Report) string {
	switch r.State {
	case "copying":
		return "the evidence is being copied"
	case "awaiting_media":
		return "the server had erased the bytes; the reporter may bring them (mayfly report media FILE)"
	case "open":
		return "waits for a moderator"
	case "claimed":
		return "a moderator is at it"
	case "dismissed", "upheld", "escalated":
		return "decided: " + r.State
	case "withdrawn":
		return "withdrawn by the reporter"
	case "lapsed":
		return "lapsed: no bytes ever came"
	}
	return oneLine(r.State)
}

// printReport shows all that is told of a report.
func printReport(to io.Writer, r client.Report) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, text)
		}
	}
	at := func(name string, at *time.Time) {
		if at != nil {
			line(name, at.UTC().Format(time.RFC3339))
		}
	}
	line("report", r.ID.String())
	line("state", oneLine(r.State)+" ("+stateText(r)+")")
	line("reason", oneLine(r.Reason))
	at("filed", &r.FiledAt)
	if r.Size != nil {
		line("size", fmt.Sprintf("%d (%s)", *r.Size, bytesText(*r.Size)))
	}
	if r.SHA256 != nil {
		line("sha256", r.SHA256.String())
	}
	at("bytes may be brought until", r.MediaUntil)
	if r.Hold == nil && r.OnHold {
		line("on hold", "yes")
	}
	at("evidence kept until", r.EvidenceExpiresAt)
	at("evidence erased", r.ErasedAt)
	at("withdrawn", r.WithdrawnAt)
	if r.ClaimedBy != nil {
		line("claimed by key", r.ClaimedBy.String())
	}
	at("claimed until", r.ClaimedUntil)
	if r.Blob != nil {
		line("blob", r.Blob.String())
	}
	at("uploaded", r.UploadedAt)
	if r.Stamp != nil {
		line("stamp", stampText(r.Stamp.Verdict))
	}
	line("key commitment", oneLine(r.KeyCommitment))
	line("context", oneLine(r.Context))
	if c := r.Consent; c != nil {
		line("consent", oneLine(fmt.Sprintf("to %s (%s), %s, to share %s", c.Statement, c.Locale,
			c.GrantedAt.UTC().Format(time.RFC3339), strings.Join(c.Shared, ", "))))
	}
	at("decided", r.DecidedAt)
	if r.DecidedBy != nil {
		line("decided by key", r.DecidedBy.String())
	}
	line("policy", oneLine(r.Policy))
	line("note", oneLine(r.Note))
	if r.ReopenedBy != nil {
		line("reopened by key", r.ReopenedBy.String())
	}
	at("reopened", r.ReopenedAt)
	if h := r.Hold; h != nil {
		line("hold", oneLine(h.Class+" until "+h.Until.UTC().Format(time.RFC3339)+", by key "+h.By.String()+": "+h.Reason))
		if h.FreeAskedBy != nil {
			line("asked to end it", "key "+h.FreeAskedBy.String()+"; a second moderator has to ask the same")
		}
	}
	if err := w.Flush(); err != nil || r.Comment == "" {
		return err
	}
	_, err := fmt.Fprintf(to, "comment:\n%s\n", indented(r.Comment))
	return err
}
