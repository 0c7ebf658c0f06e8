package faultproxy

import (
	"net/http/httptest"
	"testing"
)

func TestOperations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, target string
		isCopy         bool
		want           Op
	}{
		{"PUT", "/b/k", false, PutObject},
		{"PUT", "/b/k?x-id=PutObject", false, PutObject},
		{"PUT", "/b/folder/", false, PutObject},
		{"PUT", "/b//", false, PutObject},
		{"PUT", "/b/%2F?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00", false, PutObject},
		{"GET", "/b/k", false, GetObject},
		{"GET", "/b/k?versionId=1&partNumber=2&response-content-type=a", false, GetObject},
		{"HEAD", "/b/k?versionId=null", false, HeadObject},
		{"DELETE", "/b/k?versionId=1", false, DeleteObject},
		{"POST", "/b?delete", false, DeleteObjects},
		{"POST", "/b/?delete=", false, DeleteObjects},
		{"PUT", "/b/k", true, CopyObject},
		{"POST", "/b/k?uploads", false, CreateMultipartUpload},
		{"POST", "/b/k?uploads=&x-id=CreateMultipartUpload", false, CreateMultipartUpload},
		{"PUT", "/b/k?partNumber=1&uploadId=u", false, UploadPart},
		{"PUT", "/b/k?partNumber=1&uploadId=u", true, UploadPartCopy},
		{"POST", "/b/k?uploadId=u", false, CompleteMultipartUpload},
		{"DELETE", "/b/k?uploadId=u", false, AbortMultipartUpload},
		{"GET", "/b?list-type=2&prefix=a%2Fb", false, ListObjectsV2},
		{"GET", "/b/?versions&prefix=", false, ListObjectVersions},
		{"GET", "/b/?uploads", false, ListMultipartUploads},
		{"GET", "/b/k?uploadId=u&max-parts=1", false, ListParts},
		{"HEAD", "/b", false, HeadBucket},
		{"HEAD", "/b/", false, HeadBucket},
		{"GET", "/b/?versioning", false, GetBucketVersioning},

		{"GET", "/", false, Other},
		{"GET", "/b", false, Other}, // the older ListObjects
		{"GET", "/b?location", false, Other},
		{"PUT", "/b", false, Other},
		{"DELETE", "/b", false, Other},
		{"PUT", "/b?versioning", false, Other},
		{"POST", "/b", false, Other},
		{"PUT", "/b/k?tagging", false, Other},
		{"PUT", "/b/k?tagging", true, Other},
		{"GET", "/b/k?acl", false, Other},
		{"DELETE", "/b/k?tagging", false, Other},
		{"POST", "/b/k?restore", false, Other},
		{"POST", "/b/k", false, Other},
	} {
		r := httptest.NewRequest(c.method, c.target, nil)
		if c.isCopy {
			r.Header.Set("X-Amz-Copy-Source", "/b/source")
		}
		if got := operation(r); got != c.want {
			t.Errorf("%s %s, copy %v: %s, want %s", c.method, c.target, c.isCopy, got, c.want)
		}
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	always, second := Always(PutObject, Stall), Nth(PutObject, 2, Latency(1))
	for _, c := range []struct {
		call           Call
		always, second Fault
	}{
		{Call{Op: PutObject, N: 0}, Stall, Pass},
		{Call{Op: PutObject, N: 1}, Stall, Latency(1)},
		{Call{Op: PutObject, N: 2}, Stall, Pass},
		{Call{Op: GetObject, N: 1}, Pass, Pass},
	} {
		if got := always(c.call); got != c.always {
			t.Errorf("Always of %v: %v", c.call, got)
		}
		if got := second(c.call); got != c.second {
			t.Errorf("Nth of %v: %v", c.call, got)
		}
	}
}
