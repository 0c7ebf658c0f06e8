package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"mayfly/internal/client"
	"mayfly/internal/formats"
	"mayfly/reports/envelope"
)

type reportCmd struct {
	File     reportFileCmd     `cmd:"" default:"withargs" help:"Report what a link leads to. 'file' may be left out."`
	Status   reportStatusCmd   `cmd:"" help:"Tell where a report stands."`
	Withdraw reportWithdrawCmd `cmd:"" help:"Take the consent back: the moderators' copy is deleted."`
	Media    reportMediaCmd    `cmd:"" help:"Bring the encrypted bytes, if the server has erased its own."`
}

// Help is behind the flags of mayfly report --help.
func (*reportCmd) Help() string {
	return aboutReports + "\n\nmayfly report file --help tells the flags."
}

const aboutReports = `A report gives the moderators a copy of what you were sent, and the key to it, sealed so that they alone can read it: the server cannot. It takes your consent, and tells nobody who you are.

  See what you would consent to:  mayfly report LINK
  Report:                         mayfly report LINK --reason harassment --consent

Printed is the report's handle, mfr_…: keep it. It tells where the report stands, and withdraws it:

  MAYFLY_REPORT_FILE=handle mayfly report status
  MAYFLY_REPORT_FILE=handle mayfly report withdraw`

type reportFileCmd struct {
	Link     linkArg `arg:"" help:"Link from mayfly send, opened or not, in 'quotes'; - reads it from standard input, which keeps it out of the shell's history."`
	Reason   string  `placeholder:"REASON" help:"Why; without it the reasons are listed."`
	Comment  string  `placeholder:"TEXT" help:"For the moderators, at most 2000 characters."`
	Consent  bool    `help:"You have read the statement, and consent to it. Without this it is shown, and nothing is sent."`
	Locale   string  `placeholder:"TAG" help:"Language of the statement, as de or en; English if not set."`
	Media    string  `placeholder:"FILE" help:"The encrypted bytes, sent along if the server has erased its own."`
	Insecure bool    `help:"Talk plain http beyond this machine, where everybody on the way can read the ticket."`
	JSON     bool    `name:"json" help:"As JSON, the handle in it."`
}

// Help is behind the flags of mayfly report file --help.
func (*reportFileCmd) Help() string { return aboutReports }

// Run reports.
func (c *reportFileCmd) Run(ctx context.Context, t terminal) error {
	l, err := (&openCmd{Link: c.Link}).link(ctx, t)
	if err != nil {
		return usageError{err}
	}
	cl, err := connect(l.server, c.Insecure)
	if err != nil {
		return err
	}
	return c.file(ctx, t, cl, l)
}

// maxComment in characters (openapi.yaml).
const maxComment = 2000

// file checks all that can be wrong on this side, and only then sends anything of it.
func (c *reportFileCmd) file(ctx context.Context, t terminal, cl *client.Client, l link) error {
	cl.Retrying = progress{}.retrying(t)
	m, err := cl.Moderation(ctx)
	if err != nil {
		return notReported(ctx, err)
	}
	if len(m.Recipients) == 0 || len(m.Statements) == 0 {
		return fmt.Errorf("%s takes no reports: it has no moderators", l.server)
	}
	statement, err := c.statement(m.Statements)
	if err != nil {
		return err
	}
	if err := c.check(m, statement); err != nil {
		return usageError{err}
	}
	what, err := cl.Reportable(ctx, l.ticket)
	switch {
	case err != nil:
		return notReported(ctx, err)
	case what.SHA256 == nil:
		return errors.New("nothing was reported: what the link leads to is not uploaded yet")
	}
	var media *bringing
	if c.Media != "" {
		if media, err = openMedia(ctx, c.Media, what.Size, *what.SHA256); err != nil {
			return fmt.Errorf("nothing was reported: %w", err)
		}
		defer media.close()
	}
	sealed, err := sealReport(l, what, m.Recipients)
	if err != nil {
		return fmt.Errorf("nothing was reported: %w", err)
	}
	fmt.Fprintf(t.Err, "You consent to this (%s, %s):\n\n%s\n\n", statement.ID, statement.Locale, indented(statement.Text))
	filed, err := cl.File(ctx, client.NewReport{
		Ticket: l.ticket, Reason: c.Reason, Comment: c.Comment, Statement: statement.ID, Locale: statement.Locale, SealedKey: sealed,
	})
	if err != nil {
		return notReported(ctx, err)
	}
	if err := c.print(t, l, filed); err != nil {
		return fmt.Errorf("it is reported, as %s, and the handle could not be printed, so that nobody can withdraw it: %w", filed.ID, err)
	}
	if filed.State != "awaiting_media" || media == nil {
		return nil
	}
	if _, err := media.bring(ctx, t, cl, filed.Handle); err != nil {
		return fmt.Errorf("it is reported, and the bytes could not be brought: %w. Try again: mayfly report media %s", err, c.Media)
	}
	fmt.Fprintln(t.Err, "The bytes are there: the report waits for a moderator.")
	return nil
}

// statement is the text in the language that was asked for.
func (c *reportFileCmd) statement(all []client.Statement) (client.Statement, error) {
	locale := c.Locale
	if locale == "" {
		locale = "en"
	}
	language, _, _ := strings.Cut(locale, "-")
	at := slices.IndexFunc(all, func(s client.Statement) bool { return strings.EqualFold(s.Locale, locale) })
	if at < 0 {
		at = slices.IndexFunc(all, func(s client.Statement) bool { return strings.EqualFold(s.Locale, language) })
	}
	switch {
	case at < 0 && c.Locale != "":
		var offered []string
		for _, s := range all {
			offered = append(offered, oneLine(s.Locale))
		}
		return client.Statement{}, usageError{fmt.Errorf("--locale: there is no statement in %q, but in %s", c.Locale, strings.Join(offered, ", "))}
	case at < 0:
		at = 0
	}
	// It is shown word for word, and the server could be anybody's.
	if s := all[at]; strings.ContainsFunc(s.Text+s.ID+s.Locale, func(r rune) bool { return r != '\n' && unicode.Is(unicode.C, r) }) {
		return client.Statement{}, fmt.Errorf("%w: the statement of consent has control characters in it", client.ErrAnswer)
	}
	return all[at], nil
}

