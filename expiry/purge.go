package expiry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
)

var (
	// ErrStoreDown ends a pass in which the blob store fails whatever is asked of
	// it: to go on would only hammer it.
	ErrStoreDown = errors.New("the blob store is failing")
	// ErrRemains is the failure of a blob that can still be read although the
	// store said that it was deleted: a store that breaks its promise.
	ErrRemains = errors.New("still there after its deletion")
)

const (
	// purgeBatch is large for the sake of folders, where each that a batch touches costs
	// an fsync; busyBatch is what nobody notices. The first batch of a pass is small, so
	// that the deletions begin soon; later ones double as long as the store is quick.
	purgeBatch      = 4000
	firstBatch      = 250
	busyBatch       = 200
	purgeMaxBatches = 1000
	purgeLease      = 5 * time.Minute

	// Back-off of an entry that could not be deleted.
	firstRetry   = time.Minute
	slowestRetry = time.Hour

	// barrenBatches in a row, of which nothing could be deleted, end a pass. One
	// alone may be a few blobs that are damaged, and others wait behind them.
	barrenBatches = 3

	// muchLater: by a clock that jumps, or in a pass that lasts very long.
	muchLater = 12 * time.Hour

	// maxFailures bounds the examples that a result carries.
	maxFailures = 10
)

// Purge erases what is due. Queue and Blobs are required. Run may be called at
// the same time by many processes: the queue divides the work among them.
type Purge struct {
	Queue Queue
	Blobs blobstore.Store
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// Batch is how many entries are claimed at once, at the most; 4000 if 0, and 200 while
	// Busy says so: once what was claimed before is done.
	Batch int
	// MaxBatches ends a pass that always finds more; 1000 if 0.
	MaxBatches int
	// Lease is how long a batch is kept from other processes; 5 minutes if 0. A third
	// of it is the time that the blob store has, so that a store that hangs is told
	// from one that works. A batch may wait for the one before, for as long: so what
	// happened is recorded within the lease, unless the database is slow too.
	Lease time.Duration
	// Busy, if not nil, says whether people are served at this moment. Then a pass
	// leaves them most of the machine (yields). Several goroutines may ask at once.
	Busy func() bool
	// MaxShare of all blobs is what a pass may erase without Force, of those whose
	// deadline has passed; 0.5 if 0. Allowed of them it may in any case; 1000 if 0.
	MaxShare float64
	Allowed  int64
	// Force lets a pass erase what the brake would stop.
	Force bool
	// Receipts signs a receipt for each blob that is erased; none if nil.
	Receipts *Signer
	// Progress, if not nil, is called after each batch, with the result so far.
	Progress func(PurgeResult)
}

// PurgeResult is what one pass did.
type PurgeResult struct {
	// Erased counts entries that became tombstones, lone upload attempts among
	// them; Reasons divides that number.
	Erased  int64
	Reasons map[string]int64
	// Bytes of what was erased, as announced.
	Bytes int64
	// Failed counts entries that were put off; Failures are the first ten of them.
	Failed   int64
	Failures []Failure
	// Stages divides what failed by its stage: Failed and, under StageRecord, what is
	// due again when the lease runs out.
	Stages map[string]int64
	// Unsigned counts blobs of which no receipt could be made although there is a
	// Signer: their rows say what cannot be true. They are among Erased.
	Unsigned int64
	// Forgotten counts tombstones whose time had come.
	Forgotten int64
	// More says that MaxBatches ended the pass and not the end of the work.
	More bool
}

// The stages of an entry's purge, as a Failure names them.
const (
	StageDelete     = "delete"     // the blob store did not delete the bytes
	StageVerify     = "verify"     // it says that they are deleted, and does not show it
	StageUnfinished = "unfinished" // an unfinished upload could not be removed
	StageRecord     = "record"     // the bytes are gone, and the tombstone could not be written
)

// Failure is a blob that could not be deleted or checked.
type Failure struct {
	// ID of the blob; zero for a lone attempt and for an orphan.
	ID uuid.UUID
	// Stage that failed; empty in a sweep.
	Stage string
	// Err names the key, where there is one.
	Err error
}

// Preview sums up what a pass would erase now, and changes nothing.
func (p *Purge) Preview(ctx context.Context) ([]Preview, error) {
	return p.Queue.Preview(ctx, p.now())
}

// Run makes one pass: it erases what is due, batch after batch, and forgets the
// tombstones whose time has come. What could not be deleted is put off and
// counted in the result; that alone is no error. The result holds also beside
// an error: of the Queue, of the context, ErrStopped, ErrBrake or ErrStoreDown.
// Wherever Run stops, what it had claimed is due again when the lease runs out.
func (p *Purge) Run(ctx context.Context) (PurgeResult, error) {
	var r PurgeResult
	if err := notStopped(ctx, p.Queue); err != nil {
		return r, err
	}
	at, some, err := p.begin(ctx)
	if err == nil && some {
		err = p.brake(ctx, at.began)
	}
	if err != nil {
		return r, err
	}
	err = p.eraseDue(ctx, at, &r)
	if err != nil && !errors.Is(err, ErrStoreDown) {
		return r, err
	}
	return r, errors.Join(err, p.forget(ctx, &r))
}

