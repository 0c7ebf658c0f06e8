-- Times are Unix microseconds, durations microseconds; ids 16 bytes, hashes 32.
-- NULL means: not yet, or none. Tables are clustered by id: a UUIDv7 begins with
-- the time, so fresh rows lie together. No foreign keys: no promise needs them,
-- and every statement that removes a blob removes what is its own.
--
-- The checks spell out their ORs: of a list of more than two values SQLite makes a
-- temporary table, each time a row is written.

-- +goose Up
CREATE TABLE blobs (
    id             BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    tenant         TEXT    NOT NULL,
    state          TEXT    NOT NULL CHECK (state = 'stored' OR state = 'pending' OR state = 'purging' OR state = 'erased'),

    policy         TEXT    NOT NULL,
    unlimited      INTEGER NOT NULL,
    shared_ticket  INTEGER NOT NULL,
    unopened_ttl   INTEGER NOT NULL,
    report_window  INTEGER NOT NULL,
    resume_window  INTEGER NOT NULL,
    upload_ttl     INTEGER NOT NULL,
    tombstone_ttl  INTEGER NOT NULL,
    max_size       INTEGER NOT NULL,
    keep           INTEGER NOT NULL, -- Terms.Keep(), so that no statement repeats that rule

    grant_hash     BLOB    CHECK (length(grant_hash) = 32),
    size           INTEGER NOT NULL,
    announced      BLOB    CHECK (length(announced) = 32),
    sha256         BLOB    CHECK (length(sha256) = 32),
    key            TEXT,
    key_commitment TEXT    NOT NULL,
    context        TEXT    NOT NULL,

    ready          INTEGER NOT NULL CHECK (ready >= 0), -- tickets in state ready, so that an open need not look at its siblings
    created_at     INTEGER NOT NULL,
    upload_until   INTEGER NOT NULL,
    stored_at      INTEGER,
    expires_at     INTEGER,
    keep_until     INTEGER, -- the latest open + keep; NULL while nothing was opened
    purge_at       INTEGER NOT NULL,

    reason         TEXT    CHECK (reason = 'opened' OR reason = 'unopened' OR reason = 'unsent' OR reason = 'not_uploaded'),
    retry_at       INTEGER, -- of a purging blob: until then it is leased, or put off
    failures       INTEGER NOT NULL DEFAULT 0,
    erased_at      INTEGER,
    forget_at      INTEGER,

    CHECK ((state = 'purging') = (retry_at IS NOT NULL)),
    CHECK (state NOT IN ('pending', 'erased') OR key IS NULL)
) STRICT, WITHOUT ROWID;

-- The queue. Each index holds one kind of due work and nothing else, so that the
-- cost of a purge follows what is due, not what is stored.
CREATE INDEX blobs_due ON blobs (purge_at) WHERE state IN ('pending', 'stored');
CREATE INDEX blobs_purging ON blobs (retry_at) WHERE state = 'purging';
CREATE INDEX blobs_erased ON blobs (forget_at) WHERE state = 'erased';

CREATE TABLE tickets (
    id           BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    blob_id      BLOB    NOT NULL CHECK (length(blob_id) = 16),
    token_hash   BLOB    NOT NULL CHECK (length(token_hash) = 32),
    recipient    TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state = 'opened' OR state = 'ready' OR state = 'delivered' OR state = 'revoked'),
    claim        BLOB    CHECK (length(claim) = 32),
    created_at   INTEGER NOT NULL,
    opened_at    INTEGER,
    delivered_at INTEGER,
    revoked_at   INTEGER,
    contested    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX tickets_blob ON tickets (blob_id, id);

-- One row for each key under which bytes may lie that are nobody's blob yet.
CREATE TABLE attempts (
    blob_id  BLOB    NOT NULL CHECK (length(blob_id) = 16),
    key      TEXT    NOT NULL,
    due_at   INTEGER NOT NULL,
    retry_at INTEGER, -- once claimed by a purge: until then it is leased, or put off
    failures INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (blob_id, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempts_due ON attempts (due_at) WHERE retry_at IS NULL;
CREATE INDEX attempts_claimed ON attempts (retry_at) WHERE retry_at IS NOT NULL;

CREATE TABLE api_keys (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    tenant     TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    token_hash BLOB    NOT NULL CHECK (length(token_hash) = 32),
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
