package bucket

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"mayfly/blobstore"
)

// Open implements blobstore.Store.
func (s *Store) Open(ctx context.Context, key blobstore.Key, offset int64) (io.ReadCloser, blobstore.Info, error) {
	body, info, err := s.open(ctx, key, offset)
	if err != nil {
		return nil, blobstore.Info{}, fmt.Errorf("open blob %s: %w", key, err)
	}
	return body, info, nil
}

func (s *Store) open(ctx context.Context, key blobstore.Key, offset int64) (io.ReadCloser, blobstore.Info, error) {
	if _, err := blobstore.ParseKey(string(key)); err != nil {
		return nil, blobstore.Info{}, err
	}
	if offset == 0 {
		body, o, err := s.get(ctx, s.name(key), 0)
		return body, infoOf(key, o), err
	}
	// A range that begins at the end of an object is an error of S3, not of ours.
	o, err := s.stat(ctx, s.name(key))
	switch {
	case err != nil:
		return nil, blobstore.Info{}, err
	case offset < 0 || offset > o.Size:
		return nil, blobstore.Info{}, fmt.Errorf("offset %d is outside of 0..%d", offset, o.Size)
	case offset == o.Size:
		return io.NopCloser(bytes.NewReader(nil)), infoOf(key, o), nil
	}
	body, got, err := s.get(ctx, s.name(key), offset)
	switch {
	case err != nil:
		return nil, blobstore.Info{}, err
	case got.Size != o.Size:
		body.Close()
		return nil, blobstore.Info{}, fmt.Errorf("the server says %d bytes, and %d", o.Size, got.Size)
	}
	return body, infoOf(key, o), nil
}

// get begins to read an object. What it returns ends with ctx, or when it stalls.
func (s *Store) get(ctx context.Context, name string, offset int64) (io.ReadCloser, Object, error) {
	ctx, cut := context.WithCancelCause(ctx)
	opening := time.AfterFunc(s.Limits.stall(), func() { cut(errStalled) })
	body, o, err := s.client.Get(ctx, name, offset)
	if !opening.Stop() && err == nil {
		body.Close()
		err = errStalled
	}
	if err != nil {
		cut(err)
		return nil, Object{}, err
	}
	return newStalling(ctx, cut, body, s.Limits.stall()), o, nil
}

func (s *Store) stat(ctx context.Context, name string) (Object, error) {
	ctx, cancel := s.Limits.request(ctx)
	defer cancel()
	return s.client.Stat(ctx, name)
}

func infoOf(key blobstore.Key, o Object) blobstore.Info {
	return blobstore.Info{Key: key, Size: o.Size, ModifiedAt: o.ModifiedAt}
}
