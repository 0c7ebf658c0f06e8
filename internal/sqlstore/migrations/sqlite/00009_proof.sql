-- +goose Up
-- What a tombstone keeps of its receipt beside what its row says (expiry.Envelope); receipt
-- is of tombstones from before. A version that knows only that column serves no receipt of
-- a tombstone that has this one.
ALTER TABLE blobs ADD COLUMN proof BLOB;
