package minioblob

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"sync"
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

// TestCopyInParts: as a blob of more than 5 GiB is copied, but smaller.
func TestCopyInParts(t *testing.T) {
	t.Parallel()
	for _, variable := range servers {
		cfg, keys := newBucket(t, variable, false)
		s := open(t, cfg, keys)
		s.Limits.Copy = bucket.PartSize
		body := make([]byte, 2*bucket.PartSize+77)
		rand.Read(body)
		if err := s.Put(t.Context(), "keya", bytes.NewReader(body), int64(len(body))); err != nil {
			t.Fatal(err)
		}
		if err := s.Copy(t.Context(), "keyb", "keya"); err != nil {
			t.Fatal(err)
		}
		if err := s.Copy(t.Context(), "keyb", "keya"); !errors.Is(err, blobstore.ErrExists) {
			t.Errorf("%s: a copy onto a blob: %v", variable, err)
		}
		r, _, err := s.Open(t.Context(), "keyb", 0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: the copy differs: %d bytes, %v", variable, len(got), err)
		}
		for info := range s.All(t.Context()) {
			if info.Partial {
				t.Errorf("%s: an unfinished upload remains", variable)
			}
		}
	}
}

// TestExamine: what breaks a promise is found, and says how to mend it.
func TestExamine(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	verdict := func(s *bucket.Store, name string) error {
		t.Helper()
		for _, f := range s.Examine(ctx) {
			if f.Name == name {
				return f.Err
			}
		}
		t.Fatalf("nothing was found of %s", name)
		return nil
	}
	wants := func(err error, text string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want %q", err, text)
		}
	}

	cfg, keys := newBucket(t, "MAYFLY_TEST_MINIO", false)
	c, err := newClient(cfg, keys)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, cfg, keys)
	if err := s.Check(ctx); err != nil {
		t.Fatal(err)
	}
	public := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:GetObject"],"Resource":["arn:aws:s3:::` + cfg.Bucket + `/*"]}]}`
	if err := c.core.SetBucketPolicy(ctx, cfg.Bucket, public); err != nil {
		t.Fatal(err)
	}
	wants(verdict(s, "public access"), "block public access")
	wants(s.Check(ctx), "anybody can read")
	for range s.All(ctx) {
		t.Error("a canary remains")
	}

	locked := cfg
	locked.Bucket += "-locked"
	if err := c.core.MakeBucket(ctx, locked.Bucket, minio.MakeBucketOptions{ObjectLocking: true}); err != nil {
		t.Fatal(err)
	}
	wants(verdict(open(t, locked, keys), "object lock"), "without it")

	missing := cfg
	missing.Bucket += "-missing"
	wants(verdict(open(t, missing, keys), "bucket"), "create=true")
	missing.Create = true
	// Replicas start at once, and so do the two stores in one bucket.
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := open(t, missing, keys).Check(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	wrong := keys
	wrong.SecretKey = "not the secret of it"
	err = open(t, cfg, wrong).Check(ctx)
	if err == nil || strings.Contains(err.Error(), wrong.SecretKey) {
		t.Errorf("a wrong secret: %v", err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := Parse("minio://host:9000/pictures/a/b/?insecure=true&create=true&region=here")
	want := Config{Host: "host:9000", Bucket: "pictures", Prefix: "a/b", Region: "here", Insecure: true, Create: true}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for url, text := range map[string]string{
		"s3://bucket":                        "it must be like",
		"minio://":                           "names no server",
		"minio://host:9000":                  "names no bucket",
		"minio://host:9000/":                 "names no bucket",
		"minio://host/B_ad":                  "B_ad",
		"minio://key:secret@host/bucket":     "keys do not belong",
		"minio://host/bucket#x":              "fragment",
		"minio://host/bucket?insecure=maybe": "neither true nor false",
		"minio://host/bucket?secure=false":   "secure",
	} {
		_, err := Parse(url)
		if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: %v, want %q", url, err, text)
		}
	}
	secret := fmt.Sprintf("%v %+v %#v %s", Credentials{"a", "geheim"}, Credentials{"a", "geheim"}, Credentials{"a", "geheim"}, Credentials{"a", "geheim"})
	if strings.Contains(secret, "geheim") {
		t.Errorf("the secret is printed: %s", secret)
	}
}
