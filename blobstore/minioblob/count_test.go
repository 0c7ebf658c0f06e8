package minioblob

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
)

func TestCounted(t *testing.T) {
	for server, variable := range servers {
		for _, versioned := range []bool{false, true} {
			name, tells := server, blobstoretest.TellsNothing
			if versioned {
				name, tells = name+", versioned", blobstoretest.TellsAll
			}
			if versioned && server == "versitygw" {
				tells = blobstoretest.TellsRemoved // it marks nothing that is not there
			}
			t.Run(name, func(t *testing.T) {
				blobstoretest.TestCounted(t, tells, func(t *testing.T) blobstore.Store {
					cfg, keys := newBucket(t, variable, versioned)
					return open(t, cfg, keys)
				})
			})
		}
	}
}

// TestCountedVersions: a key has versions and markers that Mayfly did not make.
func TestCountedVersions(t *testing.T) {
	t.Parallel()
	for server, variable := range servers {
		cfg, keys := newBucket(t, variable, true)
		s := open(t, cfg, keys)
		c, err := newClient(cfg, keys)
		if err != nil {
			t.Fatal(err)
		}
		overwrite := func(key string) {
			t.Helper()
			if _, err := c.core.Client.PutObject(t.Context(), cfg.Bucket, "blobs/"+key, strings.NewReader(key), int64(len(key)), minio.PutObjectOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		overwrite("keyaa") // 3 versions and 2 markers
		overwrite("keyaa")
		hide := func(key string) {
			t.Helper()
			if err := c.core.RemoveObject(t.Context(), cfg.Bucket, "blobs/"+key, minio.RemoveObjectOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		hide("keyaa")
		overwrite("keyaa")
		hide("keyaa")
		overwrite("keyaab") // begins like it
		overwrite("keyaab")
		want := map[blobstore.Key]int64{"keyaa": 5, "keyaab": 2}
		if removed, err := s.DeleteCounted(t.Context(), "keyaab", "keyaa"); err != nil || !maps.Equal(removed, want) {
			t.Errorf("%s: %v, %v; want %v", server, removed, err, want)
		}
	}
}

func TestAbsent(t *testing.T) {
	for server, variable := range servers {
		for _, versioned := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, versioned %v", server, versioned), func(t *testing.T) {
				blobstoretest.TestAbsent(t, func(t *testing.T) blobstore.Store {
					cfg, keys := newBucket(t, variable, versioned)
					return open(t, cfg, keys)
				})
			})
		}
	}
}
