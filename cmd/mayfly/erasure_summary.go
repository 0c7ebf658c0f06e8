package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

type erasureSummaryCmd struct {
	databaseFlag `embed:""`
	erasureFlags `embed:""`
	Tenant       string `required:"" placeholder:"NAME" help:"Whose blobs."`
	Month        string `required:"" placeholder:"YYYY-MM" help:"Which month, in UTC. Of the one that is not over, what was erased until now."`
	Late         string `default:"1h" placeholder:"TIME" help:"From how long after its deadline on an erasure counts as late (${default})."`
	Output       string `short:"o" placeholder:"FILE" help:"Write it there in place of stdout."`
}

// Run prints a signed summary of a tenant's month, for mayfly verify-erasure.
func (c *erasureSummaryCmd) Run(ctx context.Context, t terminal) error {
	late, err := time.ParseDuration(c.Late)
	if err != nil || late < 0 {
		return usageError{fmt.Errorf("--late: %q is not a duration like 1h or 15m", c.Late)}
	}
	signer, err := c.signer(c.Database, false)
	switch {
	case err != nil:
		return err
	case signer == nil:
		return errors.New("there is no key to sign with: give --erasure-keys, as to mayfly serve")
	}
	db, err := existingDatabase(ctx, c.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	envelope, without, err := signer.Month(ctx, db, c.Tenant, c.Month, late, time.Now())
	if err != nil {
		return err
	}
	if without > 0 {
		fmt.Fprintf(t.Err, "%d blobs were erased in that month without a receipt, and are not in the summary.\n", without)
	}
	envelope = append(envelope, '\n')
	if c.Output != "" {
		return os.WriteFile(c.Output, envelope, 0o644)
	}
	_, err = t.Out.Write(envelope)
	return err
}