// eraseDue erases what was due when the pass began: what the brake has judged. Of a
// clock that jumps while the pass is under way it takes nothing.
func (p *Purge) eraseDue(ctx context.Context, at *place, r *PurgeResult) (err error) {
	most := cmp.Or(p.MaxBatches, purgeMaxBatches)
	size, barren := firstBatch, 0
	// While the bytes of a batch are deleted the next one is claimed, and the tombstones
	// of the one before are written: database, blob store and signatures do not wait for
	// each other.
	var ahead aside[claimed]
	var behind recording
	defer func() {
		ahead.wait() // what it has claimed is due again when the lease runs out
		err = errors.Join(err, behind.end(r))
	}()
	for n := range most {
		if err := ctx.Err(); err != nil {
			return err
		}
		if n > 0 && p.Progress != nil {
			p.Progress(*r)
		}
		if err := notStopped(ctx, p.Queue); err != nil {
			return err // somebody stopped this very pass
		}
		working := time.Now()
		next, ok := ahead.wait()
		if !ok {
			if p.farBehind(at.began) {
				// The lease of the batch before ends a day ahead: it looks lost to a claim.
				if err := behind.end(r); err != nil {
					return err
				}
			}
			next = p.claim(ctx, at, size)
		}
		if next.err != nil {
			return fmt.Errorf("claim what is due: %w", next.err)
		}
		batch := next.batch
		if len(batch) == 0 {
			return nil
		}
		last := len(batch) < next.limit || n == most-1 // the rest is not due, or others are at it
		yield := !last && p.yields(batch)
		if !last && !yield && !p.farBehind(at.began) {
			next := size
			ahead = beside(func() claimed { return p.claim(ctx, at, next) })
		}
		erasing := time.Now()
		gone, kept, deleted, down := p.erase(ctx, batch)
		size = p.resize(len(batch), time.Since(erasing))
		if err := errors.Join(ctx.Err(), behind.end(r)); err != nil {
			// Doubts that a cancelled context raised are nobody's failures: they are not
			// counted. The lease hands the batch to a later pass.
			return err
		}
		p.count(kept, r)
		behind = p.record(ctx, gone, kept, deleted)
		if down != nil {
			if err := behind.end(r); err != nil {
				return err
			}
			return fmt.Errorf("%w: %w", ErrStoreDown, down)
		}
		if barren++; len(gone) > 0 {
			barren = 0
		}
		if barren == barrenBatches {
			return fmt.Errorf("%w: nothing of %d batches could be deleted", ErrStoreDown, barren)
		}
		if len(batch) < next.limit {
			return nil
		}
		if yield {
			if err := behind.end(r); err != nil {
				return err
			}
			rest(ctx, time.Since(working))
		}
	}
	r.More = true
	return nil
}

// claimed is what a claim of up to limit got.
type claimed struct {
	batch []Due
	limit int
	err   error
}

// resize is how large a batch may be when one of n has taken the store so long: twice what
// was seen to be quick, half of what came near the end of its time.
func (p *Purge) resize(n int, took time.Duration) int {
	switch {
	case took < p.lease()/24:
		return 2 * n
	case took > p.lease()/6:
		return max(n/2, 1)
	}
	return n
}

// claim takes up to size of what was due when the pass began. The clock is read each time:
// a long pass must not take leases that have run out before they begin.
func (p *Purge) claim(ctx context.Context, at *place, size int) claimed {
	if err := at.advance(ctx, p.Queue); err != nil {
		return claimed{err: err}
	}
	now, limit := p.now(), min(p.limit(), size)
	due := now
	if at.began.Before(now) {
		due = at.began
	}
	batch, err := p.Queue.Claim(ctx, at.from, due, now.Sub(due)+p.lease(), limit)
	return claimed{batch, limit, err}
}

// farBehind: of one batch at a time only, then.
func (p *Purge) farBehind(began time.Time) bool { return p.now().Sub(began) > muchLater }

// doubt is an entry that is put off, and why.
type doubt struct {
	Due
	failure Failure
}

// erase deletes the bytes of one claimed batch, and divides it into what is gone and what
// is kept for a later pass.
func (p *Purge) erase(ctx context.Context, batch []Due) (gone []Due, kept []doubt, deleted deletion, down error) {
	doubts, deleted, down := p.deleteBytes(ctx, batch)
	for i, d := range batch {
		if doubts[i].Err == nil {
			gone = append(gone, d)
		} else {
			kept = append(kept, doubt{d, doubts[i]})
		}
	}
	return gone, kept, deleted, down
}

// count adds what is kept to the result.
func (p *Purge) count(kept []doubt, r *PurgeResult) {
	for _, d := range kept {
		r.Failed++
		r.failedAt(d.failure.Stage, 1)
		if len(r.Failures) < maxFailures {
			r.Failures = append(r.Failures, d.failure)
		}
	}
}

