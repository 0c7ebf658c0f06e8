package expiry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mayfly/blobstore"
)

const (
	sweepBatch = 500

	sweepMinAge   = 2 * day
	sweepMaxShare = 0.1
	sweepAllowed  = 100
	sweepCollect  = 10_000

	// strangers is how many orphans are too many when the database knows none of
	// the blobs that it was asked about.
	strangers = 10

	// storeFailures in a row end what needs one call of the blob store each.
	storeFailures = 3
)

// Sweep reconciles the blob store with the rows, in both directions: bytes that
// no row owns are deleted, rows whose bytes are missing are reported. Queue and
// Blobs are required. Run may be called at the same time by many processes,
// which then do the same work twice.
type Sweep struct {
	Queue Queue
	Blobs blobstore.Store
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// MinAge is how old bytes must be to be looked at, by the store's clock
	// compared with ours: it is hours, and a skew of minutes does not matter. 48
	// hours if 0; it must be at least SweepAge of the policies in use.
	MinAge time.Duration
	// MaxShare of all blobs in the store is what a pass may delete without Force;
	// 0.1 if 0. A hundred may be deleted in any case.
	MaxShare float64
	// Collect is how many orphans, and how many stale uploads, one pass removes at
	// the most, which bounds its memory; 10 000 if 0.
	Collect int
	// Force lets a pass delete what the brake would stop.
	Force bool
	// DryRun only counts.
	DryRun bool
}

// SweepAge is the least MinAge for the policies: twice their longest upload time,
// so that no upload can still be under way.
func SweepAge(policies []Policy) time.Duration {
	var longest time.Duration
	for _, p := range policies {
		longest = max(longest, p.UploadTTL)
	}
	return cmp.Or(2*longest, sweepMinAge)
}

// SweepResult is what one pass found and did.
type SweepResult struct {
	// Listed counts the complete blobs in the store.
	Listed, ListedBytes int64
	// Orphans are those of them, older than MinAge, that no row owns. Examples are
	// the first ten.
	Orphans, OrphanBytes int64
	Examples             []blobstore.Info
	// Stale counts unfinished uploads older than MinAge.
	Stale int64
	// Braked says that the orphans are too many to be deleted without Force.
	Braked bool

	// Deleted counts orphans and Discarded unfinished uploads that are gone now.
	Deleted, DeletedBytes int64
	Discarded             int64
	// More says that Collect left some for the next pass.
	More bool

	// Missing counts stored rows whose bytes are absent or not of their size: a
	// broken promise (P1), hence an alarm. MissingBlobs are the first hundred.
	Missing      int64
	MissingBlobs []MissingBlob
	// Damaged of the Missing are there, but not of their size.
	Damaged int64

	// Failed counts what could not be removed or checked; Failures are the first
	// ten of them.
	Failed   int64
	Failures []Failure
}

// MissingBlob is a row that promises bytes that the store does not have.
type MissingBlob struct {
	StoredBlob
	// Err wraps blobstore.ErrNotFound or blobstore.ErrSize.
	Err error
}

// maxMissing bounds SweepResult.MissingBlobs.
const maxMissing = 100

// found is what a walk collects.
type found struct {
	orphans, stale []blobstore.Info
	listing        listing
}

// Run makes one pass. What one call of the store could not do is counted in the
// result; that alone is no error. The result holds also beside an error: of the
// Queue, of the listing, of the context, ErrStopped, ErrBrake or ErrStoreDown. After
// an error before the end of the listing nothing was deleted.
func (s *Sweep) Run(ctx context.Context) (SweepResult, error) {
	var r SweepResult
	if !s.DryRun {
		if err := notStopped(ctx, s.Queue); err != nil {
			return r, err
		}
	}
	f, err := s.walk(ctx, &r)
	if err != nil {
		return r, err
	}
	err = errors.Join(
		s.deleteOrphans(ctx, f.orphans, &r),
		s.discardStale(ctx, f.stale, &r),
		s.checkRows(ctx, &f.listing, &r),
	)
	return r, err
}

