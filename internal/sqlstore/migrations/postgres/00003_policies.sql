-- As in SQLite's migration of this number, which says what the tables are.

-- +goose Up
CREATE TABLE policies (
    tenant        TEXT   NOT NULL,
    name          TEXT   NOT NULL,
    unlimited     BIGINT NOT NULL,
    shared_ticket BIGINT NOT NULL,
    unopened_ttl  BIGINT NOT NULL,
    report_window BIGINT NOT NULL,
    resume_window BIGINT NOT NULL,
    upload_ttl    BIGINT NOT NULL,
    tombstone_ttl BIGINT NOT NULL,
    max_size      BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE INDEX policies_upload ON policies (upload_ttl);

CREATE TABLE policy_changes (
    id              UUID   NOT NULL PRIMARY KEY,
    tenant          TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    changed_at      BIGINT NOT NULL,
    changed_by      TEXT   NOT NULL,
    before          TEXT,
    after           TEXT   NOT NULL,
    apply_to_stored BIGINT NOT NULL,
    upload_ttl      BIGINT NOT NULL,
    walked          UUID   NOT NULL,
    blobs           BIGINT NOT NULL,
    bytes           BIGINT NOT NULL,
    finished_at     BIGINT
);

CREATE INDEX policy_changes_open ON policy_changes (id) WHERE finished_at IS NULL;
CREATE INDEX policy_changes_upload ON policy_changes (changed_at, upload_ttl);

CREATE TABLE policy_lock (
    id BIGINT NOT NULL PRIMARY KEY
);

INSERT INTO policy_lock (id) VALUES (1);
