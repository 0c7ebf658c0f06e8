package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestParseSQLite(t *testing.T) {
	t.Parallel()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ url, path string }{
		{"sqlite:///var/lib/mayfly.db", "/var/lib/mayfly.db"},
		{"sqlite://mayfly-data/mayfly.db", filepath.Join(wd, "mayfly-data/mayfly.db")},
		{"sqlite://mayfly.db", filepath.Join(wd, "mayfly.db")},
		{"sqlite:///with space/and%20percent.db", "/with space/and%20percent.db"},
	} {
		if f, err := parseSQLite(tc.url); err != nil || f.path != tc.path {
			t.Errorf("%s: %q, %v", tc.url, f.path, err)
		}
	}
	for _, bad := range []string{
		"", "mayfly.db", "sqlite:", "sqlite:mayfly.db", "sqlite://", "sqlite:///dir/", "sqlite://:memory:",
		"sqlite:///a.db?mode=memory", "sqlite:///a.db#x", "postgres://localhost/mayfly",
	} {
		if f, err := parseSQLite(bad); !errors.Is(err, ErrURL) {
			t.Errorf("%q: %q, %v", bad, f.path, err)
		}
	}
}

// TestOddPath: what a URL would take for something else is a part of the path.
func TestOddPath(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a b%20c&d=e+f", "ü.db")
	if err := openAt(t, path).Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
}

// TestModes: directories and files are for their owner only.
func TestModes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	openAt(t, filepath.Join(dir, "mayfly.db"))
	for path, want := range map[string]os.FileMode{
		filepath.Dir(dir): 0o700, dir: 0o700, dir + "/mayfly.db": 0o600, dir + "/mayfly.db-wal": 0o600, dir + "/mayfly.db-shm": 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s: %v, want %v", path, info.Mode().Perm(), want)
		}
	}
}

// TestSettings looks at each connection itself.
func TestSettings(t *testing.T) {
	t.Parallel()
	st := openAt(t, filepath.Join(t.TempDir(), "mayfly.db"))
	want := map[string]string{"journal_mode": "wal", "synchronous": "2", "secure_delete": "1", "busy_timeout": "10000", "cache_size": "-512", "query_only": "1"}
	look := func(c *conn) error {
		for pragma, value := range want {
			_, err := c.first("PRAGMA "+pragma, nil, func(r *row) {
				if got := fmt.Sprint(r.value()); got != value {
					t.Errorf("%s is %s, want %s", pragma, got, value)
				}
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	for _, pool := range []chan *conn{embedded(st).readers.quick, embedded(st).readers.long} {
		for range cap(pool) { // each in turn: the pool is a queue
			if err := with(t.Context(), pool, look); err != nil {
				t.Fatal(err)
			}
		}
	}
	want["query_only"], want["cache_size"], want["wal_autocheckpoint"] = "0", "-4096", "4000"
	must(t, st, look)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		prepare func(t *testing.T, path string)
		want    error
		says    string
	}{
		"nothing there":  {func(*testing.T, string) {}, ErrMissing, "mayfly migrate"},
		"not a database": {writeGarbage, ErrCorrupt, ""},
		"a directory":    {func(t *testing.T, path string) { os.Mkdir(path, 0o700) }, ErrURL, "not a file"},
		"empty file":     {func(t *testing.T, path string) { os.WriteFile(path, nil, 0o600) }, ErrSchemaOld, "mayfly migrate"},
		"newer schema":   {migrateFurther, ErrSchemaNew, "version 999"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "mayfly.db")
			tc.prepare(t, path)
			_, err := Open(t.Context(), Config{URL: "sqlite://" + path})
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
		})
	}
	t.Run("newer schema, to be migrated", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "mayfly.db")
		migrateFurther(t, path)
		if _, err := Open(t.Context(), Config{URL: "sqlite://" + path, Migrate: true}); !errors.Is(err, ErrSchemaNew) {
			t.Fatalf("%v, want %v", err, ErrSchemaNew)
		}
	})
}

func writeGarbage(t *testing.T, path string) {
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// migrateFurther leaves a database as a later program would.
func migrateFurther(t *testing.T, path string) {
	st, err := Open(t.Context(), Config{URL: "sqlite://" + path, Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	must(t, st, func(c *conn) error {
		_, err := c.exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`)
		return err
	})
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	cfg := Config{URL: "sqlite://" + filepath.Join(t.TempDir(), "mayfly.db")}
	from, to, err := Migrate(t.Context(), cfg)
	if err != nil || from != 0 || to < 1 {
		t.Fatalf("from %d to %d, %v", from, to, err)
	}
	again, still, err := Migrate(t.Context(), cfg)
	if err != nil || again != to || still != to {
		t.Fatalf("the second time from %d to %d, %v", again, still, err)
	}
	st, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if current, latest, err := st.Version(t.Context()); err != nil || current != to || latest != to {
		t.Fatalf("version %d of %d, %v", current, latest, err)
	}
}

// TestFirstStart: many processes may be the first.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sub", "mayfly.db")
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			st, err := Open(context.Background(), Config{URL: "sqlite://" + path, Migrate: true})
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(st.Ping(context.Background()), st.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
