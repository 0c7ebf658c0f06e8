package s3blob

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/smithy-go"

	"mayfly/blobstore"
)

// errNoUpload: the multipart upload was aborted, or completed, or never was.
var errNoUpload = errors.New("no such multipart upload")

// serverError is an answer of the server's that is an error. It has what the server's
// own log is searched by, and nothing of the request: no header, no query.
type serverError struct {
	operation, code, message, requestID string
	means                               error // nil: nothing that a caller tells from the rest
}

func (e *serverError) Error() string {
	var s strings.Builder
	s.WriteString(e.operation)
	if e.means != nil {
		fmt.Fprintf(&s, ": %v", e.means)
	}
	fmt.Fprintf(&s, ": %s", e.code)
	if e.message != "" && e.message != e.code {
		fmt.Fprintf(&s, ": %s", e.message)
	}
	if e.requestID != "" {
		fmt.Fprintf(&s, " (request %s)", e.requestID)
	}
	return s.String()
}

func (e *serverError) Unwrap() error { return e.means }

// fault is an error of the SDK's, in the words of package blobstore where it has one.
func fault(operation string, err error) error {
	var api smithy.APIError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &api):
		return fmt.Errorf("%s: %w", operation, plain(err))
	}
	e := &serverError{operation: operation, code: api.ErrorCode(), message: api.ErrorMessage()}
	status := 0
	var response interface{ HTTPStatusCode() int }
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	var request interface{ ServiceRequestID() string }
	if errors.As(err, &request) {
		e.requestID = request.ServiceRequestID()
	}
	e.means = meaning(e.code, status)
	return e
}

// plain takes off the SDK's own "operation error S3: PutObject, ", which we have said.
func plain(err error) error {
	var operation *smithy.OperationError
	if errors.As(err, &operation) {
		return operation.Err
	}
	return err
}

// meaning goes by the code. The status is asked where the code says nothing, as in an
// answer to HEAD, which has no body: a 404 is also a bucket or an upload that is not there.
func meaning(code string, status int) error {
	switch code {
	case "NoSuchKey", "NotFound", "NoSuchVersion":
		return blobstore.ErrNotFound
	case "NoSuchUpload":
		return errNoUpload
	case "NoSuchBucket":
		return nil
	case "PreconditionFailed", "ConditionalRequestConflict":
		return blobstore.ErrExists
	case "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded":
		return blobstore.ErrNoSpace
	}
	switch status {
	case http.StatusNotFound:
		return blobstore.ErrNotFound
	case http.StatusPreconditionFailed:
		return blobstore.ErrExists
	case http.StatusInsufficientStorage:
		return blobstore.ErrNoSpace
	}
	return nil
}

// code is the server's code for an error, if it is one of the server's.
func code(err error) string {
	var e *serverError
	if errors.As(err, &e) {
		return e.code
	}
	return ""
}
