package minioblob

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"

	"mayfly/blobstore"
	"mayfly/blobstore/bucket"
)

// failure gives an error of the server the meaning that it has for a Store.
func failure(err error) error {
	if err == nil {
		return nil
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return err
	}
	switch {
	case answer.Code == minio.NoSuchKey || answer.Code == minio.NoSuchVersion || answer.Code == "NotFound":
		return blobstore.ErrNotFound
	case answer.StatusCode == http.StatusPreconditionFailed, answer.Code == minio.PreconditionFailed,
		answer.Code == "ConditionalRequestConflict":
		return blobstore.ErrExists
	case answer.StatusCode == http.StatusInsufficientStorage, answer.Code == "XMinioStorageFull", answer.Code == "QuotaExceeded",
		answer.Code == "XMinioAdminBucketQuotaExceeded":
		return fmt.Errorf("%w: %s", blobstore.ErrNoSpace, answer.Code)
	}
	return fmt.Errorf("%s: %w", answer.Code, err)
}

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
	return s, nil
}

// unanswered reports whether the server does not know the question: then the canary
// of a Check finds out.
func unanswered(err error) bool {
	answer := minio.ToErrorResponse(err)
	return answer.StatusCode == http.StatusNotImplemented || answer.StatusCode == http.StatusMethodNotAllowed ||
		answer.Code == "NotImplemented"
}
