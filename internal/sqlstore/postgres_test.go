package sqlstore

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"mayfly/internal/storetest"
)

func TestPostgres(t *testing.T) {
	t.Parallel()
	storetest.Test(t, openPostgres)
}

// TestPostgresWithoutSkipLocked: that is an optimisation, and not what keeps two
// purges apart.
func TestPostgresWithoutSkipLocked(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(t *testing.T) storetest.Database {
		u := newSchema(t, testServer(t))
		options := u.Query()
		options.Set(skipLocked, "off")
		u.RawQuery = options.Encode()
		return postgresAt(t, u)
	})
}

func openPostgres(t *testing.T) storetest.Database { return postgresAt(t, newSchema(t, testServer(t))) }

func postgresAt(t *testing.T, u *url.URL) storetest.Database {
	st := openURL(t, u)
	// The server's own upkeep would find a table empty at one moment, and have the planner
	// scan it from then on: what checkPostgresPlans looks for would hang on chance.
	must(t, st, func(c *conn) error {
		_, err := c.exec(`DO $$ DECLARE t TEXT; BEGIN
			FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LOOP
				EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = off)', t);
			END LOOP;
		END $$`)
		return err
	})
	return storetest.Database{
		Store: st,
		Again: func(t *testing.T) storetest.Store { return openURL(t, u) },
	}
}

func openURL(t testing.TB, u *url.URL) *Store {
	t.Helper()
	st, err := Open(t.Context(), Config{URL: u.String(), Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		checkPostgresPlans(t, st)
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// testServer is the PostgreSQL that testenv has started.
func testServer(t testing.TB) *url.URL {
	t.Helper()
	address, ok := os.LookupEnv("MAYFLY_TEST_POSTGRES")
	if !ok {
		t.Fatal("MAYFLY_TEST_POSTGRES is not set: go run ./internal/testenv go test ./...")
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// newSchema makes a schema for this test alone, and says how to get at it.
func newSchema(t testing.TB, server *url.URL) *url.URL {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	admin(t, server, "CREATE SCHEMA "+name)
	t.Cleanup(func() { admin(t, server, "DROP SCHEMA "+name+" CASCADE") })
	u := *server
	options := u.Query()
	options.Set("search_path", name)
	options.Set("pool_max_conns", "8")    // many of these are open at once
	options.Set("application_name", name) // by which a restore knows its own
	options.Set("lock_timeout", "20s")    // a disk that is slow for a moment is no failure
	u.RawQuery = options.Encode()
	return &u
}

// admin runs a statement as an operator would, past the store.
func admin(t testing.TB, server *url.URL, statement string, args ...any) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // also in a cleanup
	c, err := pgx.Connect(ctx, server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, statement, args...); err != nil {
		t.Fatal(err)
	}
}
