package bucket

import (
	"context"
	"slices"

	"mayfly/blobstore"
)

const (
	// nearby is how many characters keys begin with alike that are looked for together:
	// of those that begin with a time it is that of a minute.
	nearby = 8
	// strangers is how many other objects a listing may pass on the way.
	strangers = 500
)

// Absent implements blobstore.AbsenceTeller: what was stored in one minute lies together
// in a listing, and is mostly deleted together. Where there is much else in between, it
// gives up early: to ask for each key is no more work then.
func (s *Store) Absent(ctx context.Context, keys ...blobstore.Key) map[blobstore.Key]bool {
	absent := make(map[blobstore.Key]bool, len(keys))
	good := slices.DeleteFunc(slices.Clone(keys), func(key blobstore.Key) bool {
		_, err := blobstore.ParseKey(string(key))
		return err != nil || len(key) < nearby
	})
	slices.Sort(good)
	for group := range together(slices.Compact(good)) {
		if len(group) > 1 && ctx.Err() == nil {
			s.absentOf(ctx, group, absent)
		}
	}
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
func (s *Store) absentOf(ctx context.Context, group []blobstore.Key, absent map[blobstore.Key]bool) {
	ctx, cancel := s.Limits.request(ctx)
	defer cancel()
	there := make(map[string]struct{})
	first, last := group[0], group[len(group)-1]
	n, before := 0, ""
	for o, err := range s.client.VersionsAfter(ctx, s.name(commonPrefix(first, last)), s.name(first[:len(first)-1])) {
		n++
		switch {
		case err != nil, o.Name < before: // out of order, it may come yet
			return
		case n > len(group)+strangers:
			return
		}
		if before = o.Name; o.Name > s.name(last) {
			break
		}
		there[o.Name] = struct{}{}
	}
	for _, key := range group {
		if _, ok := there[s.name(key)]; !ok {
			absent[key] = true
		}
	}
}

// commonPrefix is what both begin with, as a key.
func commonPrefix(a, b blobstore.Key) blobstore.Key {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return a[:n]
}
