package sqlstore

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"mayfly/internal/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Test(t, openSQLite)
}

func TestDurability(t *testing.T) {
	t.Parallel()
	storetest.Durability(t, openSQLite)
}

func openSQLite(t *testing.T) storetest.Database {
	path := filepath.Join(t.TempDir(), "mayfly.db")
	st := openAt(t, path)
	// A checkpoint while the files are copied would tear the copy, which no crash does.
	must(t, st, func(c *conn) error {
		return c.query(t.Context(), "PRAGMA wal_autocheckpoint = 0", nil, func(*row) {})
	})
	return storetest.Database{
		Store: st,
		Again: func(t *testing.T) storetest.Store { return openAt(t, path) },
		Crashed: func(t *testing.T) storetest.Store {
			return openAt(t, copyDatabase(t, path))
		},
	}
}

// embedded is the store's SQLite database, for tests that look into it.
func embedded(st *Store) *sqliteDatabase { return st.db.(*sqliteDatabase) }

func openAt(t testing.TB, path string) *Store {
	t.Helper()
	st, err := Open(t.Context(), Config{URL: "sqlite://" + path, Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		checkPlans(t, st)
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// copyDatabase copies the files as they lie on the disk, as a crash would leave
// them: the database, which only a checkpoint writes, and the log, to which commits
// are added. The shared memory is lost in a crash.
func copyDatabase(t testing.TB, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "crashed.db")
	for _, suffix := range []string{"", "-wal"} {
		if err := copyFile(to+suffix, path+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return to
}

func copyFile(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}
