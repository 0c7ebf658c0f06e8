package s3blob

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"mayfly/blobstore/bucket"
)

// Get implements bucket.Client.
func (c *client) Get(ctx context.Context, name string, offset int64) (io.ReadCloser, bucket.Object, error) {
	in := &s3.GetObjectInput{Bucket: &c.bucket, Key: &name}
	if offset > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", offset))
	}
	out, err := c.api.GetObject(ctx, in)
	if err != nil {
		return nil, bucket.Object{}, fault("GetObject", err)
	}
	o := bucket.Object{Name: name, Size: aws.ToInt64(out.ContentLength), ModifiedAt: aws.ToTime(out.LastModified), ETag: unquote(out.ETag)}
	if offset > 0 {
		// A server that knows no ranges sends the whole object, which is not what was asked.
		if o.Size, err = rangeSize(aws.ToString(out.ContentRange), offset); err != nil {
			out.Body.Close()
			return nil, bucket.Object{}, fmt.Errorf("GetObject: %w", err)
		}
	}
	return out.Body, o, nil
}

// rangeSize is the size of the object of which a Content-Range (RFC 9110, 14.4) is all
// from offset.
func rangeSize(contentRange string, offset int64) (int64, error) {
	var first, last, size int64
	n, err := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &first, &last, &size)
	if n != 3 || err != nil || first != offset || last != size-1 || last < first {
		return 0, fmt.Errorf("the server sent the range %q, not all from %d", contentRange, offset)
	}
	return size, nil
}

// Stat implements bucket.Client.
func (c *client) Stat(ctx context.Context, name string) (bucket.Object, error) {
	out, err := c.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &c.bucket, Key: &name})
	if err != nil {
		return bucket.Object{}, fault("HeadObject", err)
	}
	return bucket.Object{Name: name, Size: aws.ToInt64(out.ContentLength), ModifiedAt: aws.ToTime(out.LastModified), ETag: unquote(out.ETag)}, nil
}
