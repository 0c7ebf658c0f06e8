package main

import (
	"context"
	"fmt"
	"time"

	"mayfly/internal/sqlstore"
)

type migrateCmd struct {
	databaseFlag `embed:""`
	Restored     bool `help:"After the database was brought back from a backup, or a failover lost commits, and before any mayfly serve: make void every ticket that is ready in it and every upload that is not finished, since they may have been used in the meantime. What was never opened is purged. Stop all replicas first."`
}

func (c *migrateCmd) Run(ctx context.Context, t terminal) error {
	if err := checkDatabase(c.Database); err != nil {
		return usageError{fmt.Errorf("--database: %w", err)}
	}
	cfg := sqlstore.Config{URL: c.Database}
	from, to, err := sqlstore.Migrate(ctx, cfg)
	if err != nil {
		return err
	}
	if from == to {
		_, err = fmt.Fprintf(t.Out, "The schema is at version %d already.\n", to)
	} else {
		_, err = fmt.Fprintf(t.Out, "The schema went from version %d to %d.\n", from, to)
	}
	if err != nil || !c.Restored {
		return err
	}
	blobs, err := sqlstore.Restored(ctx, cfg, time.Now())
	if err != nil {
		return fmt.Errorf("%w (no server opens the database until mayfly migrate --restored was run to its end)", err)
	}
	_, err = fmt.Fprintf(t.Out, `The tickets of %d blobs are void. Next:
  mayfly purge      erases what nobody can open any more; mayfly serve does so too, at its start.
  mayfly sweep      removes bytes that came after the backup, once they are two days old.
  mayfly key list   shows the API keys: one that was revoked after the backup is valid again. Revoke it again.
`, blobs)
	return err
}
