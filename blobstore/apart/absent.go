package apart

import (
	"context"
	"sync"

	"mayfly/blobstore"
)

// Absent implements blobstore.AbsenceTeller. A key that may be in both stores is absent if
// it is from both.
func (s *Store) Absent(ctx context.Context, keys ...blobstore.Key) map[blobstore.Key]bool {
	if s.single() {
		return blobstore.Absent(ctx, s.Media, keys...)
	}
	var inBoth []blobstore.Key
	for _, key := range keys {
		if !ofSender(key) {
			inBoth = append(inBoth, key)
		}
	}
	if len(inBoth) == 0 {
		return blobstore.Absent(ctx, s.Media, keys...)
	}
	ctx, cancel := halfOf(ctx)
	defer cancel()
	var fromMedia, fromEvidence map[blobstore.Key]bool
	var both sync.WaitGroup
	both.Go(func() { fromMedia = blobstore.Absent(ctx, s.Media, keys...) })
	both.Go(func() { fromEvidence = blobstore.Absent(ctx, s.Evidence, inBoth...) })
	both.Wait()
	absent := make(map[blobstore.Key]bool, len(fromMedia))
	for key := range fromMedia {
		if ofSender(key) || fromEvidence[key] {
			absent[key] = true
		}
	}
	return absent
}
