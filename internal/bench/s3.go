package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"mayfly/blobstore"
)

// minioVariable says where MinIO is, as http://ACCESS:SECRET@HOST:PORT:
// internal/testenv starts one and sets it.
const minioVariable = "MAYFLY_TEST_MINIO"

// s3Region is what a server without regions calls its own.
const s3Region = "us-east-1"

// direct is a bucket of MinIO as minio-go uses it, without Mayfly, which has its blobs
// in the same one.
type direct struct {
	core   *minio.Core
	bucket string
}

// withBucket calls do with a Mayfly that keeps its blobs in a fresh bucket of MinIO,
// stops it, and removes the bucket with all that is in it.
func (b *bench) withBucket(ctx context.Context, do func(*servers, direct) error) (err error) {
	at, err := minioAddress(os.Getenv(minioVariable))
	if err != nil {
		return err
	}
	s, err := b.newServers()
	if err != nil {
		return err
	}
	secret, _ := at.User.Password()
	core, err := minio.NewCore(at.Host, &minio.Options{
		Creds:     credentials.NewStaticV4(at.User.Username(), secret, ""),
		Region:    s3Region,
		Transport: s.client.Transport,
	})
	if err != nil {
		return err
	}
	d := direct{core, "mayfly-bench-" + strings.ToLower(rand.Text()[:12])}
	if err := core.MakeBucket(ctx, d.bucket, minio.MakeBucketOptions{Region: s3Region}); err != nil {
		return fmt.Errorf("make a bucket: %w", err)
	}
	defer func() { err = errors.Join(err, d.removeBucket(ctx)) }()

	s.blobs = fmt.Sprintf("minio://%s/%s?insecure=true", at.Host, d.bucket)
	s.env = []string{"MAYFLY_S3_ACCESS_KEY=" + at.User.Username(), "MAYFLY_S3_SECRET_KEY=" + secret}
	if err := s.startMayfly(ctx); err != nil {
		s.stop()
		return err
	}
	return s.use(ctx, func(s *servers) error { return do(s, d) })
}

// minioAddress reads the value of minioVariable.
func minioAddress(value string) (*url.URL, error) {
	u, err := url.Parse(value)
	// The value has a secret in it, and url.Parse would show it.
	if err != nil || u.Scheme != "http" || u.User.Username() == "" || u.Host == "" {
		return nil, errors.New(minioVariable + " is not like http://ACCESS:SECRET@HOST:PORT")
	}
	return u, nil
}

// removeBucket removes the bucket with what is in it, also after an interrupt.
func (d direct) removeBucket(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	err := d.core.RemoveBucketWithOptions(ctx, d.bucket, minio.RemoveBucketOptions{ForceDelete: true})
	if err != nil {
		return fmt.Errorf("remove the bucket %s: %w", d.bucket, err)
	}
	return nil
}

// get fetches an object with one GET.
func (d direct) get(ctx context.Context, name string, w io.Writer) error {
	body, info, _, err := d.core.GetObject(ctx, d.bucket, name, minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	defer body.Close()
	buf := copyBuffers.Get().(*[256 << 10]byte)
	defer copyBuffers.Put(buf)
	n, err := io.CopyBuffer(onlyWriter{w}, body, buf[:])
	if err == nil && n != info.Size {
		err = fmt.Errorf("GET %s: %d bytes, not %d", name, n, info.Size)
	}
	return err
}

// put stores an object: what is larger than partSize, or than minio-go's own size of
// a part if that is 0, in parts.
func (d direct) put(ctx context.Context, name string, body payload, partSize uint64) error {
	_, err := d.core.Client.PutObject(ctx, d.bucket, name, body.reader(), body.size,
		minio.PutObjectOptions{ContentType: "application/octet-stream", PartSize: partSize})
	return err
}

// remove deletes an object, if there is one.
func (d direct) remove(ctx context.Context, name string) error {
	return d.core.RemoveObject(ctx, d.bucket, name, minio.RemoveObjectOptions{})
}

// names finds the object of every blob.
func (d direct) names(ctx context.Context) (map[uuid.UUID]string, error) {
	names := make(map[uuid.UUID]string)
	for o := range d.core.ListObjectsIter(ctx, d.bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			return nil, o.Err
		}
		if id, ok := blobstore.Key(o.Key).Owner(); ok {
			names[id] = o.Key
		}
	}
	return names, nil
}
