package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"mayfly/expiry"
	"mayfly/internal/keys"
	"mayfly/tickets"
)

// maxBatchRows bounds the rows that one commit changes, and with it how long a
// write waits for those before it: a row takes some 15 µs.
const maxBatchRows = 1024

// longReaders are as many as a purge, a sweep and a sender's look at a blob with
// thousands of tickets need, to not wait for each other all the time.
const longReaders = 2

// Config says which database to open.
type Config struct {
	// URL is sqlite:///absolute/path/of/the.db or sqlite://relative/path.
	URL string
	// Migrate makes the database if there is none, and brings an older schema up
	// to date. Without it both are errors: ErrMissing, ErrSchemaOld.
	Migrate bool
}

// Store is the metadata store on one database. All methods may be called at the
// same time, also by several processes on the same database.
type Store struct {
	file    sqliteFile
	writer  *writer
	writes  *batcher[write]
	readers *readers

	closing  sync.Once
	closeErr error
}

var (
	_ tickets.Store = (*Store)(nil)
	_ expiry.Queue  = (*Store)(nil)
	_ keys.Store    = (*Store)(nil)
)

// Open opens the database, and refuses it unless its settings and its schema can
// keep the promises. ErrURL, ErrMissing, ErrSchemaOld, ErrSchemaNew, ErrWeak,
// ErrCorrupt and ErrBusy say what to mend; Close the store in the end.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	f, err := parseSQLite(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.Migrate {
		if _, _, err := Migrate(ctx, cfg); err != nil {
			return nil, err
		}
	}
	switch ok, err := f.exists(); {
	case err != nil:
		return nil, fmt.Errorf("open the database: %w", err)
	case !ok:
		return nil, fmt.Errorf("%w at %s: check --database, or run mayfly migrate to make one", ErrMissing, f.path)
	}
	c, err := f.openVerified()
	if err != nil {
		return nil, err
	}
	s := &Store{file: f, writer: &writer{open: f.openWriter, c: c}}
	if err := s.checkSchema(ctx); err != nil {
		return nil, errors.Join(err, c.close())
	}
	s.readers, err = newReaders(min(max(runtime.GOMAXPROCS(0), 2), 8), longReaders, f.openReader)
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	s.writes = newBatcher(s.writer.run, func(w write) int { return w.rows }, maxBatchRows)
	return s, nil
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
	return s.file.versions(ctx)
}

// Ping reads a row, or finds that there is none: the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, func(c *conn) error {
		_, err := c.first(`SELECT 1 FROM api_keys WHERE id = $1`, []any{make([]byte, 16)}, func(*row) {})
		return err
	})
}

// Close finishes the writes and reads under way and closes the database. Later
// calls of other methods fail with ErrClosed.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.writes.close()
		// The writer is the last: so SQLite empties the log, and removes it.
		s.closeErr = errors.Join(s.readers.close(), s.writer.close())
	})
	return s.closeErr
}

// write runs do in a transaction that it may share with others. Afterwards it is
// durable; what write.do and refusal say of do binds.
func (s *Store) write(ctx context.Context, rows int, do func(*conn) error) error {
	return s.writes.do(ctx, write{do: do, rows: rows})
}

// read runs do, which is quick, on a connection that only reads.
func (s *Store) read(ctx context.Context, do func(*conn) error) error {
	return with(ctx, s.readers.quick, do)
}

// readLong is read for what may take a while.
func (s *Store) readLong(ctx context.Context, do func(*conn) error) error {
	return with(ctx, s.readers.long, do)
}
