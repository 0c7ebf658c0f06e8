package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

// longReaders are as many as a purge, a sweep and a sender's look at a blob with
// thousands of tickets need, to not wait for each other all the time.
const longReaders = 2

// sqliteDatabase is an open SQLite database: one connection writes, what arrives
// during a commit shares the next one, and some connections read beside it.
type sqliteDatabase struct {
	file    sqliteFile
	writer  *writer
	writes  *batcher[write]
	readers *readers
	lookups *batcher[*lookup]
}

func (f sqliteFile) open(context.Context) (database, error) {
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
	s := &sqliteDatabase{file: f, writer: &writer{open: f.openWriter, c: c}}
	s.readers, err = newReaders(min(max(runtime.GOMAXPROCS(0), 2), 8), longReaders, f.openReader)
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	s.writes = newBatcher(s.writer.run, func(w write) int { return w.rows }, maxBatchRows, 1)
	s.lookups = newBatcher(s.lookUp, func(*lookup) int { return 1 }, maxLookups, cap(s.readers.quick))
	s.lookups.crowd, s.lookups.gather = crowd, true
	return s, nil
}

func (s *sqliteDatabase) versions(ctx context.Context) (current, latest int64, err error) {
	return versions(ctx, s.file)
}

func (s *sqliteDatabase) warnings() []string { return nil }

func (s *sqliteDatabase) close() error {
	s.lookups.close()
	s.writes.close()
	// The writer is the last: so SQLite empties the log, and removes it.
	return errors.Join(s.readers.close(), s.writer.close())
}

func (s *sqliteDatabase) write(ctx context.Context, rows int, do func(*conn) error) error {
	return s.writes.do(ctx, write{do: do, rows: rows})
}

func (s *sqliteDatabase) read(ctx context.Context, do func(*conn) error) error {
	return with(ctx, s.readers.quick, do)
}

func (s *sqliteDatabase) readLong(ctx context.Context, do func(*conn) error) error {
	return with(ctx, s.readers.long, do)
}
