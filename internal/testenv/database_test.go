package main

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestTheCommandFindsTheDatabaseAndTheDatabaseEndsWithIt(t *testing.T) {
	out := filepath.Join(t.TempDir(), "environment")
	code, err := run([]string{"sh", "-c", `printf '%s %s' "$MAYFLY_TEST_POSTGRES" "$MAYFLY_TEST_POSTGRES_VERSION" > "$0"; exit 7`, out}, []service{database{}})
	if code != 7 || err != nil {
		t.Fatalf("run = %d, %v", code, err)
	}
	at, version := handedOver(t, out)
	if version == "" || at.Scheme != "postgres" || at.Hostname() != "127.0.0.1" {
		t.Errorf("the address is %s, the version %q", at, version)
	}
	if c, err := net.Dial("tcp", at.Host); err == nil {
		c.Close()
		t.Error("the database is still there")
	}
}

func TestADatabaseThatEndsMeanwhileIsAnError(t *testing.T) {
	code, err := run([]string{"sh", "-c", `kill -9 $(head -n 1 "$TMPDIR"/postgres-*/data/postmaster.pid)`}, []service{database{}})
	if code == 0 || err == nil || !strings.Contains(err.Error(), "PostgreSQL has ended while it was needed (signal: killed)") {
		t.Errorf("run = %d, %v", code, err)
	}
}

func TestTheDatabaseThatIsGivenAnswersItsOwnUserAlone(t *testing.T) {
	address, ok := os.LookupEnv("MAYFLY_TEST_POSTGRES")
	if !ok {
		t.Fatal("MAYFLY_TEST_POSTGRES is not set: go run ./internal/testenv go test ./...")
	}
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var version string
	if err := conn.QueryRow(t.Context(), "SHOW server_version").Scan(&version); err != nil {
		t.Fatal(err)
	}
	if want := os.Getenv("MAYFLY_TEST_POSTGRES_VERSION"); want == "" || !strings.HasPrefix(version, want) {
		t.Errorf("it is %s, and is said to be %q", version, want)
	}
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	at.User = url.UserPassword(at.User.Username(), "guessed")
	if conn, err := pgx.Connect(t.Context(), at.String()); err == nil {
		conn.Close(t.Context())
		t.Error("it answers with a wrong password")
	}
}
