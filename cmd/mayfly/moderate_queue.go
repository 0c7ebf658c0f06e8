package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"mayfly/internal/client"
)

type moderateNextCmd struct {
	moderatorFlags `embed:""`
	JSON           bool `name:"json" help:"As JSON."`
}

// Help is behind the flags of mayfly moderate next --help.
func (*moderateNextCmd) Help() string {
	return "Printed is the id of the report, alone; what is told of it goes to stderr. If nothing waits, nothing is printed, and the exit status is 0."
}

// Run claims the oldest open report.
func (c *moderateNextCmd) Run(ctx context.Context, t terminal) error {
	cl, err := c.connect(t)
	if err != nil {
		return err
	}
	r, found, err := next(ctx, cl)
	switch {
	case err != nil:
		return notModerated(err)
	case !found:
		fmt.Fprintln(t.Err, "Nothing waits.")
		return nil
	case c.JSON:
		return printJSON(t, r)
	}
	if err := printReport(t.Err, r); err != nil {
		return err
	}
	_, err = fmt.Fprintln(t.Out, r.ID)
	return err
}

// passedOver are the refusals of a report that is for somebody else: others were faster,
// or it was decided by this moderator before it was reopened.
var passedOver = []string{"claimed", "not_open", "same_person", "unknown_report"}

func next(ctx context.Context, cl *client.Client) (r client.Report, found bool, err error) {
	err = eachPage(ctx, cl, client.ReportQuery{State: "open"}, func(page []client.Report) (bool, error) {
		for _, open := range page {
			claimed, err := cl.ClaimReport(ctx, open.ID)
			var problem *client.Problem
			if errors.As(err, &problem) && slices.Contains(passedOver, problem.Code) {
				continue
			}
			r, found = claimed, err == nil
			return false, err
		}
		return true, nil
	})
	return r, found, err
}

type moderateClaimCmd struct {
	moderatorFlags `embed:""`
	ID             string `arg:"" name:"id" help:"The report's id, from mayfly moderate list."`
	JSON           bool   `name:"json" help:"As JSON."`
}

// Run claims a report.
func (c *moderateClaimCmd) Run(ctx context.Context, t terminal) error {
	return c.act(t, c.ID, c.JSON, func(cl *client.Client, id uuid.UUID) (client.Report, error) {
		return cl.ClaimReport(ctx, id)
	})
}

type moderateReleaseCmd struct {
	moderatorFlags `embed:""`
	ID             string `arg:"" name:"id" help:"The report's id."`
}

// Run releases a report.
func (c *moderateReleaseCmd) Run(ctx context.Context, t terminal) error {
	id, err := reportID(c.ID)
	if err != nil {
		return err
	}
	cl, err := c.connect(t)
	if err != nil {
		return err
	}
	if err := cl.ReleaseReport(ctx, id); err != nil {
		return notModerated(err)
	}
	fmt.Fprintf(t.Err, "Report %s is anybody's again.\n", id)
	return nil
}

type moderateDecideCmd struct {
	moderatorFlags `embed:""`
	ID             string `arg:"" name:"id" help:"The report's id."`
	Outcome        string `required:"" enum:"dismissed,upheld,escalated" placeholder:"OUTCOME" help:"dismissed: the evidence is deleted after some days. upheld: kept for the time of an appeal. escalated: on a legal hold of more than a year."`
	Policy         string `placeholder:"REF" help:"The rule or law that it refers to, as terms:4.2 or law:…"`
	Note           string `placeholder:"TEXT" help:"Why. No names of persons belong here."`
	JSON           bool   `name:"json" help:"As JSON."`
}

// Run decides a report.
func (c *moderateDecideCmd) Run(ctx context.Context, t terminal) error {
	return c.act(t, c.ID, c.JSON, func(cl *client.Client, id uuid.UUID) (client.Report, error) {
		return cl.DecideReport(ctx, id, client.Decision{Outcome: c.Outcome, Policy: c.Policy, Note: c.Note})
	})
}

type moderateReopenCmd struct {
	moderatorFlags `embed:""`
	ID             string `arg:"" name:"id" help:"The report's id."`
	JSON           bool   `name:"json" help:"As JSON."`
}

// Run reopens a report.
func (c *moderateReopenCmd) Run(ctx context.Context, t terminal) error {
	return c.act(t, c.ID, c.JSON, func(cl *client.Client, id uuid.UUID) (client.Report, error) {
		return cl.ReopenReport(ctx, id)
	})
}

type moderateHoldCmd struct {
	moderatorFlags `embed:""`
	ID             string `arg:"" name:"id" help:"The report's id."`
	Class          string `required:"" enum:"legal,review" placeholder:"CLASS" help:"legal: the law requires it, for 365 days at least. review: you want to look again."`
	Reason         string `required:"" placeholder:"TEXT" help:"Why, as 'CyberTipline report 1234'. No names of persons belong here."`
	Until          string `required:"" placeholder:"WHEN" help:"How long: days from now, as 400d; the end of a day in UTC, as 2027-12-01; or a time, as 2027-12-01T12:00:00Z."`
	JSON           bool   `name:"json" help:"As JSON."`
}

// Help is behind the flags of mayfly moderate hold --help.
func (*moderateHoldCmd) Help() string {
	return "Until then no deadline, no decision and no withdrawal deletes the evidence. A hold can be made longer, never shorter; " +
		"it takes two moderators to end it (mayfly moderate free)."
}

// Run puts evidence on hold.
func (c *moderateHoldCmd) Run(ctx context.Context, t terminal) error {
	until, err := parseUntil(c.Until, time.Now())
	if err != nil {
		return usageError{fmt.Errorf("--until: %w", err)}
	}
	return c.act(t, c.ID, c.JSON, func(cl *client.Client, id uuid.UUID) (client.Report, error) {
		return cl.HoldReport(ctx, id, client.NewHold{Class: c.Class, Reason: c.Reason, Until: until})
	})
}

// parseUntil reads until when something lasts. A day lasts to its end: where it is not
// said, evidence is rather kept.
func parseUntil(text string, now time.Time) (time.Time, error) {
	var s span
	if s.UnmarshalText([]byte(text)) == nil && s > 0 {
		return now.Add(time.Duration(s)).UTC().Truncate(time.Second), nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC(), nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	return time.Time{}, fmt.Errorf("%q is not like 400d, 2027-12-01 or 2027-12-01T12:00:00Z", text)
}

type moderateFreeCmd struct {
	moderatorFlags `embed:""`
	ID             string `arg:"" name:"id" help:"The report's id."`
}

// Help is behind the flags of mayfly moderate free --help.
func (*moderateFreeCmd) Help() string {
	return "The first moderator asks, and the hold stands. When another one does the same it ends, and the evidence is kept as long as " +
		"the decision says, which may be no longer at all."
}

// Run asks that a hold end.
func (c *moderateFreeCmd) Run(ctx context.Context, t terminal) error {
	id, err := reportID(c.ID)
	if err != nil {
		return err
	}
	cl, err := c.connect(t)
	if err != nil {
		return err
	}
	_, freed, err := cl.FreeReport(ctx, id)
	switch {
	case err != nil:
		return notModerated(err)
	case freed:
		fmt.Fprintf(t.Err, "The hold of report %s has ended.\n", id)
	default:
		fmt.Fprintf(t.Err, "You have asked that the hold of report %s end. It stands until another moderator does the same: mayfly moderate free %s\n", id, id)
	}
	return nil
}
