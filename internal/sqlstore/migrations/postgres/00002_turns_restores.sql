-- As in SQLite's migration of this number, which says what the tables are.

-- +goose Up
CREATE TABLE turns (
    job    TEXT   NOT NULL PRIMARY KEY,
    holder UUID   NOT NULL,
    until  BIGINT NOT NULL,
    done   BIGINT NOT NULL
);

CREATE TABLE restores (
    id          UUID   NOT NULL PRIMARY KEY,
    began_at    BIGINT NOT NULL,
    finished_at BIGINT
);
