package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"
)

// makeSchema makes a schema on the PostgreSQL that testenv has started, and says how
// to get at it, and how to be rid of it.
func makeSchema() (database string, drop func() error, err error) {
	server, err := url.Parse(os.Getenv("MAYFLY_TEST_POSTGRES"))
	if err != nil || server.Host == "" {
		return "", nil, errors.New("MAYFLY_TEST_POSTGRES names no server: run the tests with go run ./internal/testenv go test ./...")
	}
	name := "replicas_" + strings.ToLower(rand.Text())
	drop = func() error { return execute(server.String(), "DROP SCHEMA "+name+" CASCADE") }
	at := *server
	options := at.Query()
	options.Set("search_path", name)
	options.Set("lock_timeout", "60s") // tests hold replicas by locks
	at.RawQuery = options.Encode()
	return at.String(), drop, execute(server.String(), "CREATE SCHEMA "+name)
}

// newSchema makes a schema for this test alone.
func newSchema(t *testing.T) string {
	t.Helper()
	database, drop, err := makeSchema()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Error(err)
		}
	})
	return database
}

// execute runs a statement as an operator would, past Mayfly.
func execute(database, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, statement)
	return err
}

// lock runs statements in a transaction that stays open, with what they lock, until
// release is called or the test ends.
func lock(t *testing.T, database string, statements ...string) (release func()) {
	t.Helper()
	c := session(t, database)
	for _, s := range append([]string{"BEGIN"}, statements...) {
		if _, err := c.Exec(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		t.Helper()
		if _, err := c.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
	}
}

// waitUntil returns when the query says true: of what another process does there is
// nothing else to wait for.
func waitUntil(t *testing.T, database, query string, args ...any) {
	t.Helper()
	c := session(t, database)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	giveUp := time.After(time.Minute)
	for {
		var yes bool
		if err := c.QueryRow(t.Context(), query, args...).Scan(&yes); err != nil {
			t.Fatal(err)
		}
		if yes {
			return
		}
		select {
		case <-again.C:
		case <-giveUp:
			t.Fatalf("this does not come true: %s", query)
		}
	}
}

func session(t *testing.T, database string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.WithoutCancel(t.Context())) })
	return c
}

// schema makes a schema for a script and sets a variable to its URL: schema NAME
func schema(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: schema NAME")
	}
	database, drop, err := makeSchema()
	ts.Check(err)
	ts.Defer(func() { ts.Check(drop()) })
	ts.Setenv(args[0], database)
}

// runSQL runs a statement past Mayfly: sql DATABASE STATEMENT
func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql DATABASE STATEMENT")
	}
	ts.Check(execute(args[0], args[1]))
}
