package bucket

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mayfly/blobstore"
)

const (
	// nearby is how many characters keys begin with alike that are looked for together:
	// of those that begin with a time it is that of a minute.
	nearby = 8
	// fewest keys that are worth a listing in place of a request for each.
	fewest = 16
	// listings is how many are under way at a time.
	listings = 8
)

// Absent implements blobstore.AbsenceTeller: what was stored in one minute lies together
// in a listing, and is mostly deleted together. Where there is as much else in between, it
// gives up: to ask for each key is no more work then. It leaves half of the time for that.
func (s *Store) Absent(ctx context.Context, keys ...blobstore.Key) map[blobstore.Key]bool {
	if deadline, ok := ctx.Deadline(); ok {
		half, cancel := context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/2))
		defer cancel()
		ctx = half
	}
	good := slices.DeleteFunc(slices.Clone(keys), func(key blobstore.Key) bool {
		_, err := blobstore.ParseKey(string(key))
		return err != nil || len(key) < nearby
	})
	slices.Sort(good)
	absent := make(map[blobstore.Key]bool, len(keys))
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(listings)
	for group := range together(slices.Compact(good)) {
		if len(group) < fewest {
			continue
		}
		g.Go(func() error {
			gone := s.absentOf(ctx, group)
			mu.Lock()
			defer mu.Unlock()
			for _, key := range gone {
				absent[key] = true
			}
			return nil
		})
	}
	g.Wait() // always nil
	return absent
}

// together yields the keys, which are sorted, in groups that begin alike.
func together(keys []blobstore.Key) func(yield func([]blobstore.Key) bool) {
	return func(yield func([]blobstore.Key) bool) {
		for begin := 0; begin < len(keys); {
			end := begin + 1
			for end < len(keys) && keys[end][:nearby] == keys[begin][:nearby] {
				end++
			}
			if !yield(keys[begin:end]) {
				return
			}
			begin = end
		}
	}
}

// absentOf lists what lies between the first and the last of the group. Versions and
// markers count as there.
func (s *Store) absentOf(ctx context.Context, group []blobstore.Key) (gone []blobstore.Key) {
	if ctx.Err() != nil {
		return nil
	}
	ctx, cancel := s.Limits.request(ctx)
	defer cancel()
	prefix, after := between(group[0], group[len(group)-1])
	marker := ""
	if after != "" {
		marker = s.name(after)
	}
	there := make(map[blobstore.Key]struct{})
	n, before := 0, blobstore.Key("")
	for o, err := range s.client.VersionsAfter(ctx, s.name(prefix), marker) {
		if n++; err != nil || n > 2*len(group)+FewVersions {
			return nil
		}
		key, ok := s.key(o.Name)
		if !ok {
			continue // not ours: servers differ about where a slash sorts
		}
		if key < before {
			return nil // out of order: what is missing may come yet
		}
		if before = key; key > group[len(group)-1] {
			break
		}
		there[key] = struct{}{}
	}
	for _, key := range group {
		if _, ok := there[key]; !ok {
			gone = append(gone, key)
		}
	}
	return gone
}

// between is what both keys begin with, and a name that begins so too and comes right
// before all that is not less than the first: none, if that is what they begin with, for not
// every server knows what to do with a marker from outside of the prefix.
func between(first, last blobstore.Key) (prefix, after blobstore.Key) {
	n := 0
	for n < min(len(first), len(last)) && first[n] == last[n] {
		n++
	}
	prefix = first[:n]
	if len(first) > n {
		after = first[:len(first)-1]
	}
	return prefix, after
}
