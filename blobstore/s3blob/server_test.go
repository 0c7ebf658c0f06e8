package s3blob

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"crypto/rand"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"mayfly/blobstore/bucket"
)

// server is a real S3 server, as testenv starts it.
type server struct {
	endpoint    string
	credentials Credentials
}

// serverAt reads http://ACCESS:SECRET@HOST:PORT from the environment.
func serverAt(t testing.TB, variable string) server {
	t.Helper()
	raw := os.Getenv(variable)
	if raw == "" {
		t.Fatalf("%s is not set: run the tests with go run ./internal/testenv go test ./...", variable)
	}
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatalf("%s is no URL", variable)
	}
	secret, _ := u.User.Password()
	return server{endpoint: u.Scheme + "://" + u.Host, credentials: Credentials{u.User.Username(), secret}}
}

// client is a Client on a new bucket, which is removed with all that is in it.
func (s server) client(t testing.TB) *client {
	t.Helper()
	c, err := newClient(t.Context(), location{
		bucket:   "s3blob-" + strings.ToLower(rand.Text()),
		endpoint: s.endpoint,
	}, s.credentials)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.api.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &c.bucket}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.remove(t) })
	return c
}

func (c *client) version(t testing.TB, status types.BucketVersioningStatus) {
	t.Helper()
	if _, err := c.api.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket:                  &c.bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: status},
	}); err != nil {
		t.Fatal(err)
	}
}

// remove runs when t.Context has ended.
func (c *client) remove(t testing.TB) {
	ctx, cancel := contextFor(t)
	defer cancel()
	for u, err := range c.Uploads(ctx, "") {
		if err == nil {
			err = c.Abort(ctx, u.Name, u.ID)
		}
		if err != nil {
			t.Error(err)
			break
		}
	}
	var left []bucket.Object
	for o, err := range c.Versions(ctx, "") {
		if err != nil {
			t.Error(err)
			break
		}
		left = append(left, o)
	}
	if len(left) > 0 {
		for _, d := range c.Delete(ctx, left) {
			if d.Err != nil {
				t.Error(d.Err)
			}
		}
	}
	if _, err := c.api.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &c.bucket}); err != nil {
		t.Error(err)
	}
}

// tamper is a transport that changes what it is given.
type tamper struct {
	http.RoundTripper
	change func(*http.Request)
}

func (x tamper) RoundTrip(r *http.Request) (*http.Response, error) {
	x.change(r)
	return x.RoundTripper.RoundTrip(r)
}

// tampered is c with a change to each request after it was signed.
func (c *client) tampered(change func(*http.Request)) *client {
	twin := *c
	options := c.api.Options()
	inner := options.HTTPClient.(*http.Client)
	twin.api = s3.New(options, func(o *s3.Options) {
		o.HTTPClient = &http.Client{Transport: tamper{inner.Transport, change}, CheckRedirect: inner.CheckRedirect}
		o.Retryer = aws.NopRetryer{}
	})
	return &twin
}
