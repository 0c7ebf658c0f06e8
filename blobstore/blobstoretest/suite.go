package blobstoretest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"

	"mayfly/blobstore"
)

// big is more than one part of a multipart upload (at least 5 MiB each) and
// more than any buffer.
const big = 6<<20 + 7

// Test runs the suite. open returns a new, empty store each time, and lets
// t.Cleanup close it.
func Test(t *testing.T, open func(t *testing.T) blobstore.Store) { TestKeys(t, newKey, open) }

// TestKeys runs the suite with keys that newKey makes, each another one: for a store that
// tells keys apart.
func TestKeys(t *testing.T, newKey func() blobstore.Key, open func(t *testing.T) blobstore.Store) {
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"Put", putTests},
		{"Open", openTests},
		{"Copy", copyTests},
		{"Delete", deleteTests},
		{"All", allTests},
		{"Store", storeTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					test.run(t, store{open(t), newKey})
				})
			}
		})
	}
}

type test struct {
	name string
	run  func(t *testing.T, s store)
}

// store adds to a Store what the tests want to say in one line.
type store struct {
	blobstore.Store
	newKey func() blobstore.Key
}

// newKey is a key that no blob has, and that is no row's.
func newKey() blobstore.Key {
	var random [16]byte
	rand.Read(random[:])
	return blobstore.Key("suite-" + hex.EncodeToString(random[:]))
}

// newBody is size random bytes: no two bodies of some length are equal, so a
// blob's bytes tell which Put wrote them.
func newBody(size int) []byte {
	body := make([]byte, size)
	rand.Read(body)
	return body
}

func (s store) mustPut(t *testing.T, key blobstore.Key, body []byte) {
	t.Helper()
	if err := s.Put(t.Context(), key, bytes.NewReader(body), int64(len(body))); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

// put stores a new random body under a new key.
func (s store) put(t *testing.T, size int) (blobstore.Key, []byte) {
	t.Helper()
	key, body := s.newKey(), newBody(size)
	s.mustPut(t, key, body)
	return key, body
}

// read opens the blob and reads it to its end.
func (s store) read(ctx context.Context, key blobstore.Key, offset int64) ([]byte, error) {
	r, _, err := s.Open(ctx, key, offset)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// wantBlob fails unless key reads as body.
func (s store) wantBlob(t *testing.T, key blobstore.Key, body []byte) {
	t.Helper()
	got, err := s.read(t.Context(), key, 0)
	if err != nil {
		t.Fatalf("read blob: %v", err)
	}
	if sha256.Sum256(got) != sha256.Sum256(body) {
		t.Fatalf("the blob has %d bytes that are not the %d that were put", len(got), len(body))
	}
}

// wantNone fails if key can be opened.
func (s store) wantNone(t *testing.T, key blobstore.Key) {
	t.Helper()
	if _, err := s.read(t.Context(), key, 0); !errors.Is(err, blobstore.ErrNotFound) {
		t.Fatalf("Open of a blob that should not be there: %v, want ErrNotFound", err)
	}
}

// list collects what All yields.
func (s store) list(t *testing.T) (blobs map[blobstore.Key]blobstore.Info, partial []blobstore.Info) {
	t.Helper()
	blobs = map[blobstore.Key]blobstore.Info{}
	for info, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatalf("All: %v", err)
		}
		if info.Partial {
			partial = append(partial, info)
			continue
		}
		if _, twice := blobs[info.Key]; twice {
			t.Errorf("All yields %s twice", info.Key)
		}
		blobs[info.Key] = info
	}
	return blobs, partial
}

// wantOnly fails unless the store holds the blobs of keys and nothing else.
func (s store) wantOnly(t *testing.T, keys ...blobstore.Key) {
	t.Helper()
	blobs, partial := s.list(t)
	for _, info := range partial {
		t.Errorf("an unfinished upload is left: %+v", info)
	}
	for _, key := range keys {
		if _, ok := blobs[key]; !ok {
			t.Errorf("All does not yield %s", key)
		}
		delete(blobs, key)
	}
	for key := range blobs {
		t.Errorf("All yields %s, which should not be there", key)
	}
}
