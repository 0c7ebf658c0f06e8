package s3blob

import (
	"bytes"
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	// ifNoneMatch is any object: of If-None-Match: *.
	ifNoneMatch = "*"
	// contentType keeps a browser that is led to the bucket from taking a blob for a page.
	contentType = "application/octet-stream"
)

// Put implements bucket.Client. A request of which the answer was lost is sent again,
// and then finds its own object in its way: that too is ErrExists, and Store looks
// whose it is.
func (c *client) Put(ctx context.Context, name string, body []byte) error {
	_, err := c.api.PutObject(ctx, &s3.PutObjectInput{
		Bucket:        &c.bucket,
		Key:           &name,
		Body:          bytes.NewReader(body),
		ContentLength: aws.Int64(int64(len(body))),
		ContentType:   aws.String(contentType),
		ChecksumCRC32: c.checksum(body),
		IfNoneMatch:   aws.String(ifNoneMatch),
	}, signBody)
	return fault("PutObject", err)
}
