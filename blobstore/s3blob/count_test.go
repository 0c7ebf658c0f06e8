package s3blob

import (
	"context"
	"errors"
	"iter"
	"maps"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
	"mayfly/blobstore/bucket"
)

func (s setup) tells() blobstoretest.Tells {
	switch {
	case s.versioning != types.BucketVersioningStatusEnabled:
		return blobstoretest.TellsNothing
	case s.variable == "MAYFLY_TEST_VERSITYGW":
		return blobstoretest.TellsRemoved // it marks nothing that is not there
	}
	return blobstoretest.TellsAll
}

func TestCounted(t *testing.T) {
	budget := bucket.NewBudget(bucket.DefaultBudget)
	everySetup(t, func(t *testing.T, s setup) {
		blobstoretest.TestCounted(t, s.tells(), func(t *testing.T) blobstore.Store {
			return bucket.New(s.client(t), "blobs", budget)
		})
	})
}

// lossy is a client that counts requests for deletions, and loses the first answer to one
// that names versions.
type lossy struct {
	bucket.Client
	lose             bool
	deletes, listing int
}

var errLost = errors.New("the answer was lost")

func (l *lossy) Delete(ctx context.Context, objects []bucket.Object) []bucket.Deleted {
	l.deletes++
	all := l.Client.Delete(ctx, objects)
	if l.lose && objects[0].Version != "" {
		l.lose = false
		for i := range all {
			all[i] = bucket.Deleted{Err: errLost}
		}
	}
	return all
}

func (l *lossy) Versions(ctx context.Context, prefix string) iter.Seq2[bucket.Object, error] {
	l.listing++
	return l.Client.Versions(ctx, prefix)
}

// TestCountedVersions: all versions and markers count, whether there was an answer or not,
// and to count them takes no requests.
func TestCountedVersions(t *testing.T) {
	everySetup(t, func(t *testing.T, s setup) {
		t.Parallel()
		if s.tells() == blobstoretest.TellsNothing {
			return // it has none, or does not tell
		}
		for _, lose := range []bool{false, true} {
			c := s.client(t)
			for i, name := range []string{"blobs/keyaa", "blobs/keyaa", "blobs/keyaa", "blobs/keyaab"} {
				if _, err := c.api.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &c.bucket, Key: &name, Body: strings.NewReader(name)}); err != nil {
					t.Fatal(err)
				}
				if i == 1 || i == 2 {
					if d := c.Delete(t.Context(), []bucket.Object{{Name: name}}); d[0].Err != nil || !d[0].Marked {
						t.Fatalf("%+v, want a marker", d)
					}
				}
			}
			l := &lossy{Client: c, lose: lose}
			removed, err := bucket.New(l, "blobs", bucket.NewBudget(0)).DeleteCounted(t.Context(), "keyaa")
			if want := map[blobstore.Key]int64{"keyaa": 5}; err != nil || !maps.Equal(removed, want) {
				t.Errorf("lost %t: %v, %v; want %v", lose, removed, err, want)
			}
			if l.deletes != 2 || l.listing != 2 {
				t.Errorf("lost %t: %d deletions and %d listings, want 2 of each", lose, l.deletes, l.listing)
			}
		}
	})
}

func TestAbsent(t *testing.T) {
	budget := bucket.NewBudget(bucket.DefaultBudget)
	everySetup(t, func(t *testing.T, s setup) {
		blobstoretest.TestAbsent(t, func(t *testing.T) blobstore.Store {
			return bucket.New(s.client(t), "blobs", budget)
		})
	})
}
