// Package world checks Mayfly's promises over the metadata store and the blob store
// as they stand: after each step of end-to-end and crash tests, whatever the step
// was and wherever it was cut off.
package world

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
)

// Rows is what the check reads of the metadata store.
type Rows interface {
	Stored(ctx context.Context, after uuid.UUID, limit int) ([]expiry.StoredBlob, error)
	Owned(ctx context.Context, keys []blobstore.Key) ([]bool, error)
}

// page is how many rows are read at a time.
const page = 500

// Check says every way in which the stores break a promise; nil if they keep all:
//
//   - a stored row has bytes of its size and SHA-256 (P1),
//   - complete bytes have a row that is no tombstone, as a blob or as an upload
//     attempt (P5): also those that were written a moment ago, as the row comes first.
func Check(ctx context.Context, rows Rows, blobs blobstore.Store) error {
	return errors.Join(checkRows(ctx, rows, blobs), checkBytes(ctx, rows, blobs))
}

// Empty says what is left in the blob store: after everything is purged and swept
// that must be nothing (P5).
func Empty(ctx context.Context, blobs blobstore.Store) error {
	var errs []error
	for info, err := range blobs.All(ctx) {
		if err != nil {
			return err
		}
		errs = append(errs, fmt.Errorf("%s%s remains (P5)", info.Key, info.Ref))
	}
	return errors.Join(errs...)
}

func checkRows(ctx context.Context, rows Rows, blobs blobstore.Store) error {
	var errs []error
	var after uuid.UUID
	for {
		stored, err := rows.Stored(ctx, after, page)
		if err != nil {
			return err
		}
		for _, b := range stored {
			after = b.ID
			if err := checkRow(ctx, b, blobs); err != nil {
				errs = append(errs, fmt.Errorf("stored blob %s: %w (P1)", b.ID, err))
			}
		}
		if len(stored) < page {
			return errors.Join(errs...)
		}
	}
}

func checkRow(ctx context.Context, b expiry.StoredBlob, blobs blobstore.Store) error {
	body, _, err := blobs.Open(ctx, b.Key, 0)
	if err != nil {
		return err
	}
	defer body.Close()
	h := sha256.New()
	n, err := io.Copy(h, body)
	switch sum := blobstore.Digest(h.Sum(nil)); {
	case err != nil:
		return err
	case n != b.Size:
		return fmt.Errorf("%d bytes, not %d", n, b.Size)
	case sum != b.SHA256:
		return fmt.Errorf("SHA-256 %s, not %s", sum, b.SHA256)
	}
	return nil
}

func checkBytes(ctx context.Context, rows Rows, blobs blobstore.Store) error {
	var keys []blobstore.Key
	for info, err := range blobs.All(ctx) {
		if err != nil {
			return err
		}
		if !info.Partial {
			keys = append(keys, info.Key)
		}
	}
	owned, err := rows.Owned(ctx, keys)
	if err != nil {
		return err
	}
	var errs []error
	for i, key := range keys {
		if !owned[i] {
			errs = append(errs, fmt.Errorf("blob %s has no row (P5)", key))
		}
	}
	return errors.Join(errs...)
}
