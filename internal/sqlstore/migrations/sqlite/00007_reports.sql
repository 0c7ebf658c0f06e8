-- +goose Up
-- Evidence is a blob with the id of its report, and flag 1. pinned_until: before that no
-- purge takes the bytes, whatever else is due: a report copies them, or a hold keeps them.
ALTER TABLE blobs ADD COLUMN evidence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE blobs ADD COLUMN pinned_until INTEGER;
-- What was stamped when the bytes were stored (package stamp).
ALTER TABLE blobs ADD COLUMN stamp TEXT;

-- One row for each report, as long as its evidence's row or tombstone. Whoever changes one
-- locks the evidence's blob before. Texts and the sealed key go with the evidence's bytes.
CREATE TABLE reports (
    id                BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    tenant            TEXT    NOT NULL,
    state             TEXT    NOT NULL CHECK (state = 'copying' OR state = 'awaiting_media' OR state = 'open' OR state = 'dismissed'
        OR state = 'upheld' OR state = 'escalated' OR state = 'withdrawn' OR state = 'lapsed'),
    ticket_id         BLOB    NOT NULL CHECK (length(ticket_id) = 16),
    handle            BLOB    NOT NULL CHECK (length(handle) = 32),
    idempotency       BLOB    CHECK (length(idempotency) = 32),
    body              BLOB    NOT NULL CHECK (length(body) = 32),

    blob_id           BLOB    NOT NULL CHECK (length(blob_id) = 16), -- that is reported
    sha256            BLOB    NOT NULL CHECK (length(sha256) = 32),
    size              INTEGER NOT NULL,
    key_commitment    TEXT    NOT NULL,
    context           TEXT    NOT NULL,
    stamp             TEXT,
    uploaded_at       INTEGER NOT NULL,

    reason            TEXT    NOT NULL,
    comment           TEXT    NOT NULL,
    statement         TEXT    NOT NULL, -- of consent
    statement_sha256  BLOB    NOT NULL CHECK (length(statement_sha256) = 32),
    locale            TEXT    NOT NULL,
    shared            TEXT    NOT NULL,
    sealed_key        TEXT    NOT NULL, -- '' once it is erased
    filed_at          INTEGER NOT NULL,
    media_until       INTEGER,

    pin_until         INTEGER NOT NULL, -- of the reported blob, while copying
    retry_at          INTEGER NOT NULL, -- while copying: until then a process is at it, or it is put off
    failures          INTEGER NOT NULL DEFAULT 0,

    keep_until        INTEGER, -- of the evidence, without a hold
    claimed_by        BLOB    CHECK (length(claimed_by) = 16),
    claimed_until     INTEGER,
    decided_by        BLOB    CHECK (length(decided_by) = 16),
    decided_at        INTEGER,
    policy            TEXT    NOT NULL DEFAULT '',
    note              TEXT    NOT NULL DEFAULT '',
    reopened_by       BLOB    CHECK (length(reopened_by) = 16),
    reopened_at       INTEGER,

    hold_class        TEXT,
    hold_reason       TEXT,
    hold_by           BLOB    CHECK (length(hold_by) = 16),
    hold_since        INTEGER,
    hold_until        INTEGER,
    free_asked_by     BLOB    CHECK (length(free_asked_by) = 16),
    free_asked_at     INTEGER,

    withdrawn_at      INTEGER,
    erased_at         INTEGER
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX reports_ticket ON reports (ticket_id);
CREATE INDEX reports_tenant ON reports (tenant, id);
CREATE INDEX reports_state ON reports (tenant, state, id);
CREATE INDEX reports_reason ON reports (tenant, reason, id);
CREATE INDEX reports_copying ON reports (retry_at) WHERE state = 'copying';
CREATE INDEX reports_pinning ON reports (blob_id) WHERE state = 'copying';
CREATE INDEX reports_waiting ON reports (state, filed_at) WHERE state IN ('copying', 'awaiting_media', 'open');
CREATE INDEX reports_held ON reports (hold_until) WHERE hold_until IS NOT NULL;
CREATE INDEX reports_tenant_held ON reports (tenant, id) WHERE hold_until IS NOT NULL;

-- The audit log: a chain for each tenant, and its last entry. No row is ever changed or
-- removed but the heads.
CREATE TABLE audit (
    tenant    TEXT    NOT NULL,
    number    INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    act       TEXT    NOT NULL,
    report_id BLOB    NOT NULL CHECK (length(report_id) = 16),
    subject   BLOB    CHECK (length(subject) = 16),
    digest    BLOB    CHECK (length(digest) = 32),
    previous  BLOB    NOT NULL CHECK (length(previous) = 32),
    hash      BLOB    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (tenant, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_heads (
    tenant TEXT    NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL,
    hash   BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT, WITHOUT ROWID;
