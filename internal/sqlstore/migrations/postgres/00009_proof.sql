-- As in SQLite's migration of this number, which says what the column is.

-- +goose Up
ALTER TABLE blobs ADD COLUMN proof BYTEA;
