package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"mayfly/blobstore"
	"mayfly/blobstore/bucket"
)

// allowDirect lets clients bring bytes to the blob store by themselves, at endpoint,
// or refuses to start if the store does not let them. It comes before anything is served.
func (s *service) allowDirect(ctx context.Context, address string, endpoint *url.URL) error {
	if b, ok := s.blobs.Media.(*bucket.Store); ok {
		b.PublicEndpoint = endpoint
	}
	err := errors.ErrUnsupported
	if p, ok := s.blobs.Media.(blobstore.Presigner); ok {
		_, err = p.PresignPut(ctx, "trial", 0, blobstore.Digest{}, time.Minute) // sends nothing
	}
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return usageError{fmt.Errorf("--direct-uploads: %s cannot presign uploads: use a store that can (minio://), or leave the flag out", redactedURL(address))}
	case err != nil:
		return fmt.Errorf("--direct-uploads: %w", err)
	}
	s.tickets.Direct = true
	return nil
}
