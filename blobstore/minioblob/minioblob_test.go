package minioblob

import (
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"os"
	"testing"

	"github.com/minio/minio-go/v7"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
	"mayfly/blobstore/bucket"
)

// servers are those that testenv starts, by the variable that has their address.
var servers = map[string]string{"MinIO": "MAYFLY_TEST_MINIO", "versitygw": "MAYFLY_TEST_VERSITYGW"}

var budget = bucket.NewBudget(bucket.DefaultBudget)

// newBucket makes a bucket of the test's own, and empties and removes it in the end.
func newBucket(t testing.TB, variable string, versioned bool) (Config, Credentials) {
	t.Helper()
	address, err := url.Parse(os.Getenv(variable))
	if err != nil || address.Host == "" {
		t.Fatalf("%s names no server: run the tests with go run ./internal/testenv go test ./...", variable)
	}
	secret, _ := address.User.Password()
	keys := Credentials{address.User.Username(), secret}
	var random [8]byte
	rand.Read(random[:])
	cfg := Config{Host: address.Host, Bucket: "test-" + hex.EncodeToString(random[:]), Prefix: "blobs", Region: "us-east-1", Insecure: true}
	c, err := newClient(cfg, keys)
	if err == nil {
		err = c.core.MakeBucket(t.Context(), cfg.Bucket, minio.MakeBucketOptions{})
	}
	if err == nil && versioned {
		err = c.core.EnableVersioning(t.Context(), cfg.Bucket)
	}
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return cfg, keys
}

func open(t testing.TB, cfg Config, keys Credentials) *bucket.Store {
	t.Helper()
	s, err := Open(cfg, keys, budget)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	for server, variable := range servers {
		for _, versioned := range []bool{false, true} {
			name := server
			if versioned {
				name += ", versioned"
			}
			t.Run(name, func(t *testing.T) {
				blobstoretest.Test(t, func(t *testing.T) blobstore.Store {
					cfg, keys := newBucket(t, variable, versioned)
					return open(t, cfg, keys)
				})
			})
		}
	}
}
