package s3blob

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"mayfly/blobstore/bucket"
)

// pageTimeout bounds a request for a part of a list, retries included: a caller cannot,
// who asks for all of it at once.
const pageTimeout = 2 * time.Minute

// errNoNext: to begin again from the start would be to go round for ever.
var errNoNext = errors.New("the answer has more behind it, and does not say where")

// Versions implements bucket.Client.
func (c *client) Versions(ctx context.Context, prefix string) iter.Seq2[bucket.Object, error] {
	return c.versions(ctx, s3.ListObjectVersionsInput{Prefix: &prefix})
}

// VersionsAfter implements bucket.Client.
func (c *client) VersionsAfter(ctx context.Context, prefix, after string) iter.Seq2[bucket.Object, error] {
	return c.versions(ctx, s3.ListObjectVersionsInput{Prefix: &prefix, KeyMarker: &after, MaxKeys: aws.Int32(bucket.FewVersions)})
}

func (c *client) versions(ctx context.Context, first s3.ListObjectVersionsInput) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		in := first // each time anew: the caller may range over it twice
		in.Bucket = &c.bucket
		for {
			page, cancel := context.WithTimeout(ctx, pageTimeout)
			out, err := c.api.ListObjectVersions(page, &in)
			cancel()
			if err != nil {
				yield(bucket.Object{}, fault("ListObjectVersions", err))
				return
			}
			for _, o := range merge(out) {
				if !yield(o, nil) {
					return
				}
			}
			if !aws.ToBool(out.IsTruncated) {
				return
			}
			if !moved(in.KeyMarker, out.NextKeyMarker, in.VersionIdMarker, out.NextVersionIdMarker) {
				yield(bucket.Object{}, errNoNext)
				return
			}
			in.KeyMarker, in.VersionIdMarker = out.NextKeyMarker, out.NextVersionIdMarker
		}
	}
}

// merge puts the versions and the delete markers of a page, of which the server makes
// one list and the SDK two, in the server's order again: by name, newest first.
func merge(page *s3.ListObjectVersionsOutput) []bucket.Object {
	type entry struct {
		bucket.Object
		latest bool
	}
	entries := make([]entry, 0, len(page.Versions)+len(page.DeleteMarkers))
	for _, v := range page.Versions {
		entries = append(entries, entry{bucket.Object{
			Name:       aws.ToString(v.Key),
			Version:    aws.ToString(v.VersionId),
			Size:       aws.ToInt64(v.Size),
			ModifiedAt: aws.ToTime(v.LastModified),
			ETag:       unquote(v.ETag),
		}, aws.ToBool(v.IsLatest)})
	}
	for _, m := range page.DeleteMarkers {
		entries = append(entries, entry{bucket.Object{
			Name:       aws.ToString(m.Key),
			Version:    aws.ToString(m.VersionId),
			Marker:     true,
			ModifiedAt: aws.ToTime(m.LastModified),
		}, aws.ToBool(m.IsLatest)})
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		if c := cmp.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		if a.latest != b.latest { // the times may be equal: they have seconds only
			if a.latest {
				return -1
			}
			return 1
		}
		return b.ModifiedAt.Compare(a.ModifiedAt)
	})
	objects := make([]bucket.Object, len(entries))
	for i, e := range entries {
		objects[i] = e.Object
	}
	return objects
}

// Uploads implements bucket.Client.
func (c *client) Uploads(ctx context.Context, prefix string) iter.Seq2[bucket.Upload, error] {
	return func(yield func(bucket.Upload, error) bool) {
		in := &s3.ListMultipartUploadsInput{Bucket: &c.bucket, Prefix: &prefix}
		if c.asksAll && strings.HasSuffix(prefix, "/") {
			in.Prefix = nil
		}
		for {
			page, cancel := context.WithTimeout(ctx, pageTimeout)
			out, err := c.api.ListMultipartUploads(page, in)
			cancel()
			if err != nil {
				yield(bucket.Upload{}, fault("ListMultipartUploads", err))
				return
			}
			for _, u := range out.Uploads {
				if !strings.HasPrefix(aws.ToString(u.Key), prefix) {
					continue
				}
				if !yield(bucket.Upload{Name: aws.ToString(u.Key), ID: aws.ToString(u.UploadId), BegunAt: aws.ToTime(u.Initiated)}, nil) {
					return
				}
			}
			if !aws.ToBool(out.IsTruncated) {
				return
			}
			if !moved(in.KeyMarker, out.NextKeyMarker, in.UploadIdMarker, out.NextUploadIdMarker) {
				yield(bucket.Upload{}, errNoNext)
				return
			}
			in.KeyMarker, in.UploadIdMarker = out.NextKeyMarker, out.NextUploadIdMarker
		}
	}
}

// moved says whether the next page is another one.
func moved(key, nextKey, id, nextID *string) bool {
	return aws.ToString(nextKey) != "" &&
		(aws.ToString(key) != aws.ToString(nextKey) || aws.ToString(id) != aws.ToString(nextID))
}
