package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// oldestPostgres is the oldest release that was tested: 15.0, as server_version_num.
const oldestPostgres = 150000

// An engine that has no such setting answers NULL, and is not asked further.
const settings = `SELECT version(), CAST(current_setting('server_version_num', true) AS BIGINT),
	current_setting('synchronous_commit', true), current_setting('fsync', true), current_setting('full_page_writes', true),
	current_setting('transaction_read_only', true), CAST(pg_is_in_recovery() AS TEXT)`

// verifyPostgres refuses a connection whose commits could be lost, or that cannot
// write. It looks at every one: a setting can be that of a role or a database, and a
// host name can lead to another server than a minute ago.
// https://www.postgresql.org/docs/15/runtime-config-wal.html
//
// A connection that we have made read-only may be so.
func verifyPostgres(ctx context.Context, c *pgx.Conn, madeReadOnly bool) error {
	var version string
	var number *int64
	var commit, fsync, pages, readOnly *string
	var recovery string
	if err := c.QueryRow(ctx, settings).Scan(&version, &number, &commit, &fsync, &pages, &readOnly, &recovery); err != nil {
		return fmt.Errorf("read the database's settings: %w", err)
	}
	is := func(setting *string, value string) bool { return setting != nil && *setting == value }
	switch {
	case is(commit, "off"):
		return weak("synchronous_commit is off", "a ticket that was spent a moment ago would open again after a crash: set it to on, for the server and for Mayfly's role and database (ALTER ROLE … RESET synchronous_commit)")
	case is(fsync, "off"):
		return weak("fsync is off", "a crash of the machine would lose what was committed: set it to on in postgresql.conf")
	case is(pages, "off"):
		return weak("full_page_writes is off", "a crash in the middle of a write would damage pages: set it to on in postgresql.conf")
	case strings.HasPrefix(recovery, "t"):
		return weak("the server is a standby", "name the primary in --database, or several hosts and target_session_attrs=read-write")
	case is(readOnly, "on") && !madeReadOnly:
		return weak("transaction_read_only is on", "let Mayfly's role write (default_transaction_read_only=off)")
	case number != nil && *number < oldestPostgres && strings.HasPrefix(version, "PostgreSQL "):
		return weak(fmt.Sprintf("the server is %s", firstWords(version)), "it needs PostgreSQL 15 or later")
	}
	c.PgConn().CustomData()[verified] = time.Now()
	return nil
}

// verified is when a connection was last looked at, in its custom data.
const verified = "mayfly.verified"

// verifyEvery is how often: fsync and full_page_writes change with a reload.
const verifyEvery = time.Minute

// verifyAgain looks at a connection that is about to be used, if that was long ago. One
// that fails is closed.
func verifyAgain(readOnly bool) func(context.Context, *pgx.Conn) (bool, error) {
	return func(ctx context.Context, c *pgx.Conn) (bool, error) {
		if last, ok := c.PgConn().CustomData()[verified].(time.Time); ok && time.Since(last) < verifyEvery {
			return true, nil
		}
		err := verifyPostgres(ctx, c, readOnly)
		if !errors.Is(err, ErrWeak) {
			return err == nil, nil // one that was lost: another is made
		}
		return false, err
	}
}

// verifyRestored keeps every process from a database of which a restore is not finished,
// also those that were running when it began: their connections are ended then.
func (s *postgresServer) verifyRestored(ctx context.Context, c *pgx.Conn) error {
	if s.restoring {
		return nil
	}
	var unfinished bool
	err := c.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM restores WHERE finished_at IS NULL)`).Scan(&unfinished)
	switch {
	case code(err) == undefinedTable:
		return nil // the schema says more
	case err != nil:
		return fmt.Errorf("ask for restores: %w", err)
	case unfinished:
		return errRestoring()
	}
	return nil
}

func weak(what, mend string) error { return fmt.Errorf("%w: %s: %s", ErrWeak, what, mend) }

// firstWords is "PostgreSQL 14.2" of "PostgreSQL 14.2 (Debian …) on x86_64…".
func firstWords(version string) string {
	words := strings.Fields(version)
	return strings.Join(words[:min(len(words), 2)], " ")
}

// standbys counts those that are connected, and those that a commit does not wait
// for. Whoever may not see pg_stat_replication's columns sees NULL in them.
const standbys = `SELECT COUNT(*), COUNT(*) FILTER (WHERE COALESCE(sync_state, 'async') NOT IN ('sync', 'quorum'))
	FROM pg_stat_replication WHERE COALESCE(application_name, '') NOT LIKE 'pg_basebackup%'`

// look is what an operator should know of the server beyond what is refused.
func (s *postgresDatabase) look(ctx context.Context) (notes []string, err error) {
	c, err := s.writes.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Release()
	var version, commit string
	if err := c.QueryRow(ctx, `SELECT version(), COALESCE(current_setting('synchronous_commit', true), 'on')`).Scan(&version, &commit); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(version, "PostgreSQL ") || strings.Contains(version, "-YB-") {
		return []string{firstWords(version) + " speaks PostgreSQL's protocol, but Mayfly was not tested on it"}, nil
	}
	var connected, asynchronous int64
	if err := c.QueryRow(ctx, standbys).Scan(&connected, &asynchronous); err != nil {
		return nil, err
	}
	switch {
	case connected > 0 && asynchronous == connected:
		notes = append(notes, "every standby is asynchronous (or this role may not see: GRANT pg_monitor): a failover may forget the last spends, and tickets open twice: set synchronous_standby_names, or stop all replicas after a failover and run mayfly migrate --restored")
	case connected > 0 && (commit == "local" || commit == "remote_write"):
		notes = append(notes, "synchronous_commit is "+commit+": a commit does not wait until a standby has it on disk, and a failover may forget the last spends: set it to on")
	}
	return notes, nil
}
