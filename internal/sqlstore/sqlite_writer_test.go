package sqlstore

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/blobstore"
)

// newScratch opens a store with a scratch table.
func newScratch(t *testing.T) *Store {
	t.Helper()
	st := openAt(t, filepath.Join(t.TempDir(), "mayfly.db"))
	must(t, st, func(c *conn) error {
		_, err := c.exec(`CREATE TABLE scratch (n INTEGER NOT NULL PRIMARY KEY, t TEXT) STRICT`)
		return err
	})
	return st
}

func must(t *testing.T, st *Store, do func(*conn) error) {
	t.Helper()
	if err := st.write(t.Context(), 1, do); err != nil {
		t.Fatal(err)
	}
}

func insert(n int64) func(*conn) error {
	return func(c *conn) error {
		_, err := c.exec(`INSERT INTO scratch (n) VALUES ($1)`, n)
		return err
	}
}

// batch runs the writes as one batch, past the batcher, as its goroutine would.
func batch(t *testing.T, st *Store, all ...func(*conn) error) []error {
	t.Helper()
	embedded(st).writes.close()
	writes := make([]write, len(all))
	for i, do := range all {
		writes[i] = write{do: do}
	}
	return embedded(st).writer.run(writes)
}

func rows(t *testing.T, st *Store) (ns []int64) {
	t.Helper()
	err := st.read(t.Context(), func(c *conn) error {
		return c.query(t.Context(), `SELECT n FROM scratch ORDER BY n`, nil, func(r *row) { ns = append(ns, r.int()) })
	})
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// TestBadWritePoisonsNobody: whoever shares a transaction with a write that fails
// is as if that had never been.
func TestBadWritePoisonsNobody(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]func(*conn) error{
		"constraint": insert(1),
		"error":      func(c *conn) error { return errors.Join(insert(8)(c), errors.New("no")) },
		"panic": func(c *conn) error {
			insert(9)(c)
			panic("no")
		},
		"no SQL": func(c *conn) error {
			_, err := c.exec(`INSERT INTO nowhere VALUES (1)`)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newScratch(t)
			must(t, st, insert(1))
			errs := batch(t, st, insert(2), bad, insert(3))
			if errs[0] != nil || errs[2] != nil || errs[1] == nil {
				t.Fatalf("errors %v", errs)
			}
			if got := rows(t, st); len(got) != 3 || got[1] != 2 || got[2] != 3 {
				t.Fatalf("rows %v", got)
			}
		})
	}
}

// TestRefusalRunsOnce: a refusal is an answer, no failure: nobody runs twice for it.
func TestRefusalRunsOnce(t *testing.T) {
	t.Parallel()
	st := newScratch(t)
	no, runs := errors.New("no"), 0
	errs := batch(t, st, insert(1), func(*conn) error {
		runs++
		return refuse(no)
	}, insert(2))
	if errs[0] != nil || errs[1] != no || errs[2] != nil || runs != 1 {
		t.Fatalf("errors %v, after %d runs", errs, runs)
	}
	if got := rows(t, st); len(got) != 2 {
		t.Fatalf("rows %v", got)
	}
}

// TestCommitFails: then nobody is told of success, and the next write works.
func TestCommitFails(t *testing.T) {
	t.Parallel()
	st := newScratch(t)
	errs := batch(t, st, insert(1), func(c *conn) error {
		_, err := c.exec("ROLLBACK") // so that there is nothing to commit
		return err
	})
	for i, err := range errs {
		if err == nil || errors.Is(err, errRolledBack) {
			t.Fatalf("write %d: %v", i, err)
		}
	}
	if err := embedded(st).writer.run([]write{{do: insert(2)}})[0]; err != nil {
		t.Fatal(err)
	}
	if got := rows(t, st); len(got) != 1 || got[0] != 2 {
		t.Fatalf("rows %v", got)
	}
}

// TestBusy: when another process holds the database, all that wait are told so once
// the time limit has passed a single time, and nothing is done.
func TestBusy(t *testing.T) {
	t.Parallel()
	st := newScratch(t)
	must(t, st, func(c *conn) error {
		return c.query(t.Context(), `PRAGMA busy_timeout = 1`, nil, func(*row) {})
	})
	other, err := embedded(st).file.openWriter()
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	if _, err := other.exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	for _, err := range batch(t, st, insert(1), insert(2)) {
		if !errors.Is(err, ErrBusy) {
			t.Fatalf("%v, want %v", err, ErrBusy)
		}
	}
	if _, err := other.exec("COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := embedded(st).writer.run([]write{{do: insert(3)}})[0]; err != nil {
		t.Fatal(err)
	}
	if got := rows(t, st); len(got) != 1 || got[0] != 3 {
		t.Fatalf("rows %v", got)
	}
}

// TestFull: a full disk is blobstore.ErrNoSpace, and mends itself.
func TestFull(t *testing.T) {
	t.Parallel()
	st := newScratch(t)
	limit := func(pages string) {
		must(t, st, func(c *conn) error {
			return c.query(t.Context(), `PRAGMA max_page_count = `+pages, nil, func(*row) {})
		})
	}
	limit("1") // as many as it has
	big := func(c *conn) error {
		_, err := c.exec(`INSERT INTO scratch (n, t) VALUES (1, $1)`, strings.Repeat("x", 1<<20))
		return err
	}
	if err := st.write(t.Context(), 1, big); !errors.Is(err, blobstore.ErrNoSpace) {
		t.Fatalf("%v, want %v", err, blobstore.ErrNoSpace)
	}
	limit("100000")
	must(t, st, big)
}

func TestClosed(t *testing.T) {
	t.Parallel()
	st := newScratch(t)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if err := st.write(context.Background(), 1, insert(1)); !errors.Is(err, ErrClosed) {
		t.Fatalf("write: %v", err)
	}
	if err := st.Ping(context.Background()); !errors.Is(err, ErrClosed) {
		t.Fatalf("ping: %v", err)
	}
	if _, err := st.Keys(context.Background()); !errors.Is(err, ErrClosed) {
		t.Fatalf("keys: %v", err)
	}
}

// TestReadersCannotWrite is P7, below all that could be wrong above.
func TestReadersCannotWrite(t *testing.T) {
	t.Parallel()
	st := newScratch(t)
	for _, pool := range []chan *conn{embedded(st).readers.quick, embedded(st).readers.long} {
		if err := with(t.Context(), pool, insert(1)); err == nil {
			t.Fatal("a reader wrote")
		}
	}
}
