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

// Delete implements blobstore.Store. Keys that share a request share its failure, if
// it is one of the request.
func (s *Store) Delete(ctx context.Context, keys ...blobstore.Key) error {
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
		s.deleteChunk(ctx, chunk, fail)
	}
	return errors.Join(errs...)
}

func (s *Store) deleteChunk(ctx context.Context, keys []blobstore.Key, fail func(blobstore.Key, error)) {
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
			err = s.deleteVersions(ctx, objects[i].Name)
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
// them at the same time makes some servers stumble: then it looks again.
func (s *Store) deleteVersions(ctx context.Context, name string) error {
	const rounds = 5
	err := errors.New("versions are left after they were deleted")
	for range rounds {
		versions, listErr := s.versionsOf(ctx, name)
		switch {
		case listErr != nil:
			return fmt.Errorf("list its versions: %w", listErr)
		case len(versions) == 0:
			return nil
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
		return errors.Join(err, listErr)
	}
	return nil
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
