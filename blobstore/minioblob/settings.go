package minioblob

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"

	"mayfly/blobstore/bucket"
)

// Bucket implements bucket.Client.
func (c *client) Bucket(ctx context.Context) (bucket.Settings, error) {
	var s bucket.Settings
	if err := c.exists(ctx); err != nil {
		return s, err
	}
	versioning, err := c.core.GetBucketVersioning(ctx, c.bucket)
	switch code := minio.ToErrorResponse(err).Code; {
	case err != nil && code == minio.AccessDenied:
		return s, errors.New("its versioning cannot be asked for: allow s3:GetBucketVersioning")
	case err != nil && !unanswered(err):
		return s, failure(err)
	}
	s.Versioned = versioning.Enabled() || versioning.Suspended()
	lock, _, _, _, err := c.core.GetObjectLockConfig(ctx, c.bucket)
	switch code := minio.ToErrorResponse(err).Code; {
	case err == nil:
		s.Locked = lock == "Enabled"
	case code == "ObjectLockConfigurationNotFoundError", unanswered(err):
	case code == minio.AccessDenied:
		return s, errors.New("its object lock cannot be asked for: allow s3:GetBucketObjectLockConfiguration")
	default:
		return s, failure(err)
	}
	s.Lifecycle = c.lifecycle(ctx)
	return s, nil
}

func (c *client) lifecycle(ctx context.Context) string {
	rules, err := c.core.GetBucketLifecycle(ctx, c.bucket)
	switch code := minio.ToErrorResponse(err).Code; {
	case err == nil:
		return fmt.Sprintf("%d rules", len(rules.Rules))
	case code == "NoSuchLifecycleConfiguration":
		return "no rules: those below are a good backstop"
	default:
		return "not known: " + code
	}
}

// URL implements bucket.Client.
func (c *client) URL(name string) string {
	return c.core.EndpointURL().JoinPath(c.bucket, name).String()
}

// unanswered reports whether the server does not know the question: then the canary
// of a Check finds out.
func unanswered(err error) bool {
	answer := minio.ToErrorResponse(err)
	return answer.StatusCode == http.StatusNotImplemented || answer.StatusCode == http.StatusMethodNotAllowed ||
		answer.Code == "NotImplemented"
}
