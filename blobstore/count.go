package blobstore

import "context"

// CountingDeleter is a Store that can tell how much it deletes.
type CountingDeleter interface {
	// DeleteCounted is Delete, and says of each key how many objects, versions and
	// delete markers it removed: 0 if the key was gone already. A marker that it made
	// itself on the way does not count. It makes no requests that Delete does not, and
	// guesses nothing: a key that is not in removed is one of which the store does not
	// tell. (In a bucket without versions S3 says that it deleted also what was not
	// there.) Of a key that failed the count may be anything. Calls that delete a key at
	// the same time may each count what one of them removed.
	DeleteCounted(ctx context.Context, keys ...Key) (removed map[Key]int64, err error)
}

// DeleteCounted is that of s if it is a CountingDeleter, and else Delete, which tells of
// no key.
func DeleteCounted(ctx context.Context, s Store, keys ...Key) (removed map[Key]int64, err error) {
	if c, ok := s.(CountingDeleter); ok {
		return c.DeleteCounted(ctx, keys...)
	}
	return nil, s.Delete(ctx, keys...)
}
