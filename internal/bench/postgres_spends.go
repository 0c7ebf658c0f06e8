package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/jackc/pgx/v5"

	"mayfly/internal/testenv/postgres"
)

const (
	postgresSpends = "PostgresSpend"
	secondsOfTurn  = 4

	// plainRows is so many that a turn of pgbench opens a few of a hundred: nearly every
	// one that it chooses at random is still ready. Pages have room for a row's next
	// version, as those of Mayfly's tickets do: without, pgbench is slower.
	plainRows = `CREATE TABLE plain (id BIGINT PRIMARY KEY, state TEXT NOT NULL, opened_at BIGINT) WITH (fillfactor = 70);
		INSERT INTO plain SELECT n, 'ready', NULL FROM generate_series(1, 1000000) n`
	plainSpend = `\set id random(1, 1000000)
UPDATE plain SET state = 'opened', opened_at = 1772366400000000 WHERE id = :id AND state = 'ready' RETURNING id;
`
)

// pgSpends sets the store's own benchmark beside what pgbench gets of the same server
// with as many callers. Both begin right after a checkpoint, with what was loaded on
// disk, and choose their rows at random.
func pgSpends(ctx context.Context, b *bench, r *report) error {
	pgbench, err := findPgbench(ctx)
	if err != nil {
		return err
	}
	script := filepath.Join(b.dir, "spend.sql")
	if err := os.WriteFile(script, []byte(plainSpend), 0o600); err != nil {
		return err
	}
	binary, err := b.testBinary(ctx, "./internal/sqlstore")
	if err != nil {
		return err
	}
	return b.withPostgres(ctx, func(db *postgres.Server) error {
		plain, mayfly, err := b.inTurn(
			func() (measurement, error) { return b.pgbench(ctx, pgbench, script, db) },
			func() (measurement, error) {
				return b.spendRate(ctx, binary, postgresSpends, fmt.Sprintf("%dx", b.scaled(100_000)), testServer(db))
			})
		if err != nil {
			return err
		}
		r.add(newFigure("pg-spends", "64 callers on PostgreSQL; in place of the plain server pgbench -M prepared -c 64, UPDATE of one row … RETURNING", spent, plain, mayfly, 3))
		return nil
	})
}

// pgbench is one turn of it, on rows that are all ready again.
func (b *bench) pgbench(ctx context.Context, pgbench, script string, db *postgres.Server) (m measurement, err error) {
	c, err := pgx.Connect(ctx, db.URL().String())
	if err != nil {
		return m, err
	}
	defer c.Close(ctx)
	for _, statement := range []string{"DROP TABLE IF EXISTS plain; " + plainRows, "VACUUM ANALYZE plain", "CHECKPOINT"} {
		if _, err := c.Exec(ctx, statement); err != nil {
			return m, err
		}
	}
	if err := settle(ctx); err != nil {
		return m, err
	}
	m.Seconds = secondsOfTurn // also in a hurry: a part of it goes into 64 log-ins
	cmd := exec.CommandContext(ctx, pgbench, "-n", "-M", "prepared", "-c", strconv.Itoa(manyClients), "-j", "2",
		"-T", strconv.Itoa(int(m.Seconds)), "-f", script, db.URL().String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		return m, fmt.Errorf("pgbench: %w\n%s", err, bytes.TrimSpace(out))
	}
	perSecond, tried, err := parsePgbench(string(out))
	if err != nil {
		return m, err
	}
	m.PerSecond = perSecond
	var opened float64
	if err := c.QueryRow(ctx, "SELECT COUNT(*) FROM plain WHERE state = 'opened'").Scan(&opened); err != nil {
		return m, err
	}
	// Those that came to a row that was opened already changed nothing.
	if opened < 0.9*tried {
		return m, fmt.Errorf("pgbench opened %.0f rows in %.0f tries: the table is too small for this machine", opened, tried)
	}
	return m, nil
}

var (
	pgbenchRate  = regexp.MustCompile(`(?m)^tps = ([0-9.]+) \(without initial connection time\)`)
	pgbenchTried = regexp.MustCompile(`(?m)^number of transactions actually processed: ([0-9]+)`)
)

// parsePgbench reads how many transactions there were in a second, and in all.
func parsePgbench(out string) (perSecond, tried float64, err error) {
	for _, v := range []struct {
		re *regexp.Regexp
		to *float64
	}{{pgbenchRate, &perSecond}, {pgbenchTried, &tried}} {
		found := v.re.FindStringSubmatch(out)
		if found == nil {
			return 0, 0, fmt.Errorf("pgbench does not tell %s:\n%s", v.re, out)
		}
		if *v.to, err = strconv.ParseFloat(found[1], 64); err != nil {
			return 0, 0, err
		}
	}
	return perSecond, tried, nil
}
