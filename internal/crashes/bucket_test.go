package crashes

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"mayfly/blobstore"
	"mayfly/blobstore/apart"
	"mayfly/blobstore/blobstoretest"
	"mayfly/blobstore/bucket"
	"mayfly/blobstore/minioblob"
	"mayfly/tickets"
)

// versioned is a bucket of MinIO that keeps what was deleted.
type versioned struct {
	core *minio.Core // past the store
	cfg  minioblob.Config
	keys minioblob.Credentials
}

const prefix = "blobs"

// budget is of the process, as in cmd/mayfly.
var budget = bucket.NewBudget(bucket.DefaultBudget)

func newVersioned(t *testing.T) place {
	t.Helper()
	address, err := url.Parse(os.Getenv("MAYFLY_TEST_MINIO"))
	if err != nil || address.Host == "" {
		t.Fatal("MAYFLY_TEST_MINIO names no server: go run ./internal/testenv go test ./...")
	}
	secret, _ := address.User.Password()
	v := versioned{keys: minioblob.Credentials{AccessKey: address.User.Username(), SecretKey: secret}}
	v.cfg = minioblob.Config{
		Host: address.Host, Bucket: "crash-" + strings.ToLower(rand.Text()), Prefix: prefix,
		Region: "us-east-1", Insecure: true,
	}
	v.core, err = minio.NewCore(address.Host, &minio.Options{Creds: credentials.NewStaticV4(v.keys.AccessKey, secret, "")})
	if err == nil {
		err = v.core.MakeBucket(t.Context(), v.cfg.Bucket, minio.MakeBucketOptions{})
	}
	if err == nil {
		err = v.core.EnableVersioning(t.Context(), v.cfg.Bucket)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (v versioned) open(t *testing.T) closingStore {
	t.Helper()
	s, err := minioblob.Open(v.cfg, v.keys, budget)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (v versioned) seenBy(p *process, s *apart.Store) blobstore.Store {
	return steppedBucket{stepped(p, s), p, s}
}

func (v versioned) cutOff(ctx context.Context, key blobstore.Key) error {
	name := prefix + "/" + string(key)
	id, err := v.core.NewMultipartUpload(ctx, v.cfg.Bucket, name, minio.PutObjectOptions{})
	if err == nil {
		_, err = v.core.PutObjectPart(ctx, v.cfg.Bucket, name, id, 1, strings.NewReader("begun"), 5, minio.PutObjectPartOptions{})
	}
	return err
}

// remains asks MinIO itself for versions, delete markers and unfinished uploads.
func (v versioned) remains(ctx context.Context) (all []string, err error) {
	for o := range v.core.ListObjectsIter(ctx, v.cfg.Bucket, minio.ListObjectsOptions{WithVersions: true, Recursive: true}) {
		if o.Err != nil {
			return nil, o.Err
		}
		all = append(all, fmt.Sprintf("%s, version %s, a delete marker: %v", o.Key, o.VersionID, o.IsDeleteMarker))
	}
	// With a prefix MinIO does not tell all.
	uploads, err := v.core.ListMultipartUploads(ctx, v.cfg.Bucket, "", "", "", "", 1000)
	for _, u := range uploads.Uploads {
		all = append(all, fmt.Sprintf("%s, upload %s", u.Key, u.UploadID))
	}
	return all, err
}

// steppedBucket has what a bucket can do besides, in steps too.
type steppedBucket struct {
	*blobstoretest.Faulty
	p       *process
	buckets *apart.Store
}

var (
	_ blobstore.Presigner  = steppedBucket{}
	_ blobstore.Unfinisher = steppedBucket{}
)

func (b steppedBucket) PresignPut(ctx context.Context, key blobstore.Key, size int64, sum blobstore.Digest, valid time.Duration) (put blobstore.PresignedPut, err error) {
	err = b.p.step("blobs.PresignPut", func() error { put, err = b.buckets.PresignPut(ctx, key, size, sum, valid); return err })
	return put, err
}

func (b steppedBucket) Unfinished(ctx context.Context, key blobstore.Key) iter.Seq2[blobstore.Info, error] {
	return func(yield func(blobstore.Info, error) bool) {
		var all []blobstore.Info
		err := b.p.step("blobs.Unfinished", func() error {
			for info, err := range b.buckets.Unfinished(ctx, key) {
				if err != nil {
					return err
				}
				all = append(all, info)
			}
			return nil
		})
		for _, info := range all { // of a list that breaks off, what came before
			if !yield(info, nil) {
				return
			}
		}
		if err != nil {
			yield(blobstore.Info{}, err)
		}
	}
}

// bring sends bytes as a client does that has a presigned request.
func bring(ctx context.Context, d *tickets.Direct, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, d.URL.Reveal(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, value := range d.Headers {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return errors.New("the presigned request failed") // P8: the error has its URL
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPreconditionFailed {
		answer, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("the presigned request: %s: %s", resp.Status, answer)
	}
	return nil
}
