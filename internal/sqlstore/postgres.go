package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

const (
	// maxConnections bounds what one process takes of the server's connections, if
	// the URL does not say otherwise with pool_max_conns.
	maxConnections = 16
	// minConnections are as many as it takes to not wait in a circle.
	minConnections = 4

	// skipLocked in the URL, "off", has the purges of several replicas wait for each
	// other rather than pass over each other's rows: for engines without SKIP LOCKED.
	skipLocked = "skip_locked"
)

// postgresServer is a PostgreSQL database, or one that speaks its protocol.
type postgresServer struct {
	cfg     *pgxpool.Config
	dialect dialect
	// restoring: this process is the one that makes void what a backup brought back.
	restoring bool
}

// parsePostgres reads postgres://user:password@host:port/database?options.
func parsePostgres(rawURL string) (*postgresServer, error) {
	// The parsers' errors repeat what they read, which may be the password (P8).
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("%w: not readable as postgres://USER:PASSWORD@HOST:PORT/DATABASE: write special characters as %%XX", ErrURL)
	}
	s := &postgresServer{dialect: dialect{lock: " FOR UPDATE", lockDue: " FOR UPDATE SKIP LOCKED"}}
	options := u.Query()
	switch v := options.Get(skipLocked); v {
	case "", "on":
	case "off":
		s.dialect.lockDue = s.dialect.lock
	default:
		return nil, fmt.Errorf("%w: %s is on or off, not %q", ErrURL, skipLocked, v)
	}
	options.Del(skipLocked)
	most := maxConnections
	if v := options.Get("pool_max_conns"); v != "" {
		if most, err = strconv.Atoi(v); err != nil || most < minConnections || most > 1000 {
			return nil, fmt.Errorf("%w: pool_max_conns is a number from %d to 1000, not %q", ErrURL, minConnections, v)
		}
	}
	options.Del("pool_max_conns")
	u.RawQuery = options.Encode()
	if s.cfg, err = pgxpool.ParseConfig(u.String()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrURL, err) // pgx leaves the password out
	}
	s.cfg.MaxConns = int32(most)
	if s.cfg.ConnConfig.Database == "" {
		return nil, fmt.Errorf("%w: it names no database: write postgres://USER@HOST/DATABASE", ErrURL)
	}
	if _, ok := s.cfg.ConnConfig.RuntimeParams["application_name"]; !ok {
		s.cfg.ConnConfig.RuntimeParams["application_name"] = "mayfly"
	}
	return s, nil
}

// avoidScans tells PostgreSQL's planner to use the indexes row by row, which it may
// take for a detour as long as the tables are small: a connection keeps the plans that
// it made, and in the first minutes of a busy new database these would scan what has
// become large. Engines without such settings pass over it.
const avoidScans = `SELECT set_config(s, 'off', false) FROM (VALUES ('enable_seqscan'), ('enable_mergejoin')) AS v(s)
	WHERE current_setting(s, true) IS NOT NULL`

// pin keeps what verifyPostgres saw: a session's own setting outlives a reload. A batch
// is a statement on its own, at the default level. Nobody waits long for a row that
// somebody else holds, and nobody holds one for long: a replica whose machine died in
// the middle of a transaction, or a person at psql, would have all opens wait. Limits
// that an operator has set, in the URL or for the role, stay.
const pin = `SELECT set_config('synchronous_commit', current_setting('synchronous_commit', true), false),
	set_config('default_transaction_isolation', 'read committed', false),
	set_config('lock_timeout', CASE current_setting('lock_timeout', true) WHEN '0' THEN '2s' ELSE current_setting('lock_timeout', true) END, false),
	set_config('idle_in_transaction_session_timeout', CASE current_setting('idle_in_transaction_session_timeout', true)
		WHEN '0' THEN '60s' ELSE current_setting('idle_in_transaction_session_timeout', true) END, false)`

// pool are connections that all were verified, for reads or for writes.
func (s *postgresServer) pool(ctx context.Context, most int, readOnly bool) (*pgxpool.Pool, error) {
	cfg := s.cfg.Copy()
	cfg.MaxConns = int32(most)
	cfg.MinConns = 0
	cfg.PrepareConn = verifyAgain(readOnly)
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		if err := verifyPostgres(ctx, c, false); err != nil {
			return err
		}
		if err := s.verifyRestored(ctx, c); err != nil {
			return err
		}
		if _, err := c.Exec(ctx, avoidScans); err != nil {
			return err
		}
		if _, err := c.Exec(ctx, pin); err != nil {
			return err
		}
		if readOnly { // P7: what reads cannot write
			_, err := c.Exec(ctx, "SET default_transaction_read_only = on")
			return err
		}
		return nil
	}
	p, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return p, nil
}

// open implements location.
func (s *postgresServer) open(ctx context.Context) (_ database, err error) {
	most := int(s.cfg.MaxConns)
	db := &postgresDatabase{server: s, slow: make(chan struct{}, max(most/4, 1))}
	if db.reads, err = s.pool(ctx, most/2, true); err != nil {
		return nil, err
	}
	if db.writes, err = s.pool(ctx, most-most/2, false); err != nil {
		db.reads.Close()
		return nil, err
	}
	db.share()
	if db.notes, err = db.look(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the database: %w", classifyPostgres(err)), db.close())
	}
	return db, nil
}

// migrate implements location.
func (s *postgresServer) migrate(ctx context.Context) (from, to int64, err error) {
	// The settings first: nothing is made in a database that would be refused.
	c, err := pgx.ConnectConfig(ctx, s.cfg.ConnConfig)
	if err != nil {
		return 0, 0, fmt.Errorf("open the database: %w", classifyPostgres(err))
	}
	if err := errors.Join(verifyPostgres(ctx, c, false), c.Close(ctx)); err != nil {
		return 0, 0, err
	}
	return migrate(ctx, s)
}

// provider implements goosed.
func (s *postgresServer) provider() (*goose.Provider, func() error, error) {
	return newProvider(goose.DialectPostgres, s.openSQL(), "migrations/postgres")
}

// openSQL opens the database as goose wants it: through database/sql.
func (s *postgresServer) openSQL() *sql.DB { return stdlib.OpenDB(*s.cfg.ConnConfig) }
