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

// withPostgres calls do with a fresh PostgreSQL on the disk that is measured, and stops it.
// It is set up for this machine, and as durable as PostgreSQL's own defaults.
func (b *bench) withPostgres(ctx context.Context, do func(*postgres.Server) error) (err error) {
	memory, err := machineMemory()
	if err != nil {
		return err
	}
	// As root the server runs as another user, who has to get through.
	if err := os.Chmod(b.dir, 0o711); err != nil {
		return err
	}
	settings := ownMachine(memory)
	s, err := postgres.Start(ctx, b.dir, settings...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	b.say("  PostgreSQL %s with %s; all that bears on durability as it comes", s.Version(), strings.Join(settings, ", "))
	return do(s)
}

// ownMachine are the settings of a PostgreSQL that has a machine with so many bytes of
// memory to itself, where initdb reckons with a small part of any: a quarter of it for
// shared_buffers, and a WAL that is as large in proportion (both as PostgreSQL's manual
// says, "Resource Consumption"), with compressed page images. None of these weakens
// durability: the WAL is on disk before a commit's answer as ever. (The servers of tests
// have a WAL of a few megabytes, for fast copies, and would be at a checkpoint all the time.)
func ownMachine(memory int64) []string {
	const mostBuffers = 4 << 30
	return []string{
		fmt.Sprintf("shared_buffers = %dMB", min(memory/4, mostBuffers)>>20),
		"max_wal_size = 8GB",
		"min_wal_size = 80MB",
		"wal_compression = lz4",
	}
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
	if err := s.createKey(ctx); err != nil {
		return nil, err
	}
	if err := errors.Join(s.startPlain(ctx), s.startMayfly(ctx)); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// createKey makes the backend's key, and the database's schema. On an embedded database
// the first start makes a key: elsewhere it is the operator's.
func (s *servers) createKey(ctx context.Context) error {
	create := exec.CommandContext(ctx, s.b.binary, "key", "create", "--role", "backend", "--tenant", "bench", "--database", s.database)
	create.Env = environment()
	key, err := create.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w\n%s", err, exit.Stderr)
		}
		return fmt.Errorf("mayfly key create: %w", err)
	}
	s.key = strings.TrimSpace(string(key))
	return nil
}
