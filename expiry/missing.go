package expiry

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"

	"github.com/google/uuid"

	"mayfly/blobstore"
)

// checkRows looks for the bytes of every stored row. Most were in the listing that
// the pass has made anyway; only for the rest the store is asked one by one.
func (s *Sweep) checkRows(ctx context.Context, l *listing, r *SweepResult) error {
	var after uuid.UUID
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		page, err := s.Queue.Stored(ctx, after, sweepBatch)
		if err != nil {
			return fmt.Errorf("read the stored rows: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		after = page[len(page)-1].ID
		var unseen []StoredBlob
		for _, b := range page {
			if !l.has(b.Key, b.Size) {
				unseen = append(unseen, b)
			}
		}
		if err := s.checkBytes(ctx, unseen, r); err != nil {
			return err
		}
	}
}

// checkBytes asks the store for the bytes of each row, and the queue again about
// those that are not there.
func (s *Sweep) checkBytes(ctx context.Context, rows []StoredBlob, r *SweepResult) error {
	answers := make([]error, len(rows))
	parallel(len(rows), func(i int) { answers[i] = s.bytesOf(ctx, rows[i]) })
	if err := ctx.Err(); err != nil {
		return err
	}
	unanswered := 0
	for i, b := range rows {
		err := answers[i]
		switch {
		case err == nil:
		case errors.Is(err, blobstore.ErrNotFound), errors.Is(err, blobstore.ErrSize):
			still, queueErr := s.stillStored(ctx, b)
			if queueErr != nil {
				return queueErr
			}
			if !still {
				continue // purged since the page was read
			}
			r.Missing++
			if errors.Is(err, blobstore.ErrSize) {
				r.Damaged++
			}
			if len(r.MissingBlobs) < maxMissing {
				r.MissingBlobs = append(r.MissingBlobs, MissingBlob{StoredBlob: b, Err: err})
			}
		default:
			unanswered++
			r.fail(Failure{ID: b.ID, Err: err})
		}
	}
	if unanswered == len(rows) && unanswered >= storeFailures {
		return fmt.Errorf("%w: none of %d rows could be checked", ErrStoreDown, unanswered)
	}
	return nil
}

// bytesOf is nil if the store has the bytes that the row promises.
func (s *Sweep) bytesOf(ctx context.Context, b StoredBlob) error {
	body, info, err := s.Blobs.Open(ctx, b.Key, 0)
	if err != nil {
		return &blobstore.KeyError{Key: b.Key, Err: err}
	}
	body.Close() // nothing was read that its error could be about
	if info.Size != b.Size {
		return &blobstore.KeyError{Key: b.Key, Err: fmt.Errorf("%w: %d bytes, not %d", blobstore.ErrSize, info.Size, b.Size)}
	}
	return nil
}

// stillStored reads the row again, as the page of one that begins right before it.
// A blob never goes back to stored, so if it is stored now it was when its bytes
// were found missing. Owned would not do: it also knows the rows that a purge has
// begun with, whose bytes may rightly be gone.
func (s *Sweep) stillStored(ctx context.Context, b StoredBlob) (bool, error) {
	page, err := s.Queue.Stored(ctx, before(b.ID), 1)
	if err != nil {
		return false, fmt.Errorf("read a stored row again: %w", err)
	}
	return len(page) == 1 && page[0].ID == b.ID, nil
}

// before is the greatest id that is less than id.
func before(id uuid.UUID) uuid.UUID {
	for i := len(id) - 1; i >= 0; i-- {
		id[i]--
		if id[i] != 0xff {
			break
		}
	}
	return id
}

// listing remembers what a walk has seen, as hashes with a seed of their own: a
// million blobs are some 20 MB. What is beyond that is not remembered, and its
// rows are checked at the store. That two of a million agree by chance, and hide
// that one is missing, is less likely than 1 in 10^7, and other with each pass.
type listing struct {
	seed maphash.Seed
	seen map[uint64]struct{}
}

const maxListing = 1 << 20

func newListing() listing {
	return listing{seed: maphash.MakeSeed(), seen: make(map[uint64]struct{})}
}

func (l *listing) add(key blobstore.Key, size int64) {
	if len(l.seen) < maxListing {
		l.seen[l.hash(key, size)] = struct{}{}
	}
}

func (l *listing) has(key blobstore.Key, size int64) bool {
	_, ok := l.seen[l.hash(key, size)]
	return ok
}

func (l *listing) hash(key blobstore.Key, size int64) uint64 {
	return maphash.Comparable(l.seed, StoredBlob{Key: key, Size: size})
}
