package sqlstore

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// bounded are the scans of a plan that are no scans of a table: of what a statement
// has chosen itself, of one row, of the keys and restores that an operator made by
// hand, and of an index that holds nothing but what a purge is at.
var bounded = []string{
	"SCAN u", "SCAN d", "SCAN r", "SCAN l", "SCAN CONSTANT ROW", "SCAN api_keys", "SCAN restores", "SCAN blobs USING INDEX blobs_purging", "SCAN attempts USING INDEX attempts_claimed",
}

// checkPlans asks SQLite how it would run each statement that the store has prepared
// in its life. It is called when a test is over, so that no statement is forgotten.
func checkPlans(t testing.TB, st *Store) {
	t.Helper()
	ctx := context.Background()
	var all []string
	collect := func(c *conn) error {
		for query := range c.session.(*sqliteSession).stmts {
			all = append(all, query)
		}
		return nil
	}
	err := st.write(ctx, 1, collect)
	for i := 0; i < cap(embedded(st).readers.quick) && err == nil; i++ {
		err = st.read(ctx, collect)
	}
	for i := 0; i < cap(embedded(st).readers.long) && err == nil; i++ {
		err = st.readLong(ctx, collect)
	}
	if err != nil {
		return // closed by the test, or broken on purpose
	}
	slices.Sort(all)
	for _, query := range slices.Compact(all) {
		if verb, _, _ := strings.Cut(query, " "); slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "DELETE"}, verb) {
			checkPlan(t, st, query)
		}
	}
}

func checkPlan(t testing.TB, st *Store, query string) {
	t.Helper()
	err := st.readLong(context.Background(), func(c *conn) error {
		nulls := make([]any, 32)
		return c.query(context.Background(), "EXPLAIN QUERY PLAN "+query, nulls, func(r *row) {
			r.int()
			r.int()
			r.int()
			if step := r.text(); strings.HasPrefix(step, "SCAN") && !slices.Contains(bounded, step) {
				t.Errorf("%s of\n%s", step, query)
			}
		})
	})
	if err != nil {
		t.Errorf("%v: plan of\n%s", err, query)
	}
}

// TestPlanOfAScan guards checkPlan itself.
func TestPlanOfAScan(t *testing.T) {
	t.Parallel()
	st := newScratch(t)
	for _, query := range []string{
		"SELECT id FROM blobs WHERE size > $1",
		"SELECT b.id FROM blobs b WHERE b.purge_at <= $1 AND b.state <> 'erased'",
		"UPDATE tickets SET contested = 0 WHERE recipient = $1",
		"SELECT COUNT(*) FROM blobs",
	} {
		caught := &failures{TB: t}
		checkPlan(caught, st, query)
		if caught.n == 0 {
			t.Errorf("no scan was seen in %s", query)
		}
	}
}

// failures counts what would have failed a test.
type failures struct {
	testing.TB
	n int
}

func (f *failures) Errorf(string, ...any) { f.n++ }
