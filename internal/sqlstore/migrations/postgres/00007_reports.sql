-- As in SQLite's migration of this number, which says what the columns and tables are.

-- +goose Up
ALTER TABLE blobs ADD COLUMN evidence BIGINT  NOT NULL DEFAULT 0;
ALTER TABLE blobs ADD COLUMN pinned_until BIGINT;
ALTER TABLE blobs ADD COLUMN stamp TEXT;

CREATE TABLE reports (
    id                UUID    NOT NULL PRIMARY KEY,
    tenant            TEXT    NOT NULL,
    state             TEXT    NOT NULL CHECK (state = 'copying' OR state = 'awaiting_media' OR state = 'open' OR state = 'dismissed'
        OR state = 'upheld' OR state = 'escalated' OR state = 'withdrawn' OR state = 'lapsed'),
    ticket_id         UUID    NOT NULL,
    handle            BYTEA   NOT NULL CHECK (length(handle) = 32),
    idempotency       BYTEA   CHECK (length(idempotency) = 32),
    body              BYTEA   NOT NULL CHECK (length(body) = 32),

    blob_id           UUID    NOT NULL,
    sha256            BYTEA   NOT NULL CHECK (length(sha256) = 32),
    size              BIGINT  NOT NULL,
    key_commitment    TEXT    NOT NULL,
    context           TEXT    NOT NULL,
    stamp             TEXT,
    uploaded_at       BIGINT  NOT NULL,

    reason            TEXT    NOT NULL,
    comment           TEXT    NOT NULL,
    statement         TEXT    NOT NULL,
    statement_sha256  BYTEA   NOT NULL CHECK (length(statement_sha256) = 32),
    locale            TEXT    NOT NULL,
    shared            TEXT    NOT NULL,
    sealed_key        TEXT    NOT NULL,
    filed_at          BIGINT  NOT NULL,
    media_until       BIGINT,

    pin_until         BIGINT  NOT NULL,
    retry_at          BIGINT  NOT NULL,
    failures          BIGINT  NOT NULL DEFAULT 0,

    keep_until        BIGINT,
    claimed_by        UUID,
    claimed_until     BIGINT,
    decided_by        UUID,
    decided_at        BIGINT,
    policy            TEXT    NOT NULL DEFAULT '',
    note              TEXT    NOT NULL DEFAULT '',
    reopened_by       UUID,
    reopened_at       BIGINT,

    hold_class        TEXT,
    hold_reason       TEXT,
    hold_by           UUID,
    hold_since        BIGINT,
    hold_until        BIGINT,
    free_asked_by     UUID,
    free_asked_at     BIGINT,

    withdrawn_at      BIGINT,
    erased_at         BIGINT
);

CREATE UNIQUE INDEX reports_ticket ON reports (ticket_id);
CREATE INDEX reports_tenant ON reports (tenant, id);
CREATE INDEX reports_state ON reports (tenant, state, id);
CREATE INDEX reports_reason ON reports (tenant, reason, id);
CREATE INDEX reports_copying ON reports (retry_at) WHERE state = 'copying';
CREATE INDEX reports_pinning ON reports (blob_id) WHERE state = 'copying';
CREATE INDEX reports_waiting ON reports (state, filed_at) WHERE state IN ('copying', 'awaiting_media', 'open');
CREATE INDEX reports_held ON reports (hold_until) WHERE hold_until IS NOT NULL;
CREATE INDEX reports_tenant_held ON reports (tenant, id) WHERE hold_until IS NOT NULL;

CREATE TABLE audit (
    tenant    TEXT    NOT NULL,
    number    BIGINT  NOT NULL,
    at        BIGINT  NOT NULL,
    actor     TEXT    NOT NULL,
    act       TEXT    NOT NULL,
    report_id UUID    NOT NULL,
    subject   UUID,
    digest    BYTEA   CHECK (length(digest) = 32),
    previous  BYTEA   NOT NULL CHECK (length(previous) = 32),
    hash      BYTEA   NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (tenant, number)
);

CREATE TABLE audit_heads (
    tenant TEXT    NOT NULL PRIMARY KEY,
    number BIGINT  NOT NULL,
    hash   BYTEA   NOT NULL CHECK (length(hash) = 32)
);
