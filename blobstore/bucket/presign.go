package bucket

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"mayfly/blobstore"
)

// Presigner is a Client that can sign a PUT for somebody else to send.
type Presigner interface {
	// PresignPut is the URL with which an object can be put for as long as is valid,
	// with exactly these headers. endpoint is the server as the sender reaches it, for
	// its name is signed along; nil for the one that the Client itself talks to.
	PresignPut(ctx context.Context, endpoint *url.URL, name string, headers http.Header, valid time.Duration) (string, error)
}

// MaxPut is how many bytes an object has that is put in one request (S3's own limit).
const MaxPut = 5 << 30

var _ blobstore.Presigner = (*Store)(nil)

// PresignPut implements blobstore.Presigner, if the Client can.
//
// The server holds the bytes against all that is signed. But MinIO lets headers
// through that are not, X-Amz-Copy-Source among them, and a copy is not held against
// If-None-Match: the holder of the URL can replace the object by a copy of another.
// AWS refuses every x-amz header that is not signed.
func (s *Store) PresignPut(ctx context.Context, key blobstore.Key, size int64, sum blobstore.Digest, valid time.Duration) (blobstore.PresignedPut, error) {
	put, err := s.presignPut(ctx, key, size, sum, valid)
	if err != nil {
		return blobstore.PresignedPut{}, fmt.Errorf("presign the upload of %s: %w", key, err)
	}
	return put, nil
}

func (s *Store) presignPut(ctx context.Context, key blobstore.Key, size int64, sum blobstore.Digest, valid time.Duration) (put blobstore.PresignedPut, err error) {
	if _, err := blobstore.ParseKey(string(key)); err != nil {
		return put, err
	}
	client, ok := s.client.(Presigner)
	switch {
	case !ok:
		return put, errors.ErrUnsupported
	case size < 0 || size > MaxPut:
		return put, fmt.Errorf("%w: %d bytes", blobstore.ErrSize, size)
	}
	put.Headers = map[string]string{
		"Content-Length":        strconv.FormatInt(size, 10),
		"Content-Type":          "application/octet-stream",
		"If-None-Match":         "*",
		"X-Amz-Checksum-Sha256": base64.StdEncoding.EncodeToString(sum[:]),
	}
	headers := make(http.Header, len(put.Headers))
	for name, value := range put.Headers {
		headers.Set(name, value)
	}
	signed, err := client.PresignPut(ctx, s.PublicEndpoint, s.name(key), headers, valid)
	put.URL = blobstore.NewSecretURL(signed)
	return put, err
}
