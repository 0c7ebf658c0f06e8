package s3blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
	"mayfly/blobstore/bucket"
)

// setup is a server and what its buckets are like.
type setup struct {
	name, variable string
	versioning     types.BucketVersioningStatus
	checksums      bool // as on AWS
}

var setups = []setup{
	{"MinIO", "MAYFLY_TEST_MINIO", "", false},
	{"MinIO with versions", "MAYFLY_TEST_MINIO", types.BucketVersioningStatusEnabled, false},
	{"MinIO with versions suspended", "MAYFLY_TEST_MINIO", types.BucketVersioningStatusSuspended, false},
	{"MinIO with checksums", "MAYFLY_TEST_MINIO", "", true},
	{"versitygw", "MAYFLY_TEST_VERSITYGW", "", false},
	{"versitygw with versions", "MAYFLY_TEST_VERSITYGW", types.BucketVersioningStatusEnabled, false},
	{"versitygw with checksums", "MAYFLY_TEST_VERSITYGW", "", true},
}

func (s setup) client(t testing.TB) *client {
	t.Helper()
	c := serverAt(t, s.variable).client(t)
	if s.versioning != "" {
		c.version(t, s.versioning)
	}
	if s.checksums {
		c.checksums = true
		c.api = s3.New(c.api.Options(), func(o *s3.Options) {
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenSupported
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenSupported
		})
	}
	return c
}

func everySetup(t *testing.T, test func(t *testing.T, s setup)) {
	for _, s := range setups {
		t.Run(s.name, func(t *testing.T) { test(t, s) })
	}
}

// contextFor is a context for a cleanup, when that of the test has ended.
func contextFor(testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}

func TestConformance(t *testing.T) {
	budget := bucket.NewBudget(bucket.DefaultBudget)
	everySetup(t, func(t *testing.T, s setup) {
		blobstoretest.Test(t, func(t *testing.T) blobstore.Store {
			return bucket.New(s.client(t), "blobs/of a+b", budget)
		})
	})
}

func TestOpenIsAStore(t *testing.T) {
	for _, variable := range []string{"MAYFLY_TEST_MINIO", "MAYFLY_TEST_VERSITYGW"} {
		at := serverAt(t, variable)
		c := at.client(t)
		s, err := Open(t.Context(), "s3://"+c.bucket+"?region=us-east-1&endpoint="+at.endpoint, at.credentials, bucket.NewBudget(0))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Check(t.Context()); err != nil {
			t.Fatalf("%s: %v", variable, err)
		}
	}
}

// TestFlippedByte: what is signed is the body, so the server finds a byte that changed
// on the way.
func TestFlippedByte(t *testing.T) {
	everySetup(t, func(t *testing.T, s setup) {
		t.Parallel()
		c := s.client(t)
		body := []byte(rand.Text())
		bad := c.tampered(func(r *http.Request) {
			if r.Method != http.MethodPut {
				return
			}
			all, _ := io.ReadAll(r.Body)
			all[len(all)/2] ^= 1
			r.Body = io.NopCloser(bytes.NewReader(all))
		})
		if err := bad.Put(t.Context(), "flipped", body); err == nil {
			t.Error("the server took a body with a flipped bit")
		} else {
			t.Log(err)
		}
		if _, err := c.Stat(t.Context(), "flipped"); !errors.Is(err, blobstore.ErrNotFound) {
			t.Errorf("%v, want ErrNotFound", err)
		}
		upload, err := c.Begin(t.Context(), "flipped")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bad.PutPart(t.Context(), "flipped", upload, 1, body); err == nil {
			t.Error("the server took a part with a flipped bit")
		}
	})
}

