package minioblob

import (
	"context"
	"errors"
	"slices"

	"github.com/minio/minio-go/v7"

	"mayfly/blobstore/bucket"
)

// errNotTold is what a deletion ends with that the server's answer does not mention.
var errNotTold = errors.New("the server does not say what became of it")

func (c *client) Delete(ctx context.Context, objects []bucket.Object) []bucket.Deleted {
	infos := make([]minio.ObjectInfo, len(objects))
	index := map[[2]string]int{}
	out := make([]bucket.Deleted, len(objects))
	for i, o := range objects {
		infos[i] = minio.ObjectInfo{Key: o.Name, VersionID: o.Version}
		index[[2]string{o.Name, o.Version}] = i
		if o.Version == "" {
			// Of a version minio-go passes over in silence that it is gone already.
			out[i].Err = errNotTold
		}
	}
	results, err := c.core.RemoveObjectsWithIter(ctx, c.bucket, slices.Values(infos), minio.RemoveObjectsOptions{})
	if err != nil {
		return failAll(out, failure(err))
	}
	for r := range results {
		i, ok := index[[2]string{r.ObjectName, r.ObjectVersionID}]
		switch {
		case !ok && r.Err != nil:
			return failAll(out, failure(r.Err))
		case ok:
			out[i] = bucket.Deleted{Err: failure(r.Err)}
			if r.Err == nil && r.DeleteMarker && objects[i].Version == "" {
				out[i].Marked, out[i].Marker = true, r.DeleteMarkerVersionID
			}
		}
	}
	return out
}

func failAll(out []bucket.Deleted, err error) []bucket.Deleted {
	for i := range out {
		out[i] = bucket.Deleted{Err: err}
	}
	return out
}
