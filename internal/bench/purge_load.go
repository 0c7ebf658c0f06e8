package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"
)

// The terms of the policy view-once.
const (
	unopenedTTL  = 14 * 24 * time.Hour
	reportWindow = 72 * time.Hour
	resumeWindow = 15 * time.Minute
	uploadTTL    = 24 * time.Hour
	tombstoneTTL = 90 * 24 * time.Hour
	maxSize      = 2 << 30

	// loadStep is the time from one upload to the next.
	loadStep = 10 * time.Millisecond
	// loadRows are inserted by one statement.
	loadRows = 100_000
)

// loader makes rows quickly: the database makes them itself, in its own language, so
// that none is sent, and in the order of their ids, as uploads do.
type loader struct {
	db *sql.DB
	// blobs inserts $1 blobs of which the first was stored at $2, and tickets one of
	// each of them: $3 to $8 of blobs are the policy's terms, $10 to $13 are rows.
	blobs, tickets string
	// tidy is done in the end, and leaves what a server at work has.
	tidy []string
	rows loadedRows
}

// loadedRows is what the blobs of a table have in common, beside their terms.
type loadedRows struct {
	size int64
	// look is how long after its upload a purge looks at a blob.
	look time.Duration
	// sha256 and checksum are the columns of this name; if they are nil each blob has a
	// digest of its own, and no checksum.
	sha256, checksum any
}

// lookedAt are rows that nobody opened in time: a purge looked at them once, when their
// report window had passed, and put them back, so that look_at is purge_at.
var lookedAt = loadedRows{size: 64 << 10, look: unopenedTTL}

const loadColumns = `INSERT INTO blobs (id, tenant, state, policy, unlimited, shared_ticket,
		unopened_ttl, report_window, resume_window, upload_ttl, tombstone_ttl, max_size, keep,
		size, sha256, key, key_commitment, context, ready, created_at, upload_until, stored_at, expires_at, purge_at, look_at, checksum)`

const loadValues = `'acme', 'stored', 'view-once', 0, 0, $3, $4, $5, $6, $7, $8, $4,
		$10, SHA256, KEY, '', 'conversation 7', $9, at, at + $6, at, at + $3, at + $3, at + $11, CHECKSUM`

var (
	// An id is a UUIDv7: its first 48 bits are the milliseconds of the upload. What is
	// made here loadedBlob and loadedToken make too.
	loadPostgresBlobs = loadColumns + ` SELECT id, ` + strings.NewReplacer(
		"SHA256", "COALESCE($12::BYTEA, sha256(int8send(at)))", "CHECKSUM", "$13::BYTEA", "KEY", "replace(id::text, '-', '') || '-' || right(h, 16)").Replace(typed(loadValues)) + `
		FROM (SELECT at, h, uuid(lpad(to_hex(at / 1000), 12, '0') || '7' || substr(h, 1, 3) || '8' || substr(h, 4, 15)) AS id
			FROM (SELECT at, md5(at::text) AS h FROM (SELECT $2::BIGINT + n * ` + stepMicros + ` AS at FROM generate_series(0, $1::BIGINT - 1) n) a) b) c`

	loadPostgresTickets = `INSERT INTO tickets (id, blob_id, token_hash, recipient, state, created_at)
		SELECT id, blob_id, sha256(convert_to('mft_', 'UTF8') || uuid_send(id) || convert_to(h, 'UTF8')), 'recipient-' || $3::BIGINT, 'ready', created_at
		FROM (SELECT uuid(lpad(to_hex(created_at / 1000), 12, '0') || '7' || substr(h, 1, 3) || '8' || substr(h, 4, 15)) AS id, blob_id, created_at, h
			FROM (SELECT id AS blob_id, created_at, md5(created_at || '-' || $3::BIGINT) AS h FROM blobs
				WHERE id >= uuid(lpad(to_hex($1::BIGINT / 1000), 12, '0') || repeat('0', 20)) AND id < uuid(lpad(to_hex($2::BIGINT / 1000), 12, '0') || repeat('0', 20))) b) t`

	// Materialized, or each mention of id would be another random one.
	loadSQLiteBlobs = `WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < $1 - 1),
		a AS MATERIALIZED (SELECT $2 + n * ` + stepMicros + ` AS at, lower(hex(randomblob(9))) AS h FROM n),
		c AS MATERIALIZED (SELECT at, printf('%012x', at / 1000) || '7' || substr(h, 1, 3) || '8' || substr(h, 4, 15) AS id FROM a)
		` + loadColumns + ` SELECT unhex(id), ` + strings.NewReplacer(
		"SHA256", "COALESCE($12, randomblob(32))", "CHECKSUM", "$13", "KEY", "id || '-' || lower(hex(randomblob(8)))").Replace(loadValues) + ` FROM c`

	loadSQLiteTickets = `INSERT INTO tickets (id, blob_id, token_hash, recipient, state, created_at)
		SELECT unhex(printf('%012x', created_at / 1000) || '7' || substr(h, 1, 3) || '8' || substr(h, 4, 15)), id, randomblob(32), 'recipient-' || $3, 'ready', created_at
		FROM (SELECT id, created_at, lower(hex(randomblob(9))) AS h FROM blobs
			WHERE id >= unhex(printf('%012x', $1 / 1000)) AND id < unhex(printf('%012x', $2 / 1000)) LIMIT -1)`

	stepMicros = fmt.Sprint(loadStep.Microseconds())
)

