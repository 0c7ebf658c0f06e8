package apart

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mayfly/blobstore"
)

// Delete implements blobstore.Store. What one store fails with fails none of the keys that
// only the other was asked for.
func (s *Store) Delete(ctx context.Context, keys ...blobstore.Key) error {
	_, err := s.DeleteCounted(ctx, keys...)
	return err
}

// DeleteCounted implements blobstore.CountingDeleter. It tells of the keys of which every
// store tells that was asked for them.
func (s *Store) DeleteCounted(ctx context.Context, keys ...blobstore.Key) (map[blobstore.Key]int64, error) {
	if s.single() {
		return blobstore.DeleteCounted(ctx, s.Media, keys...)
	}
	var inBoth []blobstore.Key
	for _, key := range keys {
		if !ofSender(key) {
			inBoth = append(inBoth, key)
		}
	}
	if len(inBoth) == 0 {
		return s.media().delete(ctx, keys)
	}
	ctx, cancel := halfOf(ctx)
	defer cancel()
	var media, evidence error
	var ofMedia, ofEvidence map[blobstore.Key]int64
	var both sync.WaitGroup
	both.Go(func() { ofMedia, media = s.media().delete(ctx, keys) })
	both.Go(func() { ofEvidence, evidence = s.evidence().delete(ctx, inBoth) })
	both.Wait()
	removed := make(map[blobstore.Key]int64, len(ofMedia))
	for key, n := range ofMedia {
		more, told := ofEvidence[key]
		if told || ofSender(key) {
			removed[key] = n + more
		}
	}
	return removed, errors.Join(media, evidence)
}

// halfOf is ctx with half of the time that is left. A purge looks, in the same time, whether
// what was deleted is gone: because one store hangs it must not find everything in doubt.
func halfOf(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/2))
}

// delete deletes keys. Each error names a key: one that names none concerns all that this
// store was asked for, and nothing that the other was.
func (p place) delete(ctx context.Context, keys []blobstore.Key) (map[blobstore.Key]int64, error) {
	// p.Store and not p: what embeds a store does not count.
	removed, err := blobstore.DeleteCounted(ctx, p.Store, keys...)
	if err == nil {
		return removed, nil
	}
	named := map[blobstore.Key]bool{}
	var errs []error
	fail := func(key blobstore.Key, err error) {
		named[key] = true
		errs = append(errs, &blobstore.KeyError{Key: key, Err: p.failed(err)})
	}
	if rest := eachKey(err, fail); rest != nil {
		for _, key := range keys {
			if !named[key] {
				fail(key, rest)
			}
		}
	}
	return removed, errors.Join(errs...)
}

// eachKey calls fail for each *blobstore.KeyError in err, and returns what names no key.
func eachKey(err error, fail func(blobstore.Key, error)) (rest error) {
	var keyErr *blobstore.KeyError
	switch e := err.(type) {
	case *blobstore.KeyError:
		fail(e.Key, e.Err)
		return nil
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			rest = errors.Join(rest, eachKey(err, fail))
		}
		return rest
	case interface{ Unwrap() error }:
		if errors.As(err, &keyErr) {
			return eachKey(e.Unwrap(), fail)
		}
	}
	return err
}

// Discard implements blobstore.Store.
func (s *Store) Discard(ctx context.Context, partial blobstore.Info) error {
	if s.single() {
		return s.Media.Discard(ctx, partial)
	}
	for _, p := range []place{s.media(), s.evidence()} {
		if own, ok := p.unmarked(partial); ok {
			return p.failed(p.Discard(ctx, own))
		}
	}
	return fmt.Errorf("discard %q: not an unfinished upload", partial.Ref)
}