// walk lists the store and collects what nobody owns. It deletes nothing, so that
// the brake can judge the whole before the first deletion.
func (s *Sweep) walk(ctx context.Context, r *SweepResult) (found, error) {
	f := found{listing: newListing()}
	collect := cmp.Or(s.Collect, sweepCollect)
	cutoff := clock(s.Now).Add(-cmp.Or(s.MinAge, sweepMinAge))
	known := false

	var old []blobstore.Info
	judge := func() error {
		owned, err := s.owned(ctx, old)
		if err != nil {
			return err
		}
		for i, info := range old {
			if owned[i] {
				known = true
				continue
			}
			r.Orphans++
			r.OrphanBytes += info.Size
			if len(r.Examples) < maxFailures {
				r.Examples = append(r.Examples, info)
			}
			f.orphans = collectUpTo(collect, f.orphans, info, &r.More)
		}
		old = old[:0]
		return nil
	}
	for info, err := range s.Blobs.All(ctx) {
		if err != nil {
			return found{}, fmt.Errorf("list the blob store: %w", err)
		}
		// A time that the store does not know is no proof of age.
		isOld := !info.ModifiedAt.IsZero() && info.ModifiedAt.Before(cutoff)
		if info.Partial {
			// Nothing can make a blob of it any more: the row that it was for takes
			// no bytes since MinAge/2 at the latest. So its owner does not matter.
			if isOld {
				r.Stale++
				f.stale = collectUpTo(collect, f.stale, info, &r.More)
			}
			continue
		}
		r.Listed++
		r.ListedBytes += info.Size
		f.listing.add(info.Key, info.Size)
		if !isOld {
			continue
		}
		if old = append(old, info); len(old) == sweepBatch {
			if err := judge(); err != nil {
				return found{}, err
			}
		}
	}
	if err := judge(); err != nil {
		return found{}, err
	}
	// A listing that a cancelled context cut short must not pass for a whole one.
	if err := ctx.Err(); err != nil {
		return found{}, err
	}
	r.Braked = !s.Force && s.tooMany(r, known)
	return f, nil
}

// tooMany reports whether the orphans look like our own mistake rather than
// remains: a wrong or restored database, a store that belongs to another one.
func (s *Sweep) tooMany(r *SweepResult, known bool) bool {
	allowed := max(sweepAllowed, int64(cmp.Or(s.MaxShare, sweepMaxShare)*float64(r.Listed)))
	return r.Orphans > allowed || !known && r.Orphans > strangers
}

func collectUpTo(limit int, infos []blobstore.Info, info blobstore.Info, more *bool) []blobstore.Info {
	if len(infos) >= limit {
		*more = true
		return infos
	}
	return append(infos, info)
}

// owned asks the queue who has a row. In doubt it is an error, and nothing of the
// batch is deleted.
func (s *Sweep) owned(ctx context.Context, infos []blobstore.Info) ([]bool, error) {
	if len(infos) == 0 {
		return nil, nil
	}
	keys := make([]blobstore.Key, len(infos))
	for i, info := range infos {
		keys[i] = info.Key
	}
	owned, err := s.Queue.Owned(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("look up the owners: %w", err)
	}
	if len(owned) != len(keys) {
		return nil, fmt.Errorf("look up the owners: %d answers for %d keys", len(owned), len(keys))
	}
	return owned, nil
}

func (s *Sweep) deleteOrphans(ctx context.Context, orphans []blobstore.Info, r *SweepResult) error {
	if s.DryRun {
		return nil
	}
	if r.Braked {
		return fmt.Errorf("%w: %d of %d blobs have no row in this database. If it is the right one, "+
			"look at them with a dry run and then force the sweep", ErrBrake, r.Orphans, r.Listed)
	}
	for batch := range slices.Chunk(orphans, sweepBatch) {
		if err := ctx.Err(); err != nil {
			return err
		}
		// Asked again right before the deletion: the walk may have taken hours. A
		// key is random and its row comes first, so an owner now means that the
		// first answer was wrong (a replica that lags, a database being restored).
		owned, err := s.owned(ctx, batch)
		if err != nil {
			return err
		}
		var keys []blobstore.Key
		for i, info := range batch {
			if !owned[i] {
				keys = append(keys, info.Key)
			}
		}
		if len(keys) == 0 {
			continue
		}
		failed, down := byKey(s.Blobs.Delete(ctx, keys...))
		if err := ctx.Err(); err != nil {
			return err
		}
		if down != nil {
			r.Failed += int64(len(keys))
			return fmt.Errorf("%w: delete orphans: %w", ErrStoreDown, down)
		}
		for i, info := range batch {
			switch err := failed[info.Key]; {
			case owned[i]:
			case err != nil:
				r.fail(Failure{Err: err})
			default:
				r.Deleted++
				r.DeletedBytes += info.Size
			}
		}
		if len(failed) == len(keys) && len(keys) >= storeFailures {
			return fmt.Errorf("%w: none of %d orphans could be deleted", ErrStoreDown, len(keys))
		}
	}
	return nil
}

func (s *Sweep) discardStale(ctx context.Context, stale []blobstore.Info, r *SweepResult) error {
	if s.DryRun {
		return nil
	}
	inARow := 0
	for _, info := range stale {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := s.Blobs.Discard(ctx, info)
		if err == nil {
			r.Discarded++
			inARow = 0
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.fail(Failure{Err: fmt.Errorf("discard the upload %s: %w", info.Ref, err)})
		if inARow++; inARow == storeFailures {
			return fmt.Errorf("%w: discard stale uploads: %w", ErrStoreDown, err)
		}
	}
	return nil
}

func (r *SweepResult) fail(f Failure) {
	r.Failed++
	if len(r.Failures) < maxFailures {
		r.Failures = append(r.Failures, f)
	}
}