// typed says of the parameters of loadValues that they are integers, as PostgreSQL wants.
func typed(values string) string {
	for i := 3; i <= 11; i++ {
		values = strings.ReplaceAll(values, fmt.Sprintf("$%d", i), fmt.Sprintf("$%d::BIGINT", i))
	}
	return values
}

// loadPostgres is for a database that has the schema.
func loadPostgres(url string) (*loader, error) {
	db, err := sql.Open("pgx", url)
	return &loader{db: db, blobs: loadPostgresBlobs, tickets: loadPostgresTickets, tidy: []string{"VACUUM ANALYZE blobs, tickets", "CHECKPOINT"}, rows: lookedAt}, err
}

// loadSQLite is for a database that has the schema. It is not durable before the end.
func loadSQLite(path string) (*loader, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?mode=rw&_pragma=synchronous(OFF)&_pragma=cache_size(-65536)&_pragma=busy_timeout(10000)")
	return &loader{db: db, blobs: loadSQLiteBlobs, tickets: loadSQLiteTickets, tidy: []string{"PRAGMA wal_checkpoint(TRUNCATE)"}, rows: lookedAt}, err
}

// load stores n blobs, the first at that time, with so many tickets each, and says when
// the last of them is due.
func (l *loader) load(ctx context.Context, n, tickets int, first time.Time) (last time.Time, err error) {
	for done := 0; done < n; done += loadRows {
		rows := min(n-done, loadRows)
		at := first.Add(time.Duration(done) * loadStep)
		if err := l.chunk(ctx, rows, tickets, at); err != nil {
			return last, fmt.Errorf("load: %w", err)
		}
	}
	return first.Add(time.Duration(n-1)*loadStep + unopenedTTL), nil
}

func (l *loader) chunk(ctx context.Context, rows, tickets int, at time.Time) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing, once it is committed
	_, err = tx.ExecContext(ctx, l.blobs, rows, at.UnixMicro(), unopenedTTL.Microseconds(), reportWindow.Microseconds(),
		resumeWindow.Microseconds(), uploadTTL.Microseconds(), tombstoneTTL.Microseconds(), int64(maxSize), tickets,
		l.rows.size, l.rows.look.Microseconds(), l.rows.sha256, l.rows.checksum)
	for i := 0; i < tickets && err == nil; i++ {
		_, err = tx.ExecContext(ctx, l.tickets, at.UnixMicro(), at.Add(time.Duration(rows)*loadStep).UnixMicro(), i)
	}
	if err != nil {
		return err
	}
	return tx.Commit()
}

// finish tidies up and closes.
func (l *loader) finish(ctx context.Context) error {
	return errors.Join(l.do(ctx, l.tidy...), l.db.Close())
}

func (l *loader) do(ctx context.Context, statements ...string) error {
	var errs []error
	for _, statement := range statements {
		_, err := l.db.ExecContext(ctx, statement)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
