package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"mayfly/internal/client"
)

type moderateCmd struct {
	Keygen  moderateKeygenCmd  `cmd:"" help:"Make the key pair with which you read what is reported."`
	List    moderateListCmd    `cmd:"" help:"List reports, oldest first."`
	Show    moderateShowCmd    `cmd:"" help:"Show all that is told of a report."`
	Next    moderateNextCmd    `cmd:"" help:"Claim the oldest report that nobody has."`
	Claim   moderateClaimCmd   `cmd:"" help:"Claim a report for half an hour, or for another one."`
	Release moderateReleaseCmd `cmd:"" help:"Give a claimed report back to the queue."`
	Pull    moderatePullCmd    `cmd:"" help:"Download and decrypt what was reported."`
	Decide  moderateDecideCmd  `cmd:"" help:"Decide a report that you have claimed."`
	Reopen  moderateReopenCmd  `cmd:"" help:"Reopen a report that somebody else has decided."`
	Hold    moderateHoldCmd    `cmd:"" help:"Keep evidence, whatever else would delete it."`
	Free    moderateFreeCmd    `cmd:"" help:"End a hold: the first moderator asks, the second one ends it."`
	Audit   moderateAuditCmd   `cmd:"" help:"List the audit log of reports, or verify that nothing in it was changed."`
}

// Help is behind the flags of mayfly moderate --help.
func (*moderateCmd) Help() string {
	return `Each moderator has two keys of their own: an API key, which says to the server who acts, and an identity, which reads what is reported and which no server ever sees.

  Begin:  mayfly moderate keygen
          (umask 077; mayfly key create --role moderator --tenant default > mayfly-data/moderator.key)
  Work:   mayfly moderate next
          mayfly moderate pull ID -o evidence.jpg
          mayfly moderate decide ID --outcome upheld --policy terms:4.2 --note "A threat."

Each of these acts, each download among them, is in the audit log, with the key that did it.`
}

type moderateListCmd struct {
	moderatorFlags `embed:""`
	State          string `placeholder:"STATE" help:"Only those in this state: copying, awaiting_media, open, claimed, dismissed, upheld, escalated, withdrawn or lapsed."`
	Reason         string `placeholder:"REASON" help:"Only those for this reason."`
	Held           *bool  `negatable:"" help:"Only those whose evidence is on hold, or only those where it is not."`
	JSON           bool   `name:"json" help:"As JSON."`
}

// reportStates are those that a report can be in (openapi.yaml).
var reportStates = []string{"copying", "awaiting_media", "open", "claimed", "dismissed", "upheld", "escalated", "withdrawn", "lapsed"}

// Run lists reports, page by page.
func (c *moderateListCmd) Run(ctx context.Context, t terminal) error {
	if c.State != "" && !slices.Contains(reportStates, c.State) {
		return usageError{fmt.Errorf("--state: %q is none of %s", c.State, strings.Join(reportStates, ", "))}
	}
	cl, err := c.connect(t)
	if err != nil {
		return err
	}
	all := []client.Report{}
	err = eachPage(ctx, cl, client.ReportQuery{State: c.State, Reason: c.Reason, Held: c.Held}, func(page []client.Report) (bool, error) {
		all = append(all, page...)
		return true, nil
	})
	if err != nil {
		return notModerated(err)
	}
	if c.JSON {
		return printJSON(t, all)
	}
	w := tabwriter.NewWriter(t.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "REPORT\tSTATE\tREASON\tFILED\tSIZE\tEVIDENCE UNTIL\tHOLD")
	for _, r := range all {
		size, hold := "-", "-"
		if r.Size != nil {
			size = bytesText(*r.Size)
		}
		if r.OnHold {
			hold = "yes"
		}
		if r.Hold != nil {
			hold = oneLine(r.Hold.Class)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, oneLine(r.State), oneLine(r.Reason), r.FiledAt.UTC().Format(time.RFC3339),
			size, momentText(r.EvidenceExpiresAt), hold)
	}
	return w.Flush()
}

// eachPage gives f page after page, as long as it wants more.
func eachPage(ctx context.Context, cl *client.Client, q client.ReportQuery, f func([]client.Report) (more bool, err error)) error {
	for {
		page, err := cl.Reports(ctx, q)
		if err != nil {
			return err
		}
		more, err := f(page.Reports)
		if err != nil || !more || page.Next == nil {
			return err
		}
		q.After = page.Next
	}
}

type moderateShowCmd struct {
	moderatorFlags `embed:""`
	ID             string `arg:"" name:"id" help:"The report's id, from mayfly moderate list."`
	JSON           bool   `name:"json" help:"As JSON."`
}

// Run shows a report.
func (c *moderateShowCmd) Run(ctx context.Context, t terminal) error {
	return c.act(t, c.ID, c.JSON, func(cl *client.Client, id uuid.UUID) (client.Report, error) {
		return cl.Report(ctx, id)
	})
}

// act does something with the report of an id, and shows what it is then.
func (f moderatorFlags) act(t terminal, id string, asJSON bool, do func(*client.Client, uuid.UUID) (client.Report, error)) error {
	report, err := reportID(id)
	if err != nil {
		return err
	}
	cl, err := f.connect(t)
	if err != nil {
		return err
	}
	r, err := do(cl, report)
	switch {
	case err != nil:
		return notModerated(err)
	case asJSON:
		return printJSON(t, r)
	}
	return printReport(t.Out, r)
}

// reportID reads an argument. It is not quoted if it could be a secret in the wrong place.
func reportID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil || id == uuid.Nil {
		return uuid.Nil, usageError{fmt.Errorf("%q is not a report's id; see mayfly moderate list", withoutSecrets(text))}
	}
	return id, nil
}

// moderationRefusals are the server's answers to a moderator, and what to do then.
var moderationRefusals = map[string]string{
	"unknown_report": "there is no such report here; see mayfly moderate list",
	"forbidden":      "this key may not do that: it takes one of the role moderator",
	"claimed":        "another moderator has the report",
	"not_claimed":    "you have not claimed the report, or the claim has run out: claim it first, with mayfly moderate next or mayfly moderate claim ID",
	"not_open":       "the report waits for no decision",
	"not_decided":    "the report is not decided, so there is nothing to reopen",
	"same_person":    "it takes another moderator than you",
	"no_evidence":    "there is no evidence yet: the bytes are being copied, or the reporter has to bring them",
	"on_hold":        "there is a hold that lasts longer, or is a legal one: a hold can only be made longer",
	"not_on_hold":    "there is no hold to end",
	"withdrawn":      "the reporter has withdrawn the report, and the evidence is deleted",
	"erased":         "the evidence is deleted",
}

// notModerated says what the server's refusal means.
func notModerated(err error) error {
	var problem *client.Problem
	var unreachable *client.UnreachableError
	switch {
	case errors.As(err, &problem) && moderationRefusals[problem.Code] != "":
		return fmt.Errorf("%s (%w)", moderationRefusals[problem.Code], err)
	case errors.As(err, &unreachable) && onLoopback(unreachable.Host):
		return fmt.Errorf("%w. Is mayfly serve running?", err)
	}
	return err
}
