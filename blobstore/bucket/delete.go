package bucket

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"mayfly/blobstore"
)

// maxDelete is how many objects one request deletes (S3's own limit).
const maxDelete = 1000

// nullVersion is what S3 calls the version of an object that has none.
const nullVersion = "null"

// Delete implements blobstore.Store. Keys that share a request share its failure, if
// it is one of the request.
func (s *Store) Delete(ctx context.Context, keys ...blobstore.Key) error {
	_, err := s.DeleteCounted(ctx, keys...)
	return err
}

// DeleteCounted implements blobstore.CountingDeleter. It tells of the keys on which the
// server has put a marker with a version of its own: what was there is then listed, and
// deleted one by one. Where versions are suspended the marker has replaced an object
// without a version, or nothing, and a bucket that never had any does not tell either.
func (s *Store) DeleteCounted(ctx context.Context, keys ...blobstore.Key) (map[blobstore.Key]int64, error) {
	removed := map[blobstore.Key]int64{}
	var errs []error
	fail := func(key blobstore.Key, err error) {
		errs = append(errs, &blobstore.KeyError{Key: key, Err: err})
	}
	good := make([]blobstore.Key, 0, len(keys))
	for _, key := range keys {
		if _, err := blobstore.ParseKey(string(key)); err != nil {
			fail(key, err)
			continue
		}
		good = append(good, key)
	}
	slices.Sort(good)
	for chunk := range slices.Chunk(slices.Compact(good), maxDelete) {
		s.deleteChunk(ctx, chunk, removed, fail)
	}
	return removed, errors.Join(errs...)
}

func (s *Store) deleteChunk(ctx context.Context, keys []blobstore.Key, removed map[blobstore.Key]int64, fail func(blobstore.Key, error)) {
	if err := ctx.Err(); err != nil {
		for _, key := range keys {
			fail(key, err)
		}
		return
	}
	objects := make([]Object, len(keys))
	for i, key := range keys {
		objects[i] = Object{Name: s.name(key)}
	}
	for i, d := range s.deleteObjects(ctx, objects) {
		err := d.Err
		switch {
		case errors.Is(err, blobstore.ErrNotFound):
			err = nil // somebody else was faster; S3 itself would not tell
		case d.Marked:
			var n int64
			n, err = s.deleteVersions(ctx, objects[i].Name, d.Marker)
			if d.Marker != "" && d.Marker != nullVersion {
				removed[keys[i]] = n
			}
		}
		if err != nil {
			fail(keys[i], err)
		}
	}
}

func (s *Store) deleteObjects(ctx context.Context, objects []Object) []Deleted {
	ctx, cancel := s.Limits.request(ctx)
	defer cancel()
	return s.client.Delete(ctx, objects)
}

// deleteVersions deletes every version and delete marker of a name, and looks whether
// any is left: P5 is not kept by a marker that hides the bytes. Another who deletes
// them at the same time makes some servers stumble: then it looks again. It says how many
// there were, without the marker, which is ours: of each it is seen that it is gone, also
// where the answer to its deletion was lost.
func (s *Store) deleteVersions(ctx context.Context, name, marker string) (removed int64, err error) {
	const rounds = 5
	found := map[string]struct{}{}
	err = errors.New("versions are left after they were deleted")
	for range rounds {
		versions, listErr := s.versionsOf(ctx, name)
		switch {
		case listErr != nil:
			return 0, fmt.Errorf("list its versions: %w", listErr)
		case len(versions) == 0:
			return int64(len(found)), nil
		}
		for _, v := range versions {
			if v.Version != marker {
				found[v.Version] = struct{}{}
			}
		}
		for chunk := range slices.Chunk(versions, maxDelete) {
			for i, d := range s.deleteObjects(ctx, chunk) {
				if d.Err != nil {
					err = fmt.Errorf("delete version %s: %w", chunk[i].Version, d.Err)
				}
			}
		}
	}
	// Once more, for the last round may have done it.
	if versions, listErr := s.versionsOf(ctx, name); listErr != nil || len(versions) > 0 {
		return 0, errors.Join(err, listErr)
	}
	return int64(len(found)), nil
}

// versionsOf are the versions and delete markers of a name.
func (s *Store) versionsOf(ctx context.Context, name string) ([]Object, error) {
	ctx, cancel := s.Limits.request(ctx)
	defer cancel()
	var versions []Object
	for v, err := range s.client.Versions(ctx, name) {
		if err != nil {
			return nil, err
		}
		if v.Name == name {
			versions = append(versions, v)
		}
	}
	return versions, nil
}

// Discard implements blobstore.Store.
func (s *Store) Discard(ctx context.Context, partial blobstore.Info) error {
	if _, err := blobstore.ParseKey(string(partial.Key)); err != nil || !partial.Partial || partial.Ref == "" {
		return fmt.Errorf("discard %q: not an unfinished upload", partial.Ref)
	}
	if err := s.client.Abort(ctx, s.name(partial.Key), partial.Ref); err != nil {
		return fmt.Errorf("discard the unfinished upload of %s: %w", partial.Key, err)
	}
	return nil
}
