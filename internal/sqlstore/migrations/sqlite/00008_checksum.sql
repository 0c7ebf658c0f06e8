-- +goose Up
-- Of the bytes, with its secret key (package checksum). NULL before they are stored and once
-- they are erased, and of what was stored before, or is by a version that knows none: such
-- bytes are verified by their SHA-256. A tombstone that such a version makes may keep it.
ALTER TABLE blobs ADD COLUMN checksum BLOB CHECK (length(checksum) = 48);
