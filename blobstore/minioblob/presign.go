package minioblob

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"

	"mayfly/blobstore/bucket"
)

var _ bucket.Presigner = (*client)(nil)

// PresignPut implements bucket.Presigner. A GET is never signed (P2).
func (c *client) PresignPut(ctx context.Context, endpoint *url.URL, name string, headers http.Header, valid time.Duration) (string, error) {
	signer := c.core.Client
	if endpoint != nil {
		var err error
		signer, err = minio.New(endpoint.Host, &minio.Options{
			Creds: c.keys, Secure: endpoint.Scheme == "https", Region: c.region,
			Transport: http.DefaultTransport, // it sends nothing: the region is known
		})
		if err != nil {
			return "", err
		}
	}
	u, err := signer.PresignHeader(ctx, http.MethodPut, c.bucket, name, valid, nil, headers)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}
