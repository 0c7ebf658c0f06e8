-- As in SQLite's migration of this number, which says what the tables are.

-- +goose Up
CREATE TABLE stops (
    what       TEXT   NOT NULL PRIMARY KEY,
    reason     TEXT   NOT NULL,
    stopped_by TEXT   NOT NULL,
    since      BIGINT NOT NULL
);
