package minioblob

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"

	"mayfly/blobstore"
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
