package s3blob

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"

	"mayfly/blobstore/bucket"
)

// client is a bucket.Client on the SDK.
type client struct {
	api    *s3.Client
	bucket string
	base   *url.URL // of the bucket
	// checksums: a CRC-32 goes with each body, and with the parts of an upload.
	checksums bool
	// asksAll: uploads below a folder are picked from those of the whole bucket. MinIO
	// takes a prefix for a whole name, and would list none; of the whole bucket it lists
	// those that were begun since it started, and after a day it removes the rest.
	asksAll bool
	// slow is for requests that copy: the server answers when it is done.
	slow    func(*s3.Options)
	account account
}

// account is the server, and who we are to it. The endpoint is empty if it is AWS. The
// access key is the one that was given; without one every client takes what the SDK finds
// in the same places.
type account struct{ endpoint, region, accessKey string }

var _ bucket.Client = (*client)(nil)

// signBody signs the body with its SHA-256. Over TLS the SDK leaves that out, and then
// a bit that flips in our memory, or in a proxy that ends the TLS, is not found.
func signBody(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		hash := new(v4.ComputePayloadSHA256)
		_, err := stack.Finalize.Swap(hash.ID(), hash)
		return err
	})
}

// checksum is a body's CRC-32 as S3 writes it; nil if none is sent. It is made here, and
// not by the SDK, for the SDK sends it behind the body, which then cannot be signed.
func (c *client) checksum(body []byte) *string {
	if !c.checksums {
		return nil
	}
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(body))
	return aws.String(base64.StdEncoding.EncodeToString(sum))
}

// A part's ETag goes with its checksum behind a space: S3 wants both again when the
// upload is completed, and a Store knows of ETags only.

func joinETag(etag, checksum *string) string {
	if checksum == nil {
		return unquote(etag)
	}
	return unquote(etag) + " " + *checksum
}

func splitETag(s string) (etag string, checksum *string) {
	etag, sum, ok := strings.Cut(s, " ")
	if !ok {
		return etag, nil
	}
	return etag, &sum
}

// unquote takes off the quotes that an ETag has in HTTP.
func unquote(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }
