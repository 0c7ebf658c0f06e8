-- +goose Up
-- What an operator has stopped until further notice.
CREATE TABLE stops (
    what       TEXT    NOT NULL PRIMARY KEY,
    reason     TEXT    NOT NULL,
    stopped_by TEXT    NOT NULL,
    since      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
