package main

import (
	"context"
	"fmt"

	"mayfly/internal/sqlstore"
)

type migrateCmd struct {
	databaseFlag `embed:""`
}

func (c *migrateCmd) Run(ctx context.Context, t terminal) error {
	if err := checkDatabase(c.Database); err != nil {
		return usageError{fmt.Errorf("--database: %w", err)}
	}
	from, to, err := sqlstore.Migrate(ctx, sqlstore.Config{URL: c.Database})
	if err != nil {
		return err
	}
	if from == to {
		_, err = fmt.Fprintf(t.Out, "The schema is at version %d already.\n", to)
		return err
	}
	_, err = fmt.Fprintf(t.Out, "The schema went from version %d to %d.\n", from, to)
	return err
}
