-- +goose Up
-- The signed statement that a blob was erased, with its tombstone and as long.
ALTER TABLE blobs ADD COLUMN receipt TEXT;
