package minioblob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"mayfly/blobstore/bucket"
)

// client is a bucket.Client on minio-go. It uses its Core: one request a call.
type client struct {
	core           *minio.Core
	bucket, region string
	create         bool
	keys           *credentials.Credentials // sign what clients send
	account        account
}

// account is the server, and who we are to it. The access key is the one that was given;
// without one every client takes those of the same environment, file or role.
type account struct {
	host, region, accessKey string
	insecure                bool
}

var _ bucket.Client = (*client)(nil)

// fresh makes a request fail if there is an object already.
func fresh() minio.PutObjectOptions {
	opts := minio.PutObjectOptions{ContentType: "application/octet-stream"}
	opts.SetMatchETagExcept("*")
	return opts
}

// sumOf is signed along: a server refuses a body that is not the one it is of.
func sumOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

func (c *client) Put(ctx context.Context, name string, body []byte) error {
	r := newBody(body)
	defer r.end()
	_, err := c.core.PutObject(ctx, c.bucket, name, r, int64(len(body)), "", sumOf(body), fresh())
	return failure(err)
}

func (c *client) Begin(ctx context.Context, name string) (string, error) {
	upload, err := c.core.NewMultipartUpload(ctx, c.bucket, name, minio.PutObjectOptions{ContentType: "application/octet-stream"})
	return upload, failure(err)
}

func (c *client) PutPart(ctx context.Context, name, upload string, number int, body []byte) (string, error) {
	r := newBody(body)
	defer r.end()
	part, err := c.core.PutObjectPart(ctx, c.bucket, name, upload, number, r, int64(len(body)),
		minio.PutObjectPartOptions{Sha256Hex: sumOf(body)})
	return part.ETag, failure(err)
}

func (c *client) CopyPart(ctx context.Context, name, upload string, number int, src bucket.Source, offset, length int64) (string, error) {
	part, err := c.core.CopyObjectPart(ctx, src.Bucket, src.Name, c.bucket, name, upload, number, offset, length, nil)
	return part.ETag, failure(err)
}

func (c *client) Complete(ctx context.Context, name, upload string, etags []string) error {
	parts := make([]minio.CompletePart, len(etags))
	for i, etag := range etags {
		parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: etag}
	}
	_, err := c.core.CompleteMultipartUpload(ctx, c.bucket, name, upload, parts, fresh())
	return failure(err)
}

func (c *client) Abort(ctx context.Context, name, upload string) error {
	err := c.core.AbortMultipartUpload(ctx, c.bucket, name, upload)
	if minio.ToErrorResponse(err).Code == minio.NoSuchUpload {
		return nil
	}
	return failure(err)
}

// Source implements bucket.Client.
func (c *client) Source(of bucket.Client, name string) (bucket.Source, bool) {
	other, ok := of.(*client)
	if !ok || other.account != c.account {
		return bucket.Source{}, false
	}
	return bucket.Source{Bucket: other.bucket, Name: name}, true
}

func (c *client) Copy(ctx context.Context, dst string, src bucket.Source) error {
	_, err := c.core.CopyObject(ctx, src.Bucket, src.Name, c.bucket, dst, nil, minio.CopySrcOptions{}, minio.PutObjectOptions{})
	return failure(err)
}

func (c *client) Get(ctx context.Context, name string, offset int64) (io.ReadCloser, bucket.Object, error) {
	var opts minio.GetObjectOptions
	if offset > 0 {
		if err := opts.SetRange(offset, 0); err != nil {
			return nil, bucket.Object{}, err
		}
	}
	body, info, header, err := c.core.GetObject(ctx, c.bucket, name, opts)
	if err != nil {
		return nil, bucket.Object{}, failure(err)
	}
	o := objectOf(info)
	o.Name = name
	if offset > 0 {
		o.Size = wholeSize(header, o.Size)
	}
	return body, o, nil
}

// wholeSize is the size that a Content-Range tells; part if there is none.
func wholeSize(h http.Header, part int64) int64 {
	_, whole, _ := strings.Cut(h.Get("Content-Range"), "/")
	if size, err := strconv.ParseInt(whole, 10, 64); err == nil {
		return size
	}
	return part
}

func (c *client) Stat(ctx context.Context, name string) (bucket.Object, error) {
	info, err := c.core.StatObject(ctx, c.bucket, name, minio.StatObjectOptions{})
	o := objectOf(info)
	o.Name = name
	return o, failure(err)
}

func objectOf(info minio.ObjectInfo) bucket.Object {
	return bucket.Object{
		Name: info.Key, Version: info.VersionID, Marker: info.IsDeleteMarker,
		Size: info.Size, ModifiedAt: info.LastModified, ETag: info.ETag,
	}
}
