package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"mayfly/expiry"
	"mayfly/internal/keys"
	"mayfly/tickets"
)

// maxBatchRows bounds the rows that one commit changes, and with it how long a
// write waits for those before it: a row takes some 15 µs.
const maxBatchRows = 1024

// Config says which database to open.
type Config struct {
	// URL is sqlite:///absolute/path/of/the.db, sqlite://relative/path or
	// postgres://user@host/database and what else pgx takes in a URL
	// (https://pkg.go.dev/github.com/jackc/pgx/v5/pgconn#ParseConfig).
	URL string
	// Migrate makes the database if there is none, and brings an older schema up
	// to date. Without it both are errors: ErrMissing, ErrSchemaOld. A database of
	// PostgreSQL is there already; what is made is what it holds.
	Migrate bool
}

// Store is the metadata store on one database. All methods may be called at the
// same time, also by several processes on the same database.
type Store struct {
	db     database
	audits chan struct{} // held by who is at the audit log

	closing  sync.Once
	closeErr error
}

var (
	_ tickets.Store = (*Store)(nil)
	_ expiry.Queue  = (*Store)(nil)
	_ keys.Store    = (*Store)(nil)
)

// database is what each kind of database does in its own way. The calls of hot are
// those of an open and an upload; all others are made of write and read.
type database interface {
	hot
	// write runs do in a transaction, which it may share with others; rows are how
	// many it touches, about. Afterwards it is durable. do may run more than once,
	// and sets all that it gives out on each run; what refusal says binds it.
	write(ctx context.Context, rows int, do func(*conn) error) error
	// read runs do, which is quick, on a connection that only reads.
	read(ctx context.Context, do func(*conn) error) error
	// readLong is read for what may take a while.
	readLong(ctx context.Context, do func(*conn) error) error
	// versions of the schema: as it is, and as this program needs it.
	versions(ctx context.Context) (current, latest int64, err error)
	// warnings are about settings that a promise may come to depend on.
	warnings() []string
	close() error
}

// location is a database that is not open yet.
type location interface {
	// migrate brings the schema up to date, and makes the database where it can.
	migrate(ctx context.Context) (from, to int64, err error)
	// open verifies the settings.
	open(ctx context.Context) (database, error)
}

// locate reads the URL. ErrURL.
func locate(url string) (location, error) {
	switch scheme, _, _ := strings.Cut(url, "://"); scheme {
	case "sqlite":
		return parseSQLite(url)
	case "postgres", "postgresql":
		return parsePostgres(url)
	}
	return nil, fmt.Errorf("%w: it must begin with sqlite:// or postgres://", ErrURL)
}

// CheckURL says what is wrong with the URL of a database. ErrURL.
func CheckURL(url string) error {
	_, err := locate(url)
	return err
}

// Open opens the database, and refuses it unless its settings and its schema can
// keep the promises. ErrURL, ErrMissing, ErrSchemaOld, ErrSchemaNew, ErrRestoring,
// ErrWeak, ErrCorrupt and ErrBusy say what to mend; Close the store in the end.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	l, err := locate(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.Migrate {
		if _, _, err := l.migrate(ctx); err != nil {
			return nil, err
		}
	}
	db, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, audits: make(chan struct{}, auditors)}
	err = s.checkSchema(ctx)
	if err == nil {
		err = s.checkRestored(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.close())
	}
	return s, nil
}

// Migrate brings the schema of the database to the one that this program knows,
// and makes the database if there is none and it is SQLite's. It says from which
// version to which it went. Several processes may do so at once; each step is one
// transaction.
func Migrate(ctx context.Context, cfg Config) (from, to int64, err error) {
	l, err := locate(cfg.URL)
	if err != nil {
		return 0, 0, err
	}
	return l.migrate(ctx)
}

func (s *Store) checkSchema(ctx context.Context) error {
	current, latest, err := s.Version(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("read the schema's version: %w", err)
	case current > latest:
		return schemaNew(current, latest)
	case current < latest:
		return schemaOld(current, latest)
	}
	return nil
}

// Version is the version of the schema, and the one that this program needs.
func (s *Store) Version(ctx context.Context) (current, latest int64, err error) {
	return s.db.versions(ctx)
}

// Warnings are sentences about the database's settings that an operator should
// read: nothing is broken, but a failover or the like may break it.
func (s *Store) Warnings() []string { return s.db.warnings() }

// Ping reads a row, or finds that there is none: the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.db.read(ctx, func(c *conn) error {
		_, err := c.first(`SELECT 1 FROM api_keys WHERE id = $1`, []any{make([]byte, 16)}, func(*row) {})
		return err
	})
}

// Close finishes the writes and reads under way and closes the database. Later
// calls of other methods fail with ErrClosed.
func (s *Store) Close() error {
	s.closing.Do(func() { s.closeErr = s.db.close() })
	return s.closeErr
}

func (s *Store) write(ctx context.Context, rows int, do func(*conn) error) error {
	return s.db.write(ctx, rows, do)
}

func (s *Store) read(ctx context.Context, do func(*conn) error) error {
	return s.db.read(ctx, do)
}

func (s *Store) readLong(ctx context.Context, do func(*conn) error) error {
	return s.db.readLong(ctx, do)
}
