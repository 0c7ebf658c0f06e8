package main

import (
	"context"
	"errors"
	"fmt"

	"mayfly/expiry"
)

type sweepCmd struct {
	storeFlags `embed:""`
	DryRun     bool `help:"Only tell what a sweep would remove."`
	Force      bool `help:"Remove even if it is so much that the sweep would stop itself. Check --database and --blobs first: a sweep with the wrong one finds only orphans."`
	JSON       bool `name:"json" help:"As JSON."`
}

func (c *sweepCmd) Run(ctx context.Context, t terminal) error {
	db, blobs, closeStores, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer closeStores()
	s, err := newSweep(ctx, &expiry.Policies{Store: db}, db, blobs)
	if err != nil {
		return err
	}
	s.DryRun, s.Force = c.DryRun, c.Force
	r, err := s.Run(ctx)
	if printErr := c.print(t, r); err == nil {
		err = printErr
	}
	switch {
	case errors.Is(err, expiry.ErrBrake):
		return fmt.Errorf("%w; look at it with --dry-run, and if it is right, --force", err)
	case errors.Is(err, expiry.ErrStopped):
		return fmt.Errorf("%w (mayfly purge --resume lets it go on)", err)
	case err != nil:
		return err
	case r.Missing > 0:
		return fmt.Errorf("the bytes of %d stored blobs are missing; see above", r.Missing)
	case r.Failed > 0:
		return fmt.Errorf("%d could not be removed or checked; see above", r.Failed)
	}
	return nil
}

// swept is a pass as scripts see it.
type swept struct {
	Listed    int64 `json:"listed"`
	Orphans   int64 `json:"orphans"`
	Stale     int64 `json:"stale_uploads"`
	Missing   int64 `json:"missing"`
	Deleted   int64 `json:"deleted"`
	Bytes     int64 `json:"deleted_bytes"`
	Discarded int64 `json:"discarded_uploads"`
	Failed    int64 `json:"failed"`
	More      bool  `json:"more"`
}

func (c *sweepCmd) print(t terminal, r expiry.SweepResult) error {
	printFailures(t, r.Failures)
	for _, m := range r.MissingBlobs {
		fmt.Fprintf(t.Err, "blob %s: %v\n", m.ID, m.Err)
	}
	if c.JSON {
		return printJSON(t, swept{r.Listed, r.Orphans, r.Stale, r.Missing, r.Deleted, r.DeletedBytes, r.Discarded, r.Failed, r.More})
	}
	_, err := fmt.Fprintf(t.Out, "Of %d blobs %d have no row (deleted %d, %s), %d unfinished uploads are stale (discarded %d), the bytes of %d rows are missing.\n",
		r.Listed, r.Orphans, r.Deleted, bytesText(r.DeletedBytes), r.Stale, r.Discarded, r.Missing)
	return err
}
