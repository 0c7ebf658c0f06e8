package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"mayfly/internal/testenv/postgres"
)

// withPostgres calls do with a fresh PostgreSQL on the disk that is measured, as durable
// as PostgreSQL's own defaults, and stops it.
func (b *bench) withPostgres(ctx context.Context, do func(*postgres.Server) error) (err error) {
	// As root the server runs as another user, who has to get through.
	if err := os.Chmod(b.dir, 0o711); err != nil {
		return err
	}
	// The test servers' WAL is small, for fast copies, and they would be at a checkpoint
	// all the time: these are PostgreSQL's defaults for a WAL of the usual segments.
	s, err := postgres.Start(ctx, b.dir, "max_wal_size = 1GB", "min_wal_size = 80MB")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	b.say("  PostgreSQL %s, shared_buffers and all that bears on durability as they come", s.Version())
	return do(s)
}

// testServer names the server to the benchmarks of the sqlstore.
func testServer(s *postgres.Server) string { return "MAYFLY_TEST_POSTGRES=" + s.URL().String() }

// findPgbench finds pgbench beside the server's programs, else in PATH.
func findPgbench(ctx context.Context) (string, error) {
	p, err := postgres.Find(ctx)
	if err != nil {
		return "", err
	}
	path, err := exec.LookPath(filepath.Join(filepath.Dir(p.Postgres), "pgbench"))
	if err != nil {
		path, err = exec.LookPath("pgbench")
	}
	if err != nil {
		return "", errors.New("missing: pgbench, neither beside PostgreSQL's other programs nor in PATH. Install the package postgresql (Debian, Ubuntu, Arch, Homebrew) or postgresql-contrib (Fedora, Alpine)")
	}
	return path, nil
}

// startOnPostgres starts both servers, Mayfly on a database of PostgreSQL.
func (b *bench) startOnPostgres(ctx context.Context, db *postgres.Server) (*servers, error) {
	s, err := b.newServers()
	if err != nil {
		return nil, err
	}
	s.database = db.URL().String()
	// On an embedded database the first start makes a key: here it is the operator's.
	create := exec.CommandContext(ctx, b.binary, "key", "create", "--role", "backend", "--tenant", "bench", "--database", s.database)
	create.Env = environment()
	key, err := create.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w\n%s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("mayfly key create: %w", err)
	}
	s.key = strings.TrimSpace(string(key))
	if err := errors.Join(s.startPlain(ctx), s.startMayfly(ctx)); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}
