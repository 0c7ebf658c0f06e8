package s3blob

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"mayfly/blobstore"
	"mayfly/blobstore/bucket"
)

var errUnmentioned = errors.New("DeleteObjects: the answer does not say whether it was deleted")

// Delete implements bucket.Client.
func (c *client) Delete(ctx context.Context, objects []bucket.Object) []bucket.Deleted {
	ids := make([]types.ObjectIdentifier, len(objects))
	for i, o := range objects {
		ids[i].Key = aws.String(o.Name)
		if o.Version != "" {
			ids[i].VersionId = aws.String(o.Version)
		}
	}
	out, err := c.api.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: &c.bucket,
		// Not quiet: what is not mentioned as deleted is not taken for deleted.
		Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(false)},
	})
	deleted := make([]bucket.Deleted, len(objects))
	if err != nil {
		err = fault("DeleteObjects", err)
		for i := range deleted {
			deleted[i].Err = err
		}
		return deleted
	}
	type id struct{ name, version string }
	said := make(map[id]bucket.Deleted, len(objects))
	for _, d := range out.Deleted {
		at := id{aws.ToString(d.Key), aws.ToString(d.VersionId)}
		said[at] = bucket.Deleted{}
		if at.version == "" && aws.ToBool(d.DeleteMarker) {
			said[at] = bucket.Deleted{Marked: true, Marker: aws.ToString(d.DeleteMarkerVersionId)}
		}
	}
	for _, e := range out.Errors {
		// After the successes: an object that was asked for twice, and failed once, failed.
		at := id{aws.ToString(e.Key), aws.ToString(e.VersionId)}
		if err := errorOf(e); !errors.Is(err, blobstore.ErrNotFound) {
			said[at] = bucket.Deleted{Err: err}
		} else if said[at].Err == nil {
			said[at] = bucket.Deleted{Marked: said[at].Marked, Marker: said[at].Marker}
		}
	}
	for i, o := range objects {
		var ok bool
		if deleted[i], ok = said[id{o.Name, o.Version}]; !ok {
			deleted[i].Err = errUnmentioned
		}
	}
	return deleted
}

// errorOf is what a DeleteObjects says of one object.
func errorOf(e types.Error) error {
	return &serverError{
		operation: "DeleteObjects",
		code:      aws.ToString(e.Code),
		message:   aws.ToString(e.Message),
		means:     meaning(aws.ToString(e.Code), 0),
	}
}
