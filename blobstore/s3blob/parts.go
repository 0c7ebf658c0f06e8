package s3blob

import (
	"bytes"
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Begin implements bucket.Client.
func (c *client) Begin(ctx context.Context, name string) (string, error) {
	in := &s3.CreateMultipartUploadInput{Bucket: &c.bucket, Key: &name, ContentType: aws.String(contentType)}
	if c.checksums {
		in.ChecksumAlgorithm = types.ChecksumAlgorithmCrc32
	}
	out, err := c.api.CreateMultipartUpload(ctx, in)
	if err != nil {
		return "", fault("CreateMultipartUpload", err)
	}
	if aws.ToString(out.UploadId) == "" {
		return "", errors.New("CreateMultipartUpload: the answer has no upload id")
	}
	return *out.UploadId, nil
}

// PutPart implements bucket.Client.
func (c *client) PutPart(ctx context.Context, name, upload string, number int, body []byte) (string, error) {
	checksum := c.checksum(body)
	out, err := c.api.UploadPart(ctx, &s3.UploadPartInput{
		Bucket:        &c.bucket,
		Key:           &name,
		UploadId:      &upload,
		PartNumber:    aws.Int32(int32(number)),
		Body:          bytes.NewReader(body),
		ContentLength: aws.Int64(int64(len(body))),
		ChecksumCRC32: checksum,
	}, signBody)
	if err != nil {
		return "", fault("UploadPart", err)
	}
	if aws.ToString(out.ETag) == "" {
		return "", errors.New("UploadPart: the answer has no ETag")
	}
	return joinETag(out.ETag, checksum), nil
}

// Complete implements bucket.Client.
func (c *client) Complete(ctx context.Context, name, upload string, etags []string) error {
	parts := make([]types.CompletedPart, len(etags))
	for i, joined := range etags {
		etag, checksum := splitETag(joined)
		parts[i] = types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: &etag, ChecksumCRC32: checksum}
	}
	out, err := c.api.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket:          &c.bucket,
		Key:             &name,
		UploadId:        &upload,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		IfNoneMatch:     aws.String(ifNoneMatch),
	}, c.slow)
	if err != nil {
		return fault("CompleteMultipartUpload", err)
	}
	// The status is sent before the work is done, so only the body tells of success. The
	// SDK finds an error there, and lets an empty body pass.
	if aws.ToString(out.ETag) == "" {
		return errors.New("CompleteMultipartUpload: the answer was cut off")
	}
	return nil
}

// Abort implements bucket.Client.
func (c *client) Abort(ctx context.Context, name, upload string) error {
	_, err := c.api.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &c.bucket, Key: &name, UploadId: &upload})
	if err = fault("AbortMultipartUpload", err); errors.Is(err, errNoUpload) {
		return nil
	}
	return err
}
