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
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
	"mayfly/reports"
	"mayfly/tickets"
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

// Reports is what CheckPins reads of the metadata store.
type Reports interface {
	Reports(ctx context.Context, tenant string, q reports.Query) ([]reports.Report, error)
	Blob(ctx context.Context, tenant string, id uuid.UUID, limit int) (tickets.Blob, []tickets.Ticket, error)
}

// pinTime is how long a report keeps the bytes that it is about from the purge.
const pinTime = 7 * 24 * time.Hour

// CheckPins says which bytes are not there that are pinned at now (design §11): of a
// tenant's reports
//
//   - one that is copying has the bytes that it is about, with their size and SHA-256, for
//     as long as its pin lasts, whatever became of the blob,
//   - one on hold has its evidence.
func CheckPins(ctx context.Context, rows Reports, blobs blobstore.Store, tenant string, now time.Time) error {
	var errs []error
	q := reports.Query{Limit: page, Now: now}
	for {
		rs, err := rows.Reports(ctx, tenant, q)
		if err != nil {
			return err
		}
		for _, r := range rs {
			q.After = r.ID
			if err := checkPin(ctx, r, rows, blobs, now); err != nil {
				errs = append(errs, fmt.Errorf("report %s: %w", r.ID, err))
			}
		}
		if len(rs) < page {
			return errors.Join(errs...)
		}
	}
}

func checkPin(ctx context.Context, r reports.Report, rows Reports, blobs blobstore.Store, now time.Time) error {
	if r.HoldAt(now) != nil && r.Evidence != reports.EvidenceStored {
		return fmt.Errorf("it is on hold, and its evidence is %s", r.Evidence) // of what is stored, Check tells
	}
	if r.State != reports.StateCopying || !now.Before(r.FiledAt.Add(pinTime)) {
		return nil
	}
	b, _, err := rows.Blob(ctx, r.Tenant, r.Blob, 1)
	if err == nil {
		err = checkRow(ctx, expiry.StoredBlob{ID: r.Blob, Key: b.Key, Size: r.Size, SHA256: r.SHA256}, blobs)
	}
	if err != nil {
		return fmt.Errorf("pinned blob %s, which is %q: %w", r.Blob, b.State, err)
	}
	return nil
}
