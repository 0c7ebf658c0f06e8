package sqlstore

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// checkPostgresPlans asks PostgreSQL how it would run each statement that it has
// prepared for the store. It is called when a test is over, so that no statement is
// forgotten.
func checkPostgresPlans(t testing.TB, st *Store) {
	t.Helper()
	db := st.db.(*postgresDatabase)
	for _, pool := range []*pgxpool.Pool{db.reads, db.writes} {
		for _, c := range pool.AcquireAllIdle(context.Background()) {
			plans(t, c.Conn())
			c.Release()
		}
	}
}

// plans looks at one connection's statements. The store has told the planner to
// avoid scans of tables; what then still scans has no other way.
func plans(t testing.TB, c *pgx.Conn) {
	t.Helper()
	ctx := context.Background()
	for _, set := range []string{"DISCARD PLANS", "SET plan_cache_mode = force_generic_plan"} {
		if _, err := c.Exec(ctx, set); err != nil {
			return // crashed by the test
		}
	}
	rows, _ := c.Query(ctx, `SELECT name, statement, CAST(cardinality(parameter_types) AS BIGINT) FROM pg_prepared_statements
		WHERE statement ~ '^(SELECT|INSERT|UPDATE|DELETE|WITH)' AND statement !~ 'pg_'`)
	type prepared struct {
		Name, Statement string
		Parameters      int
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[prepared])
	if err != nil {
		t.Errorf("prepared statements: %v", err)
	}
	for _, p := range all {
		arguments := ""
		if p.Parameters > 0 {
			arguments = "(" + strings.Join(slices.Repeat([]string{"NULL"}, p.Parameters), ",") + ")"
		}
		rows, _ := c.Query(ctx, fmt.Sprintf("EXPLAIN EXECUTE %s%s", pgx.Identifier{p.Name}.Sanitize(), arguments), pgx.QueryExecModeSimpleProtocol)
		steps, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Errorf("%v: plan of\n%s", err, p.Statement)
		}
		for i, step := range steps {
			if scans(steps[i:]) {
				t.Errorf("%s of\n%s", step, p.Statement)
			}
		}
	}
}

// scans reports whether the first of the steps reads a whole table or a whole index,
// other than the operators' keys and restores, what a purge is at, and the reports that wait.
func scans(steps []string) bool {
	step := steps[0]
	switch {
	case strings.Contains(step, "api_keys"), strings.Contains(step, "restores"), strings.Contains(step, "blobs_purging"), strings.Contains(step, "attempts_claimed"),
		strings.Contains(step, "reports_waiting"):
		return false
	case strings.Contains(step, "Seq Scan on"):
		return true
	case strings.Contains(step, "Index Scan using"), strings.Contains(step, "Index Only Scan using"), strings.Contains(step, "Bitmap Index Scan on"):
		return len(steps) == 1 || !strings.Contains(steps[1], "Index Cond")
	}
	return false
}

// TestPostgresPlanOfAScan guards plans itself.
func TestPostgresPlanOfAScan(t *testing.T) {
	t.Parallel()
	c, err := pgx.Connect(t.Context(), newSchemaWithTables(t).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(t.Context()))
	for _, query := range []string{
		"SELECT id FROM blobs WHERE size > $1",
		"UPDATE tickets SET contested = 0 WHERE recipient = $1",
		"SELECT COUNT(*) FROM blobs WHERE tenant = 'acme'",
	} {
		if _, err := c.Exec(t.Context(), "DEALLOCATE ALL"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Prepare(t.Context(), "scan", query); err != nil {
			t.Fatal(err)
		}
		caught := &failures{TB: t}
		plans(caught, c)
		if caught.n == 0 {
			t.Errorf("no scan was seen in %s", query)
		}
	}
}

func newSchemaWithTables(t *testing.T) *url.URL {
	u := newSchema(t, testServer(t))
	openURL(t, u)
	options := u.Query()
	options.Del("pool_max_conns") // the pool's, not the server's
	u.RawQuery = options.Encode()
	return u
}
