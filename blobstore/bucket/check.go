package bucket

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"mayfly/blobstore"
)

// Check implements blobstore.Store: a canary goes through all that a blob goes
// through, and what the bucket does by itself is asked for. The error says how to mend it.
func (s *Store) Check(ctx context.Context) error {
	settings, err := s.client.Bucket(ctx)
	switch {
	case errors.Is(err, ErrUnsupported):
	case err != nil:
		return fmt.Errorf("check the bucket: %w", err)
	case settings.Locked:
		return errors.New("check the bucket: object lock is on, so nothing in it can be deleted before its time: use a bucket without object lock")
	}
	var random [16]byte
	rand.Read(random[:])
	key := blobstore.Key("check-" + hex.EncodeToString(random[:]))
	if err := s.checkRoundTrip(ctx, key); err != nil {
		ctx, cancel := tidy(ctx)
		defer cancel()
		_ = s.Delete(ctx, key)
		return fmt.Errorf("check the bucket: %w", err)
	}
	return nil
}

// checkRoundTrip writes, reads, lists and deletes a blob, and a multipart upload.
func (s *Store) checkRoundTrip(ctx context.Context, key blobstore.Key) error {
	body := []byte(rand.Text())
	if err := s.Put(ctx, key, bytes.NewReader(body), int64(len(body))); err != nil {
		return fmt.Errorf("%w: allow s3:PutObject on %s*", err, s.prefix)
	}
	other := body[1:] // of the same bytes a Put would think that they are its own
	switch err := s.Put(ctx, key, bytes.NewReader(other), int64(len(other))); {
	case err == nil:
		return errors.New("the server lets one blob replace another (it does not know If-None-Match): use one that does")
	case !errors.Is(err, blobstore.ErrExists):
		return err
	}
	if err := s.checkRead(ctx, key, body); err != nil {
		return fmt.Errorf("%w: allow s3:GetObject on %s*", err, s.prefix)
	}
	if err := s.checkParts(ctx, key); err != nil {
		return fmt.Errorf("%w: allow s3:AbortMultipartUpload on %s*, and s3:ListBucketMultipartUploads on the bucket", err, s.prefix)
	}
	if err := s.Delete(ctx, key); err != nil {
		return fmt.Errorf("%w: allow s3:DeleteObject and s3:DeleteObjectVersion on %s*", err, s.prefix)
	}
	for v, err := range s.client.Versions(ctx, s.name(key)) {
		if err != nil {
			return fmt.Errorf("%w: allow s3:ListBucket and s3:ListBucketVersions on the bucket", err)
		}
		return fmt.Errorf("version %q of a deleted blob is still there: turn versioning off, or use a new bucket", v.Version)
	}
	return nil
}

func (s *Store) checkRead(ctx context.Context, key blobstore.Key, body []byte) error {
	r, _, err := s.Open(ctx, key, 1)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(got, body[1:]) {
		err = errors.New("a blob does not read as it was written")
	}
	return err
}

// checkParts begins an upload, finds it listed, and aborts it.
func (s *Store) checkParts(ctx context.Context, key blobstore.Key) error {
	name := s.name(key)
	upload, err := s.client.Begin(ctx, name)
	if err != nil {
		return err
	}
	defer s.abort(ctx, name, upload)
	listed := func() (ids []string, err error) {
		for u, err := range s.client.Uploads(ctx, name) {
			if err != nil {
				return nil, err
			}
			ids = append(ids, u.ID)
		}
		return ids, nil
	}
	ids, err := listed()
	if err == nil && !slices.Contains(ids, upload) {
		err = errors.New("an unfinished upload is not listed, so a sweep would never remove it")
	}
	if err == nil {
		err = s.client.Abort(ctx, name, upload)
	}
	if err == nil {
		ids, err = listed()
	}
	if err == nil && slices.Contains(ids, upload) {
		err = errors.New("an unfinished upload is still listed after it was aborted")
	}
	return err
}