// check tells at once all that keeps this from being a report.
func (c *reportFileCmd) check(m client.Moderation, s client.Statement) error {
	var faults []error
	if !slices.Contains(m.Reasons, c.Reason) {
		reasons := make([]string, len(m.Reasons))
		for i, r := range m.Reasons {
			reasons[i] = oneLine(r)
		}
		text := "--reason is missing"
		if c.Reason != "" {
			text = fmt.Sprintf("--reason: %q is none", c.Reason)
		}
		faults = append(faults, fmt.Errorf("%s; the reasons are %s", text, strings.Join(reasons, ", ")))
	}
	switch n := utf8.RuneCountInString(c.Comment); {
	case !utf8.ValidString(c.Comment):
		faults = append(faults, errors.New("--comment is not UTF-8"))
	case n > maxComment:
		faults = append(faults, fmt.Errorf("--comment: %d characters are more than %d", n, maxComment))
	}
	if !c.Consent {
		faults = append(faults, fmt.Errorf("a report needs your consent to this (%s, %s):\n\n%s\n\nIf you consent, say so with --consent. Nothing was sent",
			s.ID, s.Locale, indented(s.Text)))
	}
	return errors.Join(faults...)
}

// maxSealedName in bytes: what an envelope takes.
const maxSealedName = 512

// sealReport seals the link's key to all moderators.
func sealReport(l link, what client.Reportable, recipients []string) (string, error) {
	to := make([]envelope.Recipient, len(recipients))
	for i, text := range recipients {
		var err error
		if to[i], err = envelope.ParseRecipient(text); err != nil {
			return "", fmt.Errorf("the server's recipient %d of %d: %w", i+1, len(recipients), err)
		}
	}
	key, err := json.Marshal(map[string]string{"identity": l.key.String()})
	if err != nil {
		return "", err
	}
	name := strings.ToValidUTF8(l.name, "")
	if len(name) > maxSealedName {
		name = strings.ToValidUTF8(name[:maxSealedName], "")
	}
	return envelope.Seal(envelope.Contents{
		Blob: what.Blob, SHA256: *what.SHA256, Size: what.Size, Format: formats.Age, Key: key, Name: name,
	}, to)
}

// filedReport is the result, as scripts see it.
type filedReport struct {
	ID         uuid.UUID  `json:"id"`
	State      string     `json:"state"`
	Handle     string     `json:"handle"`
	MediaUntil *time.Time `json:"media_until,omitempty"`
}

func (c *reportFileCmd) print(t terminal, l link, filed client.FiledReport) error {
	if c.JSON {
		return printJSON(t, filedReport{filed.ID, filed.State, filed.Handle.Reveal(), filed.MediaUntil})
	}
	if _, err := fmt.Fprintln(t.Out, filed.Handle.Reveal()); err != nil {
		return err
	}
	// The handle does not say where it is of use.
	where := " --server " + l.server
	fmt.Fprintf(t.Err, "Reported, as %s. Above is the report's handle, shown this once: keep it. It alone tells where the report stands "+
		"(mayfly report status%s -) and withdraws it (mayfly report withdraw%s -).\n", filed.ID, where, where)
	if filed.State == "awaiting_media" {
		until := ""
		if filed.MediaUntil != nil {
			until = " until " + filed.MediaUntil.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(t.Err, "The server has erased the bytes already. A moderator can see them only if you bring what you downloaded, "+
			"still encrypted,%s: mayfly report media%s FILE.\n", until, where)
	}
	return nil
}

// reportRefusals are the server's reasons not to take a report, as the reporter needs them.
var reportRefusals = map[string]string{
	"already_reported":  "this link was used for a report before, and makes one only. The handle of that report leads to it",
	"not_uploaded":      "what the link leads to is not uploaded yet",
	"not_reportable":    "this is a moderator's ticket for evidence, not a link that was sent",
	"moderation_off":    "this server takes no reports: it has no moderators",
	"unknown_ticket":    "the server does not know this link: it is another server's, or what it led to was deleted long ago",
	"unknown_recipient": "the moderators have changed in this moment: report again",
	"rate_limited":      "the server has too much to do: try again later",
	"unavailable":       "the server cannot take it now: try again later",
}

// notReported says why nothing was reported, or that nobody knows.
func notReported(ctx context.Context, err error) error {
	var unanswered *client.UnansweredReportError
	var problem *client.Problem
	switch {
	case errors.As(err, &unanswered):
		return fmt.Errorf("the server was asked to take the report, and never said whether it did: %w. "+
			"Report again; if it then says that there is a report already, that one's handle is lost, and the report stands", unanswered.Err)
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted before anything was reported: %w", err)
	case errors.As(err, &problem) && reportRefusals[problem.Code] != "":
		return fmt.Errorf("%s (%w)", reportRefusals[problem.Code], err)
	}
	return fmt.Errorf("nothing was reported: %w", err)
}

// oneLine makes a text of somebody else fit for a terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.C, r) || r == unicode.ReplacementChar || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return ' '
		}
		return r
	}, text)
}

// indented is a text of more than one line, set off from what is told about it.
func indented(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = "    " + oneLine(line)
	}
	return strings.Join(lines, "\n")
}
