-- As in SQLite's migration of this number, which says what the columns are. Times are
-- Unix microseconds, and flags 0 or 1, in both. No foreign key, sequence or trigger:
-- no promise needs them, and not every engine that speaks PostgreSQL has them.
--
-- Rows of blobs and tickets are updated in place where their page has room left, so
-- that an open writes no index entry: hence the fillfactor.

-- +goose Up
CREATE TABLE blobs (
    id             UUID   NOT NULL PRIMARY KEY,
    tenant         TEXT   NOT NULL,
    state          TEXT   NOT NULL CHECK (state IN ('stored', 'pending', 'purging', 'erased')),

    policy         TEXT   NOT NULL,
    unlimited      BIGINT NOT NULL,
    shared_ticket  BIGINT NOT NULL,
    unopened_ttl   BIGINT NOT NULL,
    report_window  BIGINT NOT NULL,
    resume_window  BIGINT NOT NULL,
    upload_ttl     BIGINT NOT NULL,
    tombstone_ttl  BIGINT NOT NULL,
    max_size       BIGINT NOT NULL,
    keep           BIGINT NOT NULL,

    grant_hash     BYTEA  CHECK (length(grant_hash) = 32),
    size           BIGINT NOT NULL,
    announced      BYTEA  CHECK (length(announced) = 32),
    sha256         BYTEA  CHECK (length(sha256) = 32),
    key            TEXT,
    key_commitment TEXT   NOT NULL,
    context        TEXT   NOT NULL,

    ready          BIGINT NOT NULL CHECK (ready >= 0),
    created_at     BIGINT NOT NULL,
    upload_until   BIGINT NOT NULL,
    stored_at      BIGINT,
    expires_at     BIGINT,
    keep_until     BIGINT,
    purge_at       BIGINT NOT NULL,

    reason         TEXT   CHECK (reason IN ('opened', 'unopened', 'unsent', 'not_uploaded')),
    retry_at       BIGINT,
    failures       BIGINT NOT NULL DEFAULT 0,
    erased_at      BIGINT,
    forget_at      BIGINT,

    CHECK ((state = 'purging') = (retry_at IS NOT NULL)),
    CHECK (state NOT IN ('pending', 'erased') OR key IS NULL)
) WITH (fillfactor = 70);

CREATE INDEX blobs_due ON blobs (purge_at) WHERE state IN ('pending', 'stored');
CREATE INDEX blobs_purging ON blobs (retry_at) WHERE state = 'purging';
CREATE INDEX blobs_erased ON blobs (forget_at) WHERE state = 'erased';

CREATE TABLE tickets (
    id           UUID   NOT NULL PRIMARY KEY,
    blob_id      UUID   NOT NULL,
    token_hash   BYTEA  NOT NULL CHECK (length(token_hash) = 32),
    recipient    TEXT   NOT NULL,
    state        TEXT   NOT NULL CHECK (state IN ('opened', 'ready', 'delivered', 'revoked')),
    claim        BYTEA  CHECK (length(claim) = 32),
    created_at   BIGINT NOT NULL,
    opened_at    BIGINT,
    delivered_at BIGINT,
    revoked_at   BIGINT,
    contested    BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

CREATE INDEX tickets_blob ON tickets (blob_id, id);

CREATE TABLE attempts (
    blob_id  UUID   NOT NULL,
    key      TEXT   NOT NULL,
    due_at   BIGINT NOT NULL,
    retry_at BIGINT,
    failures BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (blob_id, key)
);

CREATE INDEX attempts_due ON attempts (due_at) WHERE retry_at IS NULL;
CREATE INDEX attempts_claimed ON attempts (retry_at) WHERE retry_at IS NOT NULL;

CREATE TABLE api_keys (
    id         UUID   NOT NULL PRIMARY KEY,
    tenant     TEXT   NOT NULL,
    role       TEXT   NOT NULL,
    token_hash BYTEA  NOT NULL CHECK (length(token_hash) = 32),
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);
