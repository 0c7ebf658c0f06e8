-- +goose Up
-- Whose turn it is at a job that one replica at a time does for all.
CREATE TABLE turns (
    job    TEXT    NOT NULL PRIMARY KEY,
    holder BLOB    NOT NULL CHECK (length(holder) = 16),
    until  INTEGER NOT NULL,
    done   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- When the database was brought back from a backup, and its tickets were made void.
-- One that is not finished keeps every process from opening the database.
CREATE TABLE restores (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    began_at    INTEGER NOT NULL,
    finished_at INTEGER
) STRICT, WITHOUT ROWID;
