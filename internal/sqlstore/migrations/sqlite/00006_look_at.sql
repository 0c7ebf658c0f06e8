-- +goose Up
-- When the purge has to look at a pending or stored blob: never later than purge_at. An
-- open moves purge_at, but rarely to before look_at, and so writes no index entry: the
-- purge looks, finds that it is not due yet, and puts off its next look.
ALTER TABLE blobs ADD COLUMN look_at INTEGER;
UPDATE blobs SET look_at = purge_at;
DROP INDEX blobs_due;
CREATE INDEX blobs_look ON blobs (look_at) WHERE state IN ('pending', 'stored');
