package s3blob

import (
	"errors"
	"strings"
	"testing"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
	"mayfly/blobstore/bucket"
)

func TestImport(t *testing.T) {
	budget := bucket.NewBudget(bucket.DefaultBudget)
	everySetup(t, func(t *testing.T, s setup) {
		for name, limit := range map[string]int64{"whole": 0, "in parts": bucket.PartSize} {
			if limit > 0 && s.checksums {
				continue // a copied part has none on MinIO, and that of its whole source on versitygw
			}
			t.Run(name, func(t *testing.T) {
				blobstoretest.TestImport(t, func(t *testing.T) (to, from blobstore.Store) {
					store := bucket.New(s.client(t), "reports/of a+b", budget)
					store.Limits.Copy = limit
					return store, bucket.New(s.client(t), "blobs/of a+b", budget)
				})
			})
		}
	})
}

// TestImportFromElsewhere: see the one of minioblob.
func TestImportFromElsewhere(t *testing.T) {
	t.Parallel()
	at, other := serverAt(t, "MAYFLY_TEST_MINIO"), serverAt(t, "MAYFLY_TEST_VERSITYGW")
	budget := bucket.NewBudget(bucket.DefaultBudget)
	from := bucket.New(at.client(t), "", budget)
	if err := from.Put(t.Context(), "0123-here", strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	here := "s3://" + at.client(t).bucket
	for what, c := range map[string]struct {
		url         string
		credentials Credentials
		err         error
	}{
		"the same":       {here + "?endpoint=" + at.endpoint, at.credentials, nil},
		"another server": {here + "?endpoint=" + other.endpoint, other.credentials, errors.ErrUnsupported},
		"AWS":            {here + "?region=us-east-1", at.credentials, errors.ErrUnsupported},
		"another region": {here + "?region=elsewhere&endpoint=" + at.endpoint, at.credentials, errors.ErrUnsupported},
		"another user":   {here + "?endpoint=" + at.endpoint, Credentials{"somebody else", "secret"}, errors.ErrUnsupported},
	} {
		to, err := Open(t.Context(), c.url, c.credentials, budget)
		if err != nil {
			t.Fatal(err)
		}
		if err := to.Import(t.Context(), "0123-there", from, "0123-here"); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", what, err, c.err)
		}
	}
}
