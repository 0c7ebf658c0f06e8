package main

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"text/tabwriter"
	"time"

	"mayfly/expiry"
	"mayfly/internal/sqlstore"
)

// besideServer is how many blobs a purge from the command line claims at once: it may run
// beside a server on the same SQLite, and cannot see whether that one serves people.
const besideServer = 250

type purgeCmd struct {
	storeFlags   `embed:""`
	erasureFlags `embed:""`
	DryRun       bool   `help:"Only tell what a purge would delete now." xor:"what"`
	Force        bool   `help:"Delete even if it is so much of everything that the purge would stop itself. Look with --dry-run first." xor:"what"`
	Stop         string `placeholder:"REASON" help:"Stop all deletion, of purges and sweeps, in every replica, until --resume: while an accident is looked into. Tickets expire all the same." xor:"what"`
	Resume       bool   `help:"Let deletion go on after --stop." xor:"what"`
	JSON         bool   `name:"json" help:"As JSON."`
}

func (c *purgeCmd) Run(ctx context.Context, t terminal) error {
	db, blobs, closeStores, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer closeStores()
	switch {
	case c.Stop != "":
		return c.stop(ctx, t, db)
	case c.Resume:
		if err := db.EndStop(ctx); err != nil {
			return err
		}
		_, err := fmt.Fprintln(t.Out, "Deletion goes on.")
		return err
	}
	p := newPurge(db, blobs, nil)
	p.Batch, p.MaxBatches = besideServer, 1_000_000/besideServer
	due, err := p.Preview(ctx)
	if err != nil {
		return err
	}
	if c.DryRun {
		return c.preview(t, due)
	}
	if p.Receipts, err = c.signer(c.Database, false); err != nil {
		return err
	}
	bar := t.counting("purging", blobsOf(due))
	p.Force, p.Progress = c.Force, func(r expiry.PurgeResult) { bar.at(r.Erased + r.Failed) }
	r, err := p.Run(ctx)
	bar.clear()
	if printErr := c.print(t, r); err == nil {
		err = printErr
	}
	switch {
	case errors.Is(err, expiry.ErrBrake):
		return fmt.Errorf("%w (--dry-run, --force)", err)
	case errors.Is(err, expiry.ErrStopped):
		return fmt.Errorf("%w (mayfly purge --resume lets it go on)", err)
	case err == nil && r.Failed > 0:
		err = fmt.Errorf("%d could not be deleted and are put off; see above", r.Failed)
	}
	return err
}

func blobsOf(due []expiry.Preview) (n int64) {
	for _, d := range due {
		n += d.Blobs
	}
	return n
}

// stop is for the whole installation, whoever says it.
func (c *purgeCmd) stop(ctx context.Context, t terminal, db *sqlstore.Store) error {
	by := "somebody at the command line"
	if u, err := user.Current(); err == nil {
		by = u.Username + " at the command line"
	}
	if err := db.SetStop(ctx, expiry.Stop{Reason: c.Stop, By: by, Since: time.Now()}); err != nil {
		return err
	}
	_, err := fmt.Fprintln(t.Out, "Nothing is deleted from now on. Deletions under way end within a batch. mayfly purge --resume lets it go on.")
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
