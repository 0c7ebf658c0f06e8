package minioblob

import (
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/minio/minio-go/v7"

	"mayfly/blobstore/bucket"
)

func (c *client) Versions(ctx context.Context, prefix string) iter.Seq2[bucket.Object, error] {
	return c.versions(ctx, minio.ListObjectsOptions{Prefix: prefix})
}

func (c *client) VersionsAfter(ctx context.Context, prefix, after string) iter.Seq2[bucket.Object, error] {
	return c.versions(ctx, minio.ListObjectsOptions{Prefix: prefix, StartAfter: after, MaxKeys: bucket.FewVersions})
}

func (c *client) versions(ctx context.Context, opts minio.ListObjectsOptions) iter.Seq2[bucket.Object, error] {
	opts.WithVersions, opts.Recursive = true, true
	return func(yield func(bucket.Object, error) bool) {
		// Cancelled when the caller has enough: minio-go lists in a goroutine.
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for info := range c.core.ListObjectsIter(ctx, c.bucket, opts) {
			if info.Err != nil {
				yield(bucket.Object{}, failure(info.Err))
				return
			}
			if !yield(objectOf(info), nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(bucket.Object{}, err)
		}
	}
}

// Uploads asks twice: for a prefix MinIO knows only the uploads of the object that is
// named exactly so, and all of them only without a prefix; other servers do as they
// should. What is not below the prefix is passed over.
func (c *client) Uploads(ctx context.Context, prefix string) iter.Seq2[bucket.Upload, error] {
	return func(yield func(bucket.Upload, error) bool) {
		seen := map[string]bool{}
		for _, asked := range []string{prefix, ""} {
			for u, err := range c.uploads(ctx, asked) {
				if err != nil {
					yield(u, err)
					return
				}
				if !strings.HasPrefix(u.Name, prefix) || seen[u.ID] {
					continue
				}
				seen[u.ID] = true
				if !yield(u, nil) {
					return
				}
			}
			if prefix == "" {
				return
			}
		}
	}
}

func (c *client) uploads(ctx context.Context, prefix string) iter.Seq2[bucket.Upload, error] {
	return func(yield func(bucket.Upload, error) bool) {
		var key, upload string
		for {
			page, err := c.core.ListMultipartUploads(ctx, c.bucket, prefix, key, upload, "", 1000)
			if err != nil {
				yield(bucket.Upload{}, failure(err))
				return
			}
			for _, u := range page.Uploads {
				if !yield(bucket.Upload{Name: u.Key, ID: u.UploadID, BegunAt: u.Initiated}, nil) {
					return
				}
			}
			if !page.IsTruncated {
				return
			}
			if page.NextKeyMarker == key && page.NextUploadIDMarker == upload {
				yield(bucket.Upload{}, errors.New("the server's list of uploads does not go on"))
				return
			}
			key, upload = page.NextKeyMarker, page.NextUploadIDMarker
		}
	}
}
