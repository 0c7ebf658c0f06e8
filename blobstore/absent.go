package blobstore

import "context"

// AbsenceTeller is a Store that can see of many keys at once that it has nothing of them.
type AbsenceTeller interface {
	// Absent are those of the keys of which it was seen, during the call, that the store
	// has nothing: Open would say ErrNotFound. Of a key that is not among them nothing is
	// known, and no more if the store did not answer.
	Absent(ctx context.Context, keys ...Key) map[Key]bool
}

// Absent is that of s if it is an AbsenceTeller, and else none of the keys.
func Absent(ctx context.Context, s Store, keys ...Key) map[Key]bool {
	if t, ok := s.(AbsenceTeller); ok {
		return t.Absent(ctx, keys...)
	}
	return nil
}
