package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"mayfly/expiry"
)

type purgeCmd struct {
	storeFlags `embed:""`
	DryRun     bool `help:"Only tell what a purge would delete now."`
	JSON       bool `name:"json" help:"As JSON."`
}

func (c *purgeCmd) Run(ctx context.Context, t terminal) error {
	db, blobs, closeStores, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer closeStores()
	p := newPurge(db, blobs, nil)
	if c.DryRun {
		due, err := p.Preview(ctx)
		if err != nil {
			return err
		}
		return c.preview(t, due)
	}
	r, err := p.Run(ctx)
	if printErr := c.print(t, r); err == nil {
		err = printErr
	}
	if err == nil && r.Failed > 0 {
		err = fmt.Errorf("%d could not be deleted and are put off; see above", r.Failed)
	}
	return err
}

// duePreview is what is due for one reason, as scripts see it.
type duePreview struct {
	Reason      string    `json:"reason"`
	Blobs       int64     `json:"blobs"`
	Bytes       int64     `json:"bytes"`
	OldestDueAt time.Time `json:"oldest_due_at"`
}

func (c *purgeCmd) preview(t terminal, due []expiry.Preview) error {
	previews := make([]duePreview, len(due))
	for i, d := range due {
		previews[i] = duePreview{d.Reason, d.Blobs, d.Bytes, d.OldestDueAt.UTC()}
	}
	if c.JSON {
		return printJSON(t, previews)
	}
	if len(due) == 0 {
		_, err := fmt.Fprintln(t.Out, "Nothing is due.")
		return err
	}
	w := tabwriter.NewWriter(t.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "REASON\tBLOBS\tBYTES\tDUE SINCE")
	for _, d := range previews {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", d.Reason, d.Blobs, bytesText(d.Bytes), d.OldestDueAt.Format(time.RFC3339))
	}
	return w.Flush()
}

// purged is a pass as scripts see it.
type purged struct {
	Erased    int64            `json:"erased"`
	Reasons   map[string]int64 `json:"reasons"`
	Bytes     int64            `json:"bytes"`
	Failed    int64            `json:"failed"`
	Forgotten int64            `json:"tombstones_forgotten"`
}

func (c *purgeCmd) print(t terminal, r expiry.PurgeResult) error {
	printFailures(t, r.Failures)
	if c.JSON {
		return printJSON(t, purged{r.Erased, r.Reasons, r.Bytes, r.Failed, r.Forgotten})
	}
	_, err := fmt.Fprintf(t.Out, "Erased %d (%s), put off %d, forgot %d tombstones.\n", r.Erased, bytesText(r.Bytes), r.Failed, r.Forgotten)
	return err
}

func printFailures(t terminal, failures []expiry.Failure) {
	for _, f := range failures {
		fmt.Fprintf(t.Err, "blob %s: %v\n", f.ID, f.Err)
	}
}
