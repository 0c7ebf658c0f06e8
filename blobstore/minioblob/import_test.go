package minioblob

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
	"mayfly/blobstore/bucket"
)

func TestImport(t *testing.T) {
	for server, variable := range servers {
		for _, versioned := range []bool{false, true} {
			for _, limit := range []int64{0, bucket.PartSize} { // in parts: as of more than 5 GiB
				t.Run(fmt.Sprintf("%s, versioned %v, limit %d", server, versioned, limit), func(t *testing.T) {
					blobstoretest.TestImport(t, func(t *testing.T) (to, from blobstore.Store) {
						cfg, keys := newBucket(t, variable, versioned)
						s := open(t, cfg, keys)
						s.Limits.Copy = limit
						cfg, keys = newBucket(t, variable, versioned)
						return s, open(t, cfg, keys)
					})
				})
			}
		}
	}
}

// TestImportPrefix: of another prefix in the same bucket.
func TestImportPrefix(t *testing.T) {
	blobstoretest.TestImport(t, func(t *testing.T) (to, from blobstore.Store) {
		cfg, keys := newBucket(t, "MAYFLY_TEST_MINIO", false)
		cfg.Prefix = "of senders"
		from = open(t, cfg, keys)
		cfg.Prefix = "of reports +%41"
		return open(t, cfg, keys), from
	})
}

// TestImportFromElsewhere: only of the same server, and as the same user of it, a store is
// certain to be reached.
func TestImportFromElsewhere(t *testing.T) {
	t.Parallel()
	cfg, keys := newBucket(t, "MAYFLY_TEST_MINIO", false)
	from := open(t, cfg, keys)
	if err := from.Put(t.Context(), "0123-here", strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	here, _ := newBucket(t, "MAYFLY_TEST_MINIO", false)
	gateway, gatewayKeys := newBucket(t, "MAYFLY_TEST_VERSITYGW", false)
	tls, region, name := here, here, here
	tls.Insecure, region.Region, name.Host = false, "elsewhere", "another-name"
	for what, to := range map[string]*bucket.Store{
		"server":     open(t, gateway, gatewayKeys),
		"name":       open(t, name, keys),
		"region":     open(t, region, keys),
		"protocol":   open(t, tls, keys),
		"user":       open(t, here, Credentials{"somebody else", "secret"}),
		"role, none": open(t, here, Credentials{}),
	} {
		err := to.Import(t.Context(), "0123-there", from, "0123-here")
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("another %s: %v, want errors.ErrUnsupported", what, err)
		}
	}
	if err := open(t, here, keys).Import(t.Context(), "0123-there", from, "0123-here"); err != nil {
		t.Errorf("the same server: %v", err)
	}
}