// TestUploadsAreFound: what a crash leaves is found by the prefix of all blobs, or no
// sweep would ever remove it (P5).
func TestUploadsAreFound(t *testing.T) {
	everySetup(t, func(t *testing.T, s setup) {
		t.Parallel()
		c := s.client(t)
		id, err := c.Begin(t.Context(), "some/prefix/blob")
		if err != nil {
			t.Fatal(err)
		}
		for _, prefix := range []string{"some/prefix/blob", "some/prefix/", "some/", ""} {
			found := false
			for u, err := range c.Uploads(t.Context(), prefix) {
				if err != nil {
					t.Fatal(err)
				}
				if u.ID == id && u.Name == "some/prefix/blob" {
					found = time.Since(u.BegunAt).Abs() < time.Minute
				}
			}
			if !found {
				t.Errorf("the upload is not listed by the prefix %q", prefix)
			}
		}
		for u := range c.Uploads(t.Context(), "other/") {
			t.Errorf("%+v is listed by the prefix of others", u)
		}
		for range 2 {
			if err := c.Abort(t.Context(), "some/prefix/blob", id); err != nil {
				t.Error(err)
			}
		}
		if err := c.Abort(t.Context(), "some/prefix/blob", "no-such-upload"); err != nil {
			t.Errorf("Abort of what never was: %v", err)
		}
	})
}

func TestCopyByParts(t *testing.T) {
	everySetup(t, func(t *testing.T, s setup) {
		if s.name == "MinIO with checksums" {
			return // it makes none for a part that it copies, as AWS does; nor is it asked to
		}
		t.Parallel()
		c := s.client(t)
		body := make([]byte, bucket.PartSize+1000)
		rand.Read(body)
		const src, dst = "a b/c+d", "e%2Ff/g"
		if err := c.Put(t.Context(), src, body); err != nil {
			t.Fatal(err)
		}
		upload, err := c.Begin(t.Context(), dst)
		if err != nil {
			t.Fatal(err)
		}
		var etags []string
		for i, length := range []int64{bucket.PartSize, 1000} {
			etag, err := c.CopyPart(t.Context(), dst, upload, i+1, bucket.Source{Bucket: c.bucket, Name: src}, int64(i)*bucket.PartSize, length)
			if err != nil {
				t.Fatal(err)
			}
			etags = append(etags, etag)
		}
		if err := c.Complete(t.Context(), dst, upload, etags); err != nil {
			t.Fatal(err)
		}
		r, o, err := c.Get(t.Context(), dst, 10)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, body[10:]) || o.Size != int64(len(body)) {
			t.Errorf("%d bytes of %d, %v", len(got), o.Size, err)
		}
	})
}

func TestBucketSettings(t *testing.T) {
	everySetup(t, func(t *testing.T, s setup) {
		t.Parallel()
		got, err := s.client(t).Bucket(t.Context())
		if got.Lifecycle == "" {
			t.Error("nothing is said of the lifecycle rules")
		}
		got.Lifecycle = ""
		if want := (bucket.Settings{Versioned: s.versioning != ""}); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	})
}

// TestVersionsAreInOrder puts versions and markers of names that would be out of order
// if the server's two lists were put one behind the other.
func TestVersionsAreInOrder(t *testing.T) {
	everySetup(t, func(t *testing.T, s setup) {
		if s.versioning != types.BucketVersioningStatusEnabled {
			return // it has none
		}
		c := s.client(t)
		names := []string{"a", "a-b", "b"}
		for _, name := range names {
			for range 2 {
				// Not by Put: versitygw takes a name for used of which only a marker is left.
				if _, err := c.api.PutObject(t.Context(), &s3.PutObjectInput{
					Bucket: &c.bucket, Key: &name, Body: strings.NewReader(name),
				}); err != nil {
					t.Fatal(err)
				}
				if d := c.Delete(t.Context(), []bucket.Object{{Name: name}}); d[0].Err != nil || !d[0].Marked {
					t.Fatalf("%+v, want a marker", d)
				}
			}
		}
		var all []bucket.Object
		for o, err := range c.Versions(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, o)
		}
		if len(all) != 4*len(names) {
			t.Fatalf("%d versions, want %d: %+v", len(all), 4*len(names), all)
		}
		for i, o := range all {
			if o.Name != names[i/4] || i%4 == 0 && !o.Marker {
				t.Errorf("version %d is %+v", i, o)
			}
		}
		for i, d := range c.Delete(t.Context(), all) {
			if d.Err != nil || d.Marked {
				t.Errorf("delete %+v: %+v", all[i], d)
			}
		}
		for o := range c.Versions(t.Context(), "") {
			t.Errorf("%+v is left", o)
		}
	})
}
