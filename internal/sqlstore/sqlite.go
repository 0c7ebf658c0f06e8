package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
)

const (
	// busyTimeout is how long a statement waits for another process.
	busyTimeout = 10 * time.Second

	// Page caches in KiB. A reader starts with an empty one after each commit of
	// the writer, so that more would only be memory.
	writerCache = 4096
	readerCache = 512

	// checkpointPages is how long the log may get before it is copied into the
	// database: pages that change again and again until then are copied once.
	checkpointPages = 4000
)

// sqliteFile is a database in one file, with its -wal and -shm beside it.
type sqliteFile struct{ path string }

const sqliteScheme = "sqlite://"

// parseSQLite reads sqlite:///absolute/path or sqlite://relative/path. What
// follows the scheme is the path as it is, without escapes and options.
func parseSQLite(rawURL string) (sqliteFile, error) {
	path, ok := strings.CutPrefix(rawURL, sqliteScheme)
	switch {
	case !ok:
		return sqliteFile{}, fmt.Errorf("%w: it must begin with %s", ErrURL, sqliteScheme)
	case path == "" || strings.HasSuffix(path, "/"):
		return sqliteFile{}, fmt.Errorf("%w: it names no file: write %s/var/lib/mayfly/mayfly.db", ErrURL, sqliteScheme)
	case strings.ContainsAny(path, "?#\x00"):
		return sqliteFile{}, fmt.Errorf("%w: %s takes no options, only a path", ErrURL, sqliteScheme)
	case strings.HasPrefix(path, ":"):
		return sqliteFile{}, fmt.Errorf("%w: a database in memory keeps nothing: name a file", ErrURL)
	}
	// Absolute, so that it stays the same file if the working directory changes.
	path, err := filepath.Abs(path)
	return sqliteFile{path}, err
}

// exists reports whether the file is there.
func (f sqliteFile) exists() (bool, error) {
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !info.Mode().IsRegular():
		return false, fmt.Errorf("%w: %s is not a file", ErrURL, f.path)
	}
	return true, nil
}

// create makes the file and the directories above it, for this user only and
// durably: P1 would not hold in a directory that a power cut forgets. SQLite gives
// the files that it makes beside it the same mode.
func (f sqliteFile) create() error {
	if err := makeDir(filepath.Dir(f.path)); err != nil {
		return err
	}
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), syncDir(filepath.Dir(f.path)))
}

func makeDir(dir string) error {
	switch _, err := os.Stat(dir); {
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// pragmas hold for every connection. synchronous=FULL syncs the log at each commit
// (https://sqlite.org/pragma.html#pragma_synchronous), which P1 and P2 stand on;
// fullfsync makes that reach the platter on macOS; secure_delete overwrites what
// is deleted (P5, P8).
func pragmas(cacheKiB int) url.Values {
	return url.Values{
		"mode":          {"rw"}, // a file that vanished is not made again, empty
		"_busy_timeout": {fmt.Sprint(busyTimeout.Milliseconds())},
		"_foreign_keys": {"off"},
		"_error_rc":     {"1"}, // no stale text in errors of opening
		"_dqs":          {"0"}, // "no column" is an error, not a string
		"_pragma": {
			"synchronous(FULL)",
			"fullfsync(1)",
			"checkpoint_fullfsync(1)",
			"secure_delete(1)",
			fmt.Sprintf("cache_size(-%d)", cacheKiB),
		},
	}
}

func (f sqliteFile) dsn(options url.Values) string {
	return (&url.URL{Scheme: "file", Path: f.path, OmitHost: true, RawQuery: options.Encode()}).String()
}

func (f sqliteFile) openWriter() (*conn, error) {
	o := pragmas(writerCache)
	o.Set("_journal_mode", "WAL")
	o.Add("_pragma", fmt.Sprintf("wal_autocheckpoint(%d)", checkpointPages))
	// A log that once grew does not keep its size for ever.
	o.Add("_pragma", fmt.Sprintf("journal_size_limit(%d)", 4*checkpointPages*4096))
	return f.dial(o)
}

func (f sqliteFile) openReader() (*conn, error) {
	o := pragmas(readerCache)
	o.Set("_query_only", "1") // P7: what reads cannot write
	return f.dial(o)
}

// migrate implements location.
func (f sqliteFile) migrate(ctx context.Context) (from, to int64, err error) {
	if err := f.create(); err != nil {
		return 0, 0, fmt.Errorf("make the database: %w", err)
	}
	// The log is chosen before the first table: from then on it is in the file.
	c, err := f.openVerified()
	if err != nil {
		return 0, 0, err
	}
	defer c.close()
	return migrate(ctx, f)
}

// provider opens the database as goose wants it: through database/sql.
func (f sqliteFile) provider() (*goose.Provider, func() error, error) {
	o := pragmas(writerCache)
	o.Set("_txlock", "immediate")
	connector, err := sqlite.NewConnector(f.dsn(o))
	if err != nil {
		return nil, nil, err
	}
	return newProvider(goose.DialectSQLite3, sql.OpenDB(connector), "migrations/sqlite")
}

// dial connects. While one process turns a new file to its log, or the last one
// empties it, SQLite refuses others at once, whatever time limit they have set: they
// try again.
func (f sqliteFile) dial(options url.Values) (*conn, error) {
	c, err := backoff.Retry(context.Background(), func() (*conn, error) {
		c, err := f.connect(options)
		if err != nil && !errors.Is(err, ErrBusy) {
			err = backoff.Permanent(err)
		}
		return c, err
	}, backoff.WithBackOff(backoff.NewConstantBackOff(5*time.Millisecond)), backoff.WithMaxElapsedTime(busyTimeout))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.path, err)
	}
	return c, nil
}

func (f sqliteFile) connect(options url.Values) (*conn, error) {
	connector, err := sqlite.NewConnector(f.dsn(options))
	if err != nil {
		return nil, err
	}
	db, err := connector.Connect(context.Background())
	if err != nil {
		return nil, classify(err)
	}
	return newSQLiteConn(db), nil
}

// openVerified is openWriter, and then a look at what became of the settings: SQLite
// passes over a pragma that it cannot follow, and says nothing.
func (f sqliteFile) openVerified() (*conn, error) {
	c, err := f.openWriter()
	if err != nil {
		return nil, err
	}
	for _, want := range []struct{ pragma, value, mend string }{
		{"journal_mode", "wal", "put it on a local disk: a network file system cannot hold the log's shared memory"},
		{"synchronous", "2", "commits would not reach the disk"},
		{"secure_delete", "1", "deleted rows would stay readable in the file"},
	} {
		var got string
		found, err := c.first("PRAGMA "+want.pragma, nil, func(r *row) { got = fmt.Sprint(r.value()) })
		if err == nil && (!found || got != want.value) {
			err = fmt.Errorf("%w: %s of %s is %q, not %q: %s", ErrWeak, want.pragma, f.path, got, want.value, want.mend)
		}
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}
