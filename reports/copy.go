package reports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/checksum"
)

const (
	copyBatch = 8
	// copiesAbreast bounds what copies do to the blob store beside opens and uploads.
	copiesAbreast = 2
	// copyLease is how long a copy is kept from other processes; it is renewed while the
	// copy runs, so that it need not be longer than any copy.
	copyLease  = 2 * time.Minute
	renewEvery = copyLease / 4

	// copyEvery is when a server looks for copies that another, which died, has left.
	copyEvery = time.Minute

	firstCopyRetry   = 5 * time.Second
	slowestCopyRetry = 15 * time.Minute
)

// ErrDamaged: a copy is not what the sender uploaded. Nothing of it is kept.
var ErrDamaged = errors.New("the copy has another SHA-256 than the reported blob")

// Copied is what a pass did.
type Copied struct {
	// Copied reports are open; Awaiting wait for their reporters' bytes, since ours were
	// not to be had; Failed are tried again.
	Copied, Awaiting, Failed int64
	// Failures are the first ten of them.
	Failures []CopyFailure
}

// CopyFailure is a copy that is tried again, or is given up.
type CopyFailure struct {
	Report uuid.UUID
	Err    error
}

const maxFailures = 10

// Run copies what is reported until ctx ends: at once what is filed here, and within a
// minute what a server that died has left. tell, if not nil, is given what each pass did.
func (s *Service) Run(ctx context.Context, tell func(Copied, error)) {
	ticks := time.NewTicker(copyEvery)
	defer ticks.Stop()
	for {
		r, err := s.CopyDue(ctx)
		if tell != nil && ctx.Err() == nil {
			tell(r, err)
		}
		var retry <-chan time.Time
		if r.Failed > 0 {
			retry = time.After(firstCopyRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake.signal():
		case <-ticks.C:
		case <-retry:
		}
	}
}

// CopyDue makes one pass: it copies the evidence of every report that is due for a try.
// What failed is put off and counted; that alone is no error. May be called at the same
// time by many processes, which divide the work.
func (s *Service) CopyDue(ctx context.Context) (Copied, error) {
	var all Copied
	var mu sync.Mutex
	for ctx.Err() == nil {
		batch, err := s.Store.ClaimCopies(ctx, s.now(), copyLease, copyBatch)
		if err != nil {
			return all, &StoreError{"claim what is to be copied", err}
		}
		slots := make(chan struct{}, copiesAbreast)
		var done sync.WaitGroup
		for _, c := range batch {
			slots <- struct{}{}
			done.Go(func() {
				defer func() { <-slots }()
				end, err := s.copy(ctx, c)
				mu.Lock()
				defer mu.Unlock()
				all.add(c, end, err)
			})
		}
		done.Wait()
		if len(batch) < copyBatch {
			break
		}
	}
	return all, ctx.Err()
}

// copyEnd is how a copy ended.
type copyEnd int

const (
	copyFailed copyEnd = iota
	copyDone
	copyAwaits
	copyObsolete // the report was withdrawn, or another process has copied it
)

func (r *Copied) add(c Copy, end copyEnd, err error) {
	switch end {
	case copyDone:
		r.Copied++
	case copyAwaits:
		r.Awaiting++
	case copyFailed:
		r.Failed++
	}
	if err != nil && len(r.Failures) < maxFailures {
		r.Failures = append(r.Failures, CopyFailure{c.Report, err})
	}
}

// copy makes the evidence of one report, and records how that ended.
func (s *Service) copy(ctx context.Context, c Copy) (copyEnd, error) {
	key := blobstore.NewEvidenceKey(c.Report)
	err := s.tryCopy(ctx, c, key)
	switch {
	case err == nil:
		return copyDone, nil
	case ctx.Err() != nil:
		return copyFailed, err // the lease hands it to another, or to us after a restart
	case errors.Is(err, ErrTooLate):
		return copyObsolete, nil
	case errors.Is(err, errNoSource), errors.Is(err, ErrDamaged) && c.Failures > 0, !s.now().Before(c.Until):
		// The bytes are not to be had from us. Damage is believed the second time: the
		// first may have been on the way.
		if awaitErr := s.Store.AwaitMedia(ctx, c.Report, s.now()); awaitErr != nil {
			return copyFailed, errors.Join(err, awaitErr)
		}
		return copyAwaits, err
	}
	return copyFailed, errors.Join(err, s.Store.PutOffCopy(ctx, c.Report, s.now().Add(copyBackoff(c.Failures)), true))
}

// errNoSource: the reported bytes are not where their row says.
var errNoSource = errors.New("the reported bytes are gone")

func (s *Service) tryCopy(ctx context.Context, c Copy, key blobstore.Key) error {
	if c.Source == "" {
		return errNoSource
	}
	if err := s.Store.BeginEvidence(ctx, c.Report, key, s.now()); err != nil {
		return fmt.Errorf("record the copy: %w", err)
	}
	sum, err := s.copyBytes(ctx, c, key)
	if err != nil {
		s.discard(ctx, c.Report, key)
		return err
	}
	err = s.Store.StoreEvidence(ctx, StoredEvidence{
		Report: c.Report, Key: key, SHA256: c.SHA256, Checksum: sum, Now: s.now(), Act: ActCopied,
	})
	if errors.Is(err, ErrTooLate) {
		s.discard(ctx, c.Report, key)
	}
	// After any other error it may have happened, so the bytes stay: if it did not, the
	// attempt is still on record and the purge deletes them.
	return err
}

// copyBytes copies and verifies, and keeps the lease meanwhile.
func (s *Service) copyBytes(ctx context.Context, c Copy, key blobstore.Key) (checksum.Sum, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.renew(ctx, c.Report)

	if err := s.Blobs.Copy(ctx, key, c.Source); err != nil {
		if errors.Is(err, blobstore.ErrNotFound) {
			err = fmt.Errorf("%w: %w", errNoSource, err)
		}
		return checksum.Sum{}, fmt.Errorf("copy: %w", err)
	}
	return s.verify(ctx, key, c)
}

// verify reads the copy: what a server says that it has copied is not evidence yet.
func (s *Service) verify(ctx context.Context, key blobstore.Key, c Copy) (checksum.Sum, error) {
	var none checksum.Sum
	body, info, err := s.Blobs.Open(ctx, key, 0)
	if err != nil {
		// That it is not there means nothing about the source: we have just put it there.
		return none, fmt.Errorf("open the copy: %s", err)
	}
	defer body.Close()
	if info.Size != c.Size {
		return none, fmt.Errorf("%w: %d bytes, not %d", ErrDamaged, info.Size, c.Size)
	}
	keyed := checksum.New()
	_, err = io.Copy(io.Discard, blobstore.NewDigestReader(io.TeeReader(body, keyed), c.Size, &c.SHA256))
	switch {
	case errors.Is(err, blobstore.ErrDigest), errors.Is(err, blobstore.ErrSize):
		return none, fmt.Errorf("%w: %w", ErrDamaged, err)
	case err != nil:
		return none, fmt.Errorf("read the copy: %w", err)
	}
	return keyed.Checksum(), nil
}

// renew keeps the copy from other processes until ctx ends. If it cannot, another one
// copies too, and one of them wins.
func (s *Service) renew(ctx context.Context, report uuid.UUID) {
	ticks := time.NewTicker(renewEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			_ = s.Store.PutOffCopy(ctx, report, s.now().Add(copyLease), false)
		}
	}
}

// discard deletes what a failed attempt may have left, and then its record. What it cannot
// do now the purge does later: the record stays until the bytes are gone.
func (s *Service) discard(ctx context.Context, report uuid.UUID, key blobstore.Key) {
	ctx, cancel := settle(ctx)
	defer cancel()
	if err := s.Blobs.Delete(ctx, key); err == nil {
		_ = s.Store.DropAttempt(ctx, report, key)
	}
}

func copyBackoff(failures int) time.Duration {
	if failures > 8 { // 5 s << 8 is more than a quarter of an hour
		return slowestCopyRetry
	}
	return min(firstCopyRetry<<max(failures, 0), slowestCopyRetry)
}
