package s3blob

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"mayfly/blobstore/bucket"
)

// Source implements bucket.Client: on AWS of the same region only.
func (c *client) Source(of bucket.Client, name string) (bucket.Source, bool) {
	other, ok := of.(*client)
	if !ok || other.account != c.account {
		return bucket.Source{}, false
	}
	return bucket.Source{Bucket: other.bucket, Name: name}, true
}

// Copy implements bucket.Client.
func (c *client) Copy(ctx context.Context, dst string, src bucket.Source) error {
	out, err := c.api.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket:     &c.bucket,
		Key:        &dst,
		CopySource: aws.String(copySource(src)),
	}, c.slow)
	if err != nil {
		return fault("CopyObject", err)
	}
	// As with Complete: the SDK lets a 200 with an empty body pass.
	if out.CopyObjectResult == nil || aws.ToString(out.CopyObjectResult.ETag) == "" {
		return errors.New("CopyObject: the answer was cut off")
	}
	return nil
}

// CopyPart implements bucket.Client.
func (c *client) CopyPart(ctx context.Context, name, upload string, number int, src bucket.Source, offset, length int64) (string, error) {
	out, err := c.api.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
		Bucket:          &c.bucket,
		Key:             &name,
		UploadId:        &upload,
		PartNumber:      aws.Int32(int32(number)),
		CopySource:      aws.String(copySource(src)),
		CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)),
	}, c.slow)
	if err != nil {
		return "", fault("UploadPartCopy", err)
	}
	if out.CopyPartResult == nil || aws.ToString(out.CopyPartResult.ETag) == "" {
		return "", errors.New("UploadPartCopy: the answer was cut off")
	}
	return joinETag(out.CopyPartResult.ETag, out.CopyPartResult.ChecksumCRC32), nil
}

// copySource is the object as x-amz-copy-source wants it: in percent-encoding, which
// the SDK leaves to us. PathEscape keeps the plus sign, which some servers take for a space.
func copySource(src bucket.Source) string {
	parts := strings.Split(src.Name, "/")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(url.PathEscape(part), "+", "%2B")
	}
	return src.Bucket + "/" + strings.Join(parts, "/")
}