// deleteBytes deletes the bytes of the batch and looks whether they are gone. For
// each entry it returns why its bytes may still exist, without an error if they are
// seen to be gone; deleted is what the store has acknowledged, and down an error that
// concerns no single key.
func (p *Purge) deleteBytes(ctx context.Context, batch []Due) (doubts []Failure, deleted deletion, down error) {
	ctx, cancel := context.WithTimeout(ctx, p.lease()/3)
	defer cancel()

	var keys []blobstore.Key
	for _, d := range batch {
		keys = append(keys, d.Keys...)
	}
	failed, hung, down := p.deleteKeys(ctx, keys, &deleted)
	deleted.at = p.now()
	var seen map[blobstore.Key]bool
	if down == nil {
		keys = slices.DeleteFunc(keys, func(key blobstore.Key) bool { return failed[key] != nil })
		seen = blobstore.Absent(ctx, p.Blobs, keys...)
	}
	doubts = make([]Failure, len(batch))
	parallel(len(batch), func(i int) {
		for _, key := range batch[i].Keys {
			// A key whose deletion failed is not looked for: that it cannot be read
			// now does not say that it stays away (blobstore, number 4).
			stage, err := StageDelete, cmp.Or(failed[key], down)
			if err == nil && !seen[key] {
				stage, err = StageVerify, p.absent(ctx, key)
			}
			if err == nil && batch[i].mayBeUnfinished() {
				stage, err = StageUnfinished, p.discardUnfinished(ctx, key)
			}
			if err != nil {
				doubts[i] = Failure{ID: batch[i].ID, Stage: stage, Err: err}
				return
			}
		}
	})
	if down == nil {
		down = cmp.Or(hung, ctx.Err())
	}
	return doubts, deleted, down
}

// deleteKeys deletes in two thirds of the time, so that it can be seen what is gone also of
// a store that is too slow, or hangs.
func (p *Purge) deleteKeys(ctx context.Context, keys []blobstore.Key, deleted *deletion) (failed map[blobstore.Key]error, hung, down error) {
	if len(keys) == 0 {
		return nil, nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*p.lease()/9)
	defer cancel()
	removed, err := blobstore.DeleteCounted(ctx, p.Blobs, keys...)
	deleted.removed = removed
	failed, down = byKey(err)
	return failed, ctx.Err(), down
}

// discardUnfinished removes the unfinished uploads of a key, where the store knows
// them by key: a sweep may never be told of them.
func (p *Purge) discardUnfinished(ctx context.Context, key blobstore.Key) error {
	store, ok := p.Blobs.(blobstore.Unfinisher)
	if !ok {
		return nil
	}
	for info, err := range store.Unfinished(ctx, key) {
		if err == nil {
			err = p.Blobs.Discard(ctx, info)
		}
		if err != nil {
			return &blobstore.KeyError{Key: key, Err: err}
		}
	}
	return nil
}

// absent is nil if the store knows nothing of the key. P5: a store that answers
// anything else has not shown that the bytes are gone.
func (p *Purge) absent(ctx context.Context, key blobstore.Key) error {
	body, _, err := p.Blobs.Open(ctx, key, 0)
	switch {
	case errors.Is(err, blobstore.ErrNotFound):
		return nil
	case err == nil:
		err = errors.Join(ErrRemains, body.Close())
	}
	return &blobstore.KeyError{Key: key, Err: err}
}

func (r *PurgeResult) failedAt(stage string, n int) {
	if r.Stages == nil {
		r.Stages = make(map[string]int64)
	}
	r.Stages[stage] += int64(n)
}

func (p *Purge) forget(ctx context.Context, r *PurgeResult) error {
	for range cmp.Or(p.MaxBatches, purgeMaxBatches) {
		if err := ctx.Err(); err != nil {
			return err
		}
		limit, working := p.limit(), time.Now()
		n, err := p.Queue.Forget(ctx, p.now(), limit)
		if err != nil {
			return fmt.Errorf("forget old tombstones: %w", err)
		}
		r.Forgotten += int64(n)
		if n < limit {
			return nil
		}
		if p.busy() {
			rest(ctx, time.Since(working))
		}
	}
	r.More = true
	return nil
}

// backoff doubles from one minute to one hour. Of that, the second half is spread
// by the entry's own keys: what failed together does not come back together.
func backoff(d Due) time.Duration {
	delay := slowestRetry
	if d.Failures < 6 { // 2^6 minutes are more than an hour
		delay = firstRetry << max(d.Failures, 0)
	}
	h := fnv.New32a()
	for _, key := range d.Keys {
		h.Write([]byte(key))
	}
	return delay/2 + delay/2*time.Duration(h.Sum32()%1024)/1024
}

func (p *Purge) lease() time.Duration { return cmp.Or(p.Lease, purgeLease) }
func (p *Purge) now() time.Time       { return clock(p.Now) }

// clock reads now in the precision of the queue.
func clock(now func() time.Time) time.Time {
	if now == nil {
		now = time.Now
	}
	return now().UTC().Truncate(time.Microsecond)
}
