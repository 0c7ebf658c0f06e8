package sqlstore

import (
	"context"
	"errors"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestParsePostgres(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"postgres://", "postgres://secret:word@host:port/db", "postgres://u:secret%zz@h/db", "postgres://u:secret@h/db?skip_locked=maybe",
		"postgres://u:secret@h/db?pool_max_conns=1", "postgres://u:secret@h/db?pool_max_conns=many", "postgres://u:secret@h/db?sslmode=perhaps",
		"mysql://u:secret@h/db",
	} {
		err := CheckURL(bad)
		if !errors.Is(err, ErrURL) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, good := range []string{"postgres://u:p@h/db", "postgresql://u@h:5433/db?sslmode=verify-full&skip_locked=off&pool_max_conns=40", "postgres://u@h1,h2/db?target_session_attrs=read-write"} {
		if err := CheckURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

// TestPostgresRefused: whose commits could be lost is not worked with, whether it is
// the server that is set so, the database or the role.
func TestPostgresRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		settings []string
		want     string
	}{
		"no fsync":             {[]string{"fsync=off"}, "fsync"},
		"no full pages":        {[]string{"full_page_writes=off"}, "full_page_writes"},
		"asynchronous commits": {[]string{"synchronous_commit=off"}, "synchronous_commit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusedAs(t, ownServer(t, tc.settings...).URL(), tc.want)
		})
	}
	for setting, value := range map[string]string{"synchronous_commit": "off", "default_transaction_read_only": "on"} {
		t.Run(setting+" of one connection", func(t *testing.T) {
			t.Parallel()
			u := newSchema(t, testServer(t))
			options := u.Query()
			options.Set(setting, value)
			u.RawQuery = options.Encode()
			refusedAs(t, u, strings.TrimPrefix(setting, "default_transaction_"))
		})
	}
	t.Run("no such database", func(t *testing.T) {
		t.Parallel()
		u := *testServer(t)
		u.Path = "/nowhere"
		if _, err := Open(t.Context(), Config{URL: u.String(), Migrate: true}); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "createdb") {
			t.Errorf("%v", err)
		}
	})
	t.Run("wrong password", func(t *testing.T) {
		t.Parallel()
		u := *testServer(t)
		u.User = url.UserPassword("mayfly", "another-secret")
		if _, err := Open(t.Context(), Config{URL: u.String(), Migrate: true}); err == nil || strings.Contains(err.Error(), "another-secret") {
			t.Errorf("%v", err)
		}
	})
}

func refusedAs(t *testing.T, u *url.URL, want string) {
	t.Helper()
	for _, migrate := range []bool{true, false} {
		_, err := Open(t.Context(), Config{URL: u.String(), Migrate: migrate})
		if !errors.Is(err, ErrWeak) || !strings.Contains(err.Error(), want) {
			t.Errorf("migrate %v: %v, want %v for its %s", migrate, err, ErrWeak, want)
		}
	}
}

// TestPostgresTurnsWeak: a setting that is taken back later is met by the next connection.
func TestPostgresTurnsWeak(t *testing.T) {
	t.Parallel()
	server := ownServer(t)
	st := openURL(t, newSchema(t, server.URL()))
	ts := storeMany(t, st, 1)
	admin(t, server.URL(), "ALTER ROLE mayfly SET synchronous_commit = off")
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	won, err := st.Spend(t.Context(), spendFor(ts[0], ts[0].Hash))
	for err != nil && !errors.Is(err, ErrWeak) { // the old connections are found to be lost first
		won, err = st.Spend(t.Context(), spendFor(ts[0], ts[0].Hash))
	}
	if won || !errors.Is(err, ErrWeak) {
		t.Fatalf("%v, %v", won, err)
	}
	connect := server.URL()
	connect.RawQuery += "&synchronous_commit=on"
	admin(t, connect, "ALTER ROLE mayfly RESET synchronous_commit")
	if won, err := st.Spend(t.Context(), spendFor(ts[0], ts[0].Hash)); err != nil || !won {
		t.Fatalf("mended: %v, %v", won, err)
	}
}

// TestPostgresStandby: what does not wait for a standby is worked with, and said.
func TestPostgresStandby(t *testing.T) {
	t.Parallel()
	server := ownServer(t)
	u := newSchema(t, server.URL())
	if notes := openURL(t, u).Warnings(); len(notes) != 0 {
		t.Fatalf("no standby, and warnings: %q", notes)
	}
	receiver, err := exec.LookPath("pg_receivewal")
	if err != nil {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_receivewal")
		if len(found) == 0 {
			t.Fatal("pg_receivewal is missing: it comes with PostgreSQL's client programs (Debian: postgresql-client-15)")
		}
		receiver = found[0]
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, receiver, "--directory", t.TempDir(), "--dbname", server.URL().String())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		cmd.Wait() // says that it was killed
	}()
	connected(t, server.URL())
	if notes := openURL(t, u).Warnings(); len(notes) != 1 || !strings.Contains(notes[0], "asynchronous") {
		t.Fatalf("warnings: %q", notes)
	}
}

// connected returns when somebody receives the server's log.
func connected(t *testing.T, server *url.URL) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for n := 0; n == 0; {
		if err := c.QueryRow(ctx, "SELECT COUNT(*) FROM pg_stat_replication").Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}
