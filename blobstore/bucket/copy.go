package bucket

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"mayfly/blobstore"
)

// copyPart is how many bytes of a large object the server copies in one request.
const copyPart = 512 << 20

// Copy implements blobstore.Store. The bytes stay on the server.
func (s *Store) Copy(ctx context.Context, dst, src blobstore.Key) error {
	if err := s.copy(ctx, dst, s, src); err != nil {
		return fmt.Errorf("copy blob %s to %s: %w", src, dst, err)
	}
	return nil
}

// Import implements blobstore.Importer: of another bucket or prefix on the same server,
// with the same credentials. The bytes stay on the server.
func (s *Store) Import(ctx context.Context, dst blobstore.Key, from blobstore.Store, src blobstore.Key) error {
	err := errors.ErrUnsupported
	if other, ok := from.(*Store); ok {
		err = s.copy(ctx, dst, other, src)
	}
	if err != nil {
		return fmt.Errorf("import blob %s as %s: %w", src, dst, err)
	}
	return nil
}

// copy copies src of from, which may be s itself.
func (s *Store) copy(ctx context.Context, dst blobstore.Key, from *Store, src blobstore.Key) error {
	for _, key := range []blobstore.Key{dst, src} {
		if _, err := blobstore.ParseKey(string(key)); err != nil {
			return err
		}
	}
	source, ok := s.client.Source(from.client, from.name(src))
	if !ok {
		return errors.ErrUnsupported
	}
	original, err := from.stat(ctx, from.name(src))
	if err != nil {
		return err
	}
	if _, err := s.stat(ctx, s.name(dst)); err == nil {
		return blobstore.ErrExists
	} else if !errors.Is(err, blobstore.ErrNotFound) {
		return err
	}
	if most := cmp.Or(s.Limits.Copy, MaxCopy); original.Size > most {
		err = s.copyParts(ctx, s.name(dst), source, original.Size, min(copyPart, most))
	} else {
		err = s.copyWhole(ctx, s.name(dst), source)
	}
	if err != nil {
		return err
	}
	to, err := s.stat(ctx, s.name(dst))
	if err == nil && to.Size != original.Size {
		err = fmt.Errorf("the copy has %d bytes, not %d", to.Size, original.Size)
	}
	return err
}

func (s *Store) copyParts(ctx context.Context, dst string, src Source, size, part int64) (err error) {
	upload, err := s.begin(ctx, dst)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.abort(ctx, dst, upload)
		}
	}()
	var etags []string
	for offset := int64(0); offset < size; offset += part {
		etag, err := s.copyPart(ctx, dst, upload, len(etags)+1, src, offset, min(part, size-offset))
		if err != nil {
			return err
		}
		etags = append(etags, etag)
	}
	return s.complete(ctx, dst, upload, size, etags)
}

func (s *Store) copyWhole(ctx context.Context, dst string, src Source) error {
	ctx, cancel := s.Limits.transfer(ctx)
	defer cancel()
	return s.client.Copy(ctx, dst, src)
}

func (s *Store) copyPart(ctx context.Context, dst, upload string, number int, src Source, offset, length int64) (string, error) {
	ctx, cancel := s.Limits.transfer(ctx)
	defer cancel()
	return s.client.CopyPart(ctx, dst, upload, number, src, offset, length)
}
