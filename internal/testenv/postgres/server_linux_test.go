package postgres

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// begun is a server that the test need not stop.
func begun(t *testing.T, settings ...string) *Server {
	t.Helper()
	s, err := Start(t.Context(), t.TempDir(), settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func connect(t *testing.T, s *Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // of some, the server has gone
	return conn
}

func run(t *testing.T, on *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := on.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// value is the one text that the statement asks for.
func value(t *testing.T, on *pgx.Conn, sql string) (v string) {
	t.Helper()
	if err := on.QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// names are the values of the table that the tests write to.
func names(t *testing.T, s *Server) string {
	t.Helper()
	return value(t, connect(t, s), "SELECT string_agg(name, ' ' ORDER BY name) FROM kept")
}

func TestADurableServerWithAPassword(t *testing.T) {
	t.Parallel()
	s := begun(t)
	conn := connect(t, s)
	for sql, want := range map[string]string{
		"SHOW fsync":              "on",
		"SHOW synchronous_commit": "on",
		"SHOW full_page_writes":   "on",
		"SHOW max_connections":    "400",
		"SHOW listen_addresses":   "127.0.0.1",
		"SHOW server_encoding":    "UTF8",
		"SHOW TimeZone":           "UTC",
		"SELECT datcollate FROM pg_database WHERE datname = current_database()":                                 "C",
		"SELECT string_agg(DISTINCT auth_method, ' ') FROM pg_hba_file_rules":                                   "scram-sha-256",
		"SELECT left(rolpassword, 13) FROM pg_authid WHERE rolname = current_user":                              "SCRAM-SHA-256",
		"SELECT split_part(current_setting('server_version'), ' ', 1)":                                          s.Version(),
		"SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database":                                     "postgres template1",
		"SELECT current_user || ' ' || current_setting('is_superuser')":                                         "mayfly on",
		"SELECT string_agg(name, ' ') FROM pg_settings WHERE name = 'unix_socket_directories' AND setting = ''": "unix_socket_directories",
	} {
		if got := value(t, conn, sql); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
	run(t, conn, "CREATE DATABASE another")

	u := s.URL()
	if u.Scheme != "postgres" || u.User.Username() != "mayfly" || u.Hostname() != "127.0.0.1" || u.Path != "/postgres" || u.RawQuery != "sslmode=disable" {
		t.Errorf("the address is %s", u)
	}
	for _, user := range []*url.Userinfo{url.UserPassword("mayfly", "guessed"), url.User("mayfly"), url.User("postgres")} {
		u.User = user
		_, err := pgx.Connect(t.Context(), u.String())
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "28P01" {
			t.Errorf("as %s: %v", user, err)
		}
	}
}

func TestSettingsArriveAndWinOverOurs(t *testing.T) {
	t.Parallel()
	s := begun(t, "synchronous_commit=off", "fsync = off", "max_connections = 10")
	for _, s := range []*Server{s, copied(t, s)} {
		conn := connect(t, s)
		for sql, want := range map[string]string{"SHOW synchronous_commit": "off", "SHOW fsync": "off", "SHOW max_connections": "10"} {
			if got := value(t, conn, sql); got != want {
				t.Errorf("%s: %q, want %q", sql, got, want)
			}
		}
	}
}

func TestAServerThatCannotStartSaysWhyAndLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := reachable(t)
	_, err := Start(t.Context(), dir, "fsync=perhaps")
	if err == nil || !strings.Contains(err.Error(), "has ended before it answered (exit status 1)") || !strings.Contains(err.Error(), `parameter "fsync" requires a Boolean value`) {
		t.Errorf("Start = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("Start = %v", err)
	}
	if _, err := Start(t.Context(), filepath.Join(dir, "nonexistent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Start = %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it has left %v, %v", left, err)
	}
}
