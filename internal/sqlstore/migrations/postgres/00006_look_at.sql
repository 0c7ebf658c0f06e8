-- As in SQLite's migration of this number, which says what the column is.

-- +goose Up
ALTER TABLE blobs ADD COLUMN look_at BIGINT;
UPDATE blobs SET look_at = purge_at;
DROP INDEX blobs_due;
CREATE INDEX blobs_look ON blobs (look_at) WHERE state IN ('pending', 'stored');
