-- +goose Up
-- The policies that are not as Mayfly comes with them. Tenant '' is all tenants; one of
-- a tenant goes before it. A row is never removed but for a tenant's, and blobs
-- do not refer to it: they have their terms in their own rows.
CREATE TABLE policies (
    tenant        TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    unlimited     INTEGER NOT NULL,
    shared_ticket INTEGER NOT NULL,
    unopened_ttl  INTEGER NOT NULL,
    report_window INTEGER NOT NULL,
    resume_window INTEGER NOT NULL,
    upload_ttl    INTEGER NOT NULL,
    tombstone_ttl INTEGER NOT NULL,
    max_size      INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

-- For the sweep, which asks for the longest of all tenants.
CREATE INDEX policies_upload ON policies (upload_ttl);

-- The record: who changed what, and how far a change has come that stored blobs follow.
CREATE TABLE policy_changes (
    id              BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    tenant          TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    changed_at      INTEGER NOT NULL,
    changed_by      TEXT    NOT NULL,
    before          TEXT, -- JSON, NULL for a new policy
    after           TEXT    NOT NULL,
    apply_to_stored INTEGER NOT NULL,
    upload_ttl      INTEGER NOT NULL, -- that it was before; 0 for a new policy
    walked          BLOB    NOT NULL CHECK (length(walked) = 16), -- blobs up to this id have followed
    blobs           INTEGER NOT NULL, -- of those the ones whose bytes go earlier
    bytes           INTEGER NOT NULL,
    finished_at     INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX policy_changes_open ON policy_changes (id) WHERE finished_at IS NULL;
CREATE INDEX policy_changes_upload ON policy_changes (changed_at, upload_ttl);

-- Whoever changes a policy locks this row: what it has read then holds until it ends.
CREATE TABLE policy_lock (
    id INTEGER NOT NULL PRIMARY KEY
) STRICT;

INSERT INTO policy_lock (id) VALUES (1);
