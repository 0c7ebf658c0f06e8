package faultproxy

import (
	"net/http"
	"net/url"
	"strings"
)

// Op names an operation of S3.
type Op string

// The operations that the proxy tells apart. All else, the subresources (tagging,
// acl, …) and the older ListObjects too, is Other.
const (
	PutObject               Op = "PutObject"
	GetObject               Op = "GetObject"
	HeadObject              Op = "HeadObject"
	DeleteObject            Op = "DeleteObject"
	DeleteObjects           Op = "DeleteObjects"
	CopyObject              Op = "CopyObject"
	CreateMultipartUpload   Op = "CreateMultipartUpload"
	UploadPart              Op = "UploadPart"
	UploadPartCopy          Op = "UploadPartCopy"
	CompleteMultipartUpload Op = "CompleteMultipartUpload"
	AbortMultipartUpload    Op = "AbortMultipartUpload"
	ListObjectsV2           Op = "ListObjectsV2"
	ListObjectVersions      Op = "ListObjectVersions"
	ListMultipartUploads    Op = "ListMultipartUploads"
	ListParts               Op = "ListParts"
	HeadBucket              Op = "HeadBucket"
	GetBucketVersioning     Op = "GetBucketVersioning"
	Other                   Op = "Other"
)

// lateErrors tells whether S3 may answer the operation with status 200 before it
// knows the result, and so with an error in the body.
func (op Op) lateErrors() bool {
	return op == CompleteMultipartUpload || op == CopyObject || op == UploadPartCopy
}

// operation recognises what r asks for.
func operation(r *http.Request) Op {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	switch query := r.URL.Query(); {
	case bucket == "":
		return Other
	case key == "":
		return bucketOperation(r.Method, query)
	default:
		return objectOperation(r.Method, query, r.Header.Get("X-Amz-Copy-Source") != "")
	}
}

func bucketOperation(method string, query url.Values) Op {
	switch {
	case method == http.MethodHead:
		return HeadBucket
	case method == http.MethodPost && query.Has("delete"):
		return DeleteObjects
	case method != http.MethodGet:
		return Other
	case query.Has("uploads"):
		return ListMultipartUploads
	case query.Has("versions"):
		return ListObjectVersions
	case query.Has("versioning"):
		return GetBucketVersioning
	case query.Get("list-type") == "2":
		return ListObjectsV2
	}
	return Other
}

func objectOperation(method string, query url.Values, isCopy bool) Op {
	upload := query.Has("uploadId")
	switch {
	case method == http.MethodPost && upload:
		return CompleteMultipartUpload
	case method == http.MethodPost && query.Has("uploads"):
		return CreateMultipartUpload
	case method == http.MethodPut && upload && isCopy:
		return UploadPartCopy
	case method == http.MethodPut && upload:
		return UploadPart
	case method == http.MethodGet && upload:
		return ListParts
	case method == http.MethodDelete && upload:
		return AbortMultipartUpload
	case !isPlain(query):
		return Other
	case method == http.MethodPut && isCopy:
		return CopyObject
	case method == http.MethodPut:
		return PutObject
	case method == http.MethodGet:
		return GetObject
	case method == http.MethodHead:
		return HeadObject
	case method == http.MethodDelete:
		return DeleteObject
	}
	return Other
}

// isPlain tells whether the query is about the object itself. It lists what leaves
// the operation what it is, as S3 goes on to add subresources.
func isPlain(query url.Values) bool {
	for name := range query {
		switch name = strings.ToLower(name); {
		case name == "x-id", name == "versionid", name == "partnumber":
		case strings.HasPrefix(name, "response-"), strings.HasPrefix(name, "x-amz-"):
		case name == "awsaccesskeyid", name == "signature", name == "expires":
		default:
			return false
		}
	}
	return true
}
