package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// migrations are forward-only: a step back would have to invent what a step
// forward removed. Each dialect has a folder, with the same numbers in each.
//
//go:embed migrations
var migrations embed.FS

// Migrate brings the schema of the database to the one that this program knows,
// and makes the database if there is none. It says from which version to which it
// went. Several processes may do so at once; each step is one transaction.
func Migrate(ctx context.Context, cfg Config) (from, to int64, err error) {
	f, err := parseSQLite(cfg.URL)
	if err != nil {
		return 0, 0, err
	}
	if err := f.create(); err != nil {
		return 0, 0, fmt.Errorf("make the database: %w", err)
	}
	// The log is chosen before the first table: from then on it is in the file.
	c, err := f.openVerified()
	if err != nil {
		return 0, 0, err
	}
	defer c.close()
	return f.migrate(ctx)
}

func (f sqliteFile) migrate(ctx context.Context) (from, to int64, err error) {
	p, done, err := f.provider()
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, done()) }()

	from, to, err = p.GetVersions(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("read the schema's version: %w", classify(err))
	}
	if from > to {
		return from, to, schemaNew(from, to)
	}
	for current := from; current < to; {
		_, upErr := p.Up(ctx)
		// Another process may have taken the same step a moment before: then ours
		// failed, and what counts is how far the schema has come.
		reached, _, err := p.GetVersions(ctx)
		switch {
		case err != nil:
			return from, from, fmt.Errorf("migrate the schema: %w", classify(errors.Join(upErr, err)))
		case upErr != nil && reached == current:
			return from, reached, fmt.Errorf("migrate the schema from version %d to %d: %w", current, to, classify(upErr))
		}
		current = reached
	}
	return from, to, nil
}

// versions of the schema: as it is, and as this program needs it.
func (f sqliteFile) versions(ctx context.Context) (current, latest int64, err error) {
	p, done, err := f.provider()
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, done()) }()
	current, latest, err = p.GetVersions(ctx)
	return current, latest, classify(err)
}

func (f sqliteFile) provider() (*goose.Provider, func() error, error) {
	connector, err := f.forMigrations()
	if err != nil {
		return nil, nil, err
	}
	steps, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return nil, nil, err
	}
	db := sql.OpenDB(connector)
	p, err := goose.NewProvider(goose.DialectSQLite3, db, steps,
		goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return p, db.Close, nil
}

func schemaNew(current, latest int64) error {
	return fmt.Errorf("%w: version %d, and this program knows %d: run the mayfly that migrated it, or a later one", ErrSchemaNew, current, latest)
}

func schemaOld(current, latest int64) error {
	return fmt.Errorf("%w: version %d, not %d: run mayfly migrate, or start mayfly serve, which does the same", ErrSchemaOld, current, latest)
}
