package apart

import (
	"context"
	"iter"
	"strings"

	"mayfly/blobstore"
)

// All implements blobstore.Store: the media store first.
func (s *Store) All(ctx context.Context) iter.Seq2[blobstore.Info, error] {
	if s.single() {
		return s.Media.All(ctx)
	}
	return func(yield func(blobstore.Info, error) bool) {
		// Those that may be in the evidence store as well: a few, or the evidence from
		// before it was kept apart.
		seen := map[blobstore.Key]bool{}
		for info, err := range s.media().marked(s.Media.All(ctx)) {
			if err == nil && !info.Partial && !ofSender(info.Key) {
				seen[info.Key] = true
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
		for info, err := range s.evidence().marked(s.Evidence.All(ctx)) {
			if err == nil && !info.Partial {
				if seen[info.Key] {
					continue
				}
				if ofSender(info.Key) {
					// P5: neither passed over, nor yielded to be deleted where it is not.
					info, err = blobstore.Info{}, s.evidence().failed(misplaced(info.Key))
				}
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}

// Unfinished implements blobstore.Unfinisher, of each store that does.
func (s *Store) Unfinished(ctx context.Context, key blobstore.Key) iter.Seq2[blobstore.Info, error] {
	return func(yield func(blobstore.Info, error) bool) {
		for _, p := range s.places(key) {
			store, ok := p.Store.(blobstore.Unfinisher)
			if !ok {
				continue
			}
			uploads := store.Unfinished(ctx, key)
			if !s.single() {
				uploads = p.marked(uploads)
			}
			for info, err := range uploads {
				if !yield(info, err) || err != nil {
					return
				}
			}
		}
	}
}

// An unfinished upload goes back to the store that yielded it. Its key does not always tell
// which that is, nor does it always have one; so the store's name goes before its Ref.

// marked marks the unfinished uploads of what the store yields, and its errors.
func (p place) marked(infos iter.Seq2[blobstore.Info, error]) iter.Seq2[blobstore.Info, error] {
	return func(yield func(blobstore.Info, error) bool) {
		for info, err := range infos {
			if info.Partial {
				info.Ref = p.name + ":" + info.Ref
			}
			if !yield(info, p.failed(err)) {
				return
			}
		}
	}
}

// unmarked is an unfinished upload as the store yielded it; false if it did not.
func (p place) unmarked(partial blobstore.Info) (blobstore.Info, bool) {
	ref, ok := strings.CutPrefix(partial.Ref, p.name+":")
	partial.Ref = ref
	return partial, ok
}
