package bucket

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"mayfly/blobstore"
)

// All implements blobstore.Store. A key of which only old versions or a delete marker
// are left is yielded too: its bytes may still be there, and nobody owns them.
func (s *Store) All(ctx context.Context) iter.Seq2[blobstore.Info, error] {
	return func(yield func(blobstore.Info, error) bool) {
		if err := s.list(ctx, yield); err != nil && err != errStop {
			yield(blobstore.Info{}, fmt.Errorf("list blobs: %w", err))
		}
	}
}

// errStop ends a listing that nobody wants the rest of.
var errStop = errors.New("enough")

func (s *Store) list(ctx context.Context, yield func(blobstore.Info, error) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var seen recent
	for o, err := range s.client.Versions(ctx, s.prefix) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		key, ok := s.key(o.Name)
		if !ok || !seen.add(o.Name) {
			continue // the newest version comes first, and stands for all
		}
		if !yield(infoOf(key, o), nil) {
			return errStop
		}
	}
	for u, err := range s.client.Uploads(ctx, s.prefix) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		key, ok := s.key(u.Name)
		if !ok {
			continue
		}
		if !yield(blobstore.Info{Key: key, ModifiedAt: u.BegunAt, Partial: true, Ref: u.ID}, nil) {
			return errStop
		}
	}
	return nil
}

// Unfinished implements blobstore.Unfinisher.
func (s *Store) Unfinished(ctx context.Context, key blobstore.Key) iter.Seq2[blobstore.Info, error] {
	return func(yield func(blobstore.Info, error) bool) {
		ctx, cancel := s.Limits.request(ctx)
		defer cancel()
		for u, err := range s.client.Uploads(ctx, s.name(key)) {
			if err != nil {
				yield(blobstore.Info{}, fmt.Errorf("list the unfinished uploads of %s: %w", key, err))
				return
			}
			if u.Name == s.name(key) && !yield(blobstore.Info{Key: key, ModifiedAt: u.BegunAt, Partial: true, Ref: u.ID}, nil) {
				return
			}
		}
	}
}

// recent remembers the names that came last. Versions of one name lie together, but
// where others write meanwhile not all servers list them so.
type recent struct{ now, before map[string]struct{} }

const maxRecent = 5000

// add reports whether the name is new.
func (r *recent) add(name string) bool {
	if _, ok := r.now[name]; ok {
		return false
	}
	if _, ok := r.before[name]; ok {
		return false
	}
	if r.now == nil || len(r.now) >= maxRecent {
		r.now, r.before = make(map[string]struct{}), r.now
	}
	r.now[name] = struct{}{}
	return true
}
