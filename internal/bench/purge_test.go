package main

import (
	"context"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"mayfly/internal/sqlstore"
)

func TestPurgeSizes(t *testing.T) {
	t.Parallel()
	good := purgeFlags{PurgeRows: 1_000_000, PurgeAll: 10_000_000, PurgeTickets: 1, PurgeObjects: 20_000}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		change func(*purgeFlags)
		want   string
	}{
		{func(f *purgeFlags) { f.PurgeRows = 1 }, "--purge-rows"},
		{func(f *purgeFlags) { f.PurgeAll = 3_999_999 }, "--purge-all"},
		{func(f *purgeFlags) { f.PurgeTickets = -1 }, "--purge-tickets"},
		{func(f *purgeFlags) { f.PurgeObjects = 0 }, "--purge-objects"},
	} {
		f := good
		c.change(&f)
		if err := f.check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want one about %s", f, err, c.want)
		}
	}
}

func TestLeast(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rate, atLeast float64
		verdict       string
	}{{20_000, 20_000, "met"}, {19_999, 20_000, "missed"}, {1, 0, ""}} {
		if got := newLeast("s", "w", erasures, c.rate, c.atLeast).verdict(); got != c.verdict {
			t.Errorf("%v of %v: %q, want %q", c.rate, c.atLeast, got, c.verdict)
		}
	}
}

// TestLoadedRows looks at what the passes look for: the store reads the rows, and exactly
// the oldest are due.
func TestLoadedRows(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		return // the passes read /proc
	}
	path := filepath.Join(t.TempDir(), "mayfly.db")
	cfg := sqlstore.Config{URL: "sqlite://" + path, Migrate: true}
	if _, _, err := sqlstore.Migrate(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	l, err := loadSQLite(path)
	if err != nil {
		t.Fatal(err)
	}
	last, err := l.load(t.Context(), 1500, 2, purgeStart)
	for i, n := range []int{500, 2000} {
		if err == nil {
			_, err = l.load(t.Context(), n, 2, purgeStart.Add(time.Duration(i+1)*7*24*time.Hour))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := l.finish(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	for _, signed := range []bool{false, true} {
		spec := passSpec{Database: cfg.URL, Idle: purgeStart, Now: last.Add(time.Second), Due: 1500, Signed: signed}
		if signed {
			spec.Idle, spec.Now, spec.Due = spec.Now, spec.Now.Add(8*24*time.Hour), 500
		}
		r, err := runPass(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if r.Seconds <= 0 || len(r.Empty) != emptyPasses || r.Whole.Peak < r.Begin.Resident/2 {
			t.Errorf("got %+v", r)
		}
	}
	db, err := sqlstore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if stored, err := db.Stored(t.Context(), [16]byte{}, 3000); err != nil || len(stored) != 2000 {
		t.Errorf("%d are still stored, not 2000, %v", len(stored), err)
	}
}
