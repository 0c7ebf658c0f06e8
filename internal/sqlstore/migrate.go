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

// goosed is a database as goose sees it.
type goosed interface {
	// provider also says how to let go of it.
	provider() (p *goose.Provider, done func() error, err error)
}

func newProvider(dialect goose.Dialect, db *sql.DB, folder string) (*goose.Provider, func() error, error) {
	steps, err := fs.Sub(migrations, folder)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	p, err := goose.NewProvider(dialect, db, steps,
		goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return p, db.Close, nil
}

func migrate(ctx context.Context, db goosed) (from, to int64, err error) {
	p, done, err := db.provider()
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, done()) }()

	from, to, err = p.GetVersions(ctx)
	if err != nil {
		// Another process may make goose's own table at this moment.
		from, to, err = p.GetVersions(ctx)
	}
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
func versions(ctx context.Context, db goosed) (current, latest int64, err error) {
	p, done, err := db.provider()
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, done()) }()
	current, latest, err = p.GetVersions(ctx)
	return current, latest, classify(err)
}

func schemaNew(current, latest int64) error {
	return fmt.Errorf("%w: version %d, and this program knows %d: run the mayfly that migrated it, or a later one", ErrSchemaNew, current, latest)
}

func schemaOld(current, latest int64) error {
	return fmt.Errorf("%w: version %d, not %d: run mayfly migrate, or start mayfly serve, which does the same", ErrSchemaOld, current, latest)
}
