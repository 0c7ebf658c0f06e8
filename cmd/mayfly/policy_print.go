package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"mayfly/internal/client"
)

// differences are the fields that a change is about: "unopened_ttl 14d → 7d".
func differences(c client.PolicyChange) string {
	if c.Before == nil {
		return "new, unopened_ttl " + secondsText(c.After.UnopenedTTL)
	}
	var all []string
	add := func(field, before, after string) {
		if before != after {
			all = append(all, fmt.Sprintf("%s %s → %s", field, before, after))
		}
	}
	b, a := *c.Before, c.After
	add("opens", opensText(b), opensText(a))
	add("unopened_ttl", secondsText(b.UnopenedTTL), secondsText(a.UnopenedTTL))
	add("report_window", secondsText(b.ReportWindow), secondsText(a.ReportWindow))
	add("resume_window", secondsText(b.ResumeWindow), secondsText(a.ResumeWindow))
	add("upload_ttl", secondsText(b.UploadTTL), secondsText(a.UploadTTL))
	add("tombstone_ttl", secondsText(b.TombstoneTTL), secondsText(a.TombstoneTTL))
	add("max_size", bytesText(b.MaxSize), bytesText(a.MaxSize))
	add("origin", b.Origin, a.Origin)
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, ", ")
}

func amountText(a client.PolicyAmount) string {
	if a.Blobs == 0 {
		return "none"
	}
	return fmt.Sprintf("%d (%s)", a.Blobs, bytesText(a.Bytes))
}

// printChange tells of one change that was made.
func printChange(t terminal, answer client.PolicyAnswer) error {
	c := answer.Change
	if c.ID == nil {
		_, err := fmt.Fprintf(t.Out, "%s is like that already.\n", c.Name)
		return err
	}
	stored := "stored blobs stay as they were"
	if c.ApplyToStored {
		stored = "stored blobs that go earlier: " + amountText(c.PolicyAmount)
	}
	_, err := fmt.Fprintf(t.Out, "%s: %s. New blobs follow; %s.\n", c.Name, differences(c), stored)
	return err
}

// printPlan tells of changes that would be made, and what becomes due by each.
func printPlan(t terminal, answers []client.PolicyAnswer) error {
	w := tabwriter.NewWriter(t.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "POLICY\tCHANGE\tDUE NOW\tIN 24 HOURS\tIN 7 DAYS\tLATER\tOLDEST\tNEWEST")
	for _, answer := range answers {
		p := answer.Plan
		var day, week client.PolicyAmount
		for i, d := range p.Days {
			part := &week
			if i == 0 {
				part = &day
			}
			part.Blobs, part.Bytes = part.Blobs+d.Blobs, part.Bytes+d.Bytes
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", answer.Change.Name, differences(answer.Change),
			amountText(p.DueNow), amountText(day), amountText(week), amountText(p.Later), momentText(p.OldestDueAt), momentText(p.NewestDueAt))
	}
	return w.Flush()
}

func momentText(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return at.UTC().Format(time.RFC3339)
}
