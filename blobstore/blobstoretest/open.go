package blobstoretest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"mayfly/blobstore"
)

var openTests = []test{
	{"reads from any offset", openOffsets},
	{"refuses an offset outside", openBadOffsets},
	{"of an unknown key", openUnknown},
	{"describes the blob", openInfo},
	{"by many at once", openMany},
	{"cancelled", openCancelled},
	{"cancelled while it is read", openCancelledLater},
}

func openOffsets(t *testing.T, s store) {
	for _, size := range []int64{0, 1, 2, 64<<10 + 1, big} {
		key, body := s.put(t, int(size))
		for _, offset := range []int64{0, 1, 4096, size / 2, size - 1, size} {
			if offset < 0 || offset > size {
				continue
			}
			got, err := s.read(t.Context(), key, offset)
			if err != nil {
				t.Fatalf("%d bytes from %d: %v", size, offset, err)
			}
			if !bytes.Equal(got, body[offset:]) {
				t.Fatalf("%d bytes from %d: %d other bytes", size, offset, len(got))
			}
		}
	}
}

func openBadOffsets(t *testing.T, s store) {
	for _, size := range []int64{0, 1, 70_000} {
		key, body := s.put(t, int(size))
		for _, offset := range []int64{-1, size + 1, size + 1<<40} {
			r, _, err := s.Open(t.Context(), key, offset)
			if err == nil {
				r.Close()
				t.Fatalf("%d bytes from %d: no error", size, offset)
			}
			if errors.Is(err, blobstore.ErrNotFound) {
				t.Fatalf("%d bytes from %d: %v, which says that there is no blob", size, offset, err)
			}
		}
		s.wantBlob(t, key, body)
	}
}

func openUnknown(t *testing.T, s store) {
	s.put(t, 10)
	for _, offset := range []int64{0, 1} {
		if _, _, err := s.Open(t.Context(), s.newKey(), offset); !errors.Is(err, blobstore.ErrNotFound) {
			t.Errorf("from %d: %v, want ErrNotFound", offset, err)
		}
	}
}

// clockSkew is how far the store's clock may be from ours.
const clockSkew = time.Minute

func openInfo(t *testing.T, s store) {
	before := time.Now().Add(-clockSkew)
	key, body := s.put(t, 5000)
	for _, offset := range []int64{0, 4000, 5000} {
		r, info, err := s.Open(t.Context(), key, offset)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		wantInfo(t, info, key, len(body), before)
	}
	blobs, _ := s.list(t)
	wantInfo(t, blobs[key], key, len(body), before)
}

func wantInfo(t *testing.T, info blobstore.Info, key blobstore.Key, size int, before time.Time) {
	t.Helper()
	if info.Key != key || info.Size != int64(size) || info.Partial || info.Ref != "" {
		t.Errorf("%+v, want key %s, %d bytes, complete", info, key, size)
	}
	if info.ModifiedAt.Before(before) || info.ModifiedAt.After(time.Now().Add(clockSkew)) {
		t.Errorf("modified at %v, which is not now", info.ModifiedAt)
	}
}

func openMany(t *testing.T, s store) {
	key, body := s.put(t, big)
	var readers sync.WaitGroup
	for i := range 16 {
		readers.Go(func() {
			offset := i * 100_003
			got, err := s.read(t.Context(), key, int64(offset))
			if err != nil || !bytes.Equal(got, body[offset:]) {
				t.Errorf("from %d: %d bytes, error %v", offset, len(got), err)
			}
		})
	}
	readers.Wait()
}

func openCancelled(t *testing.T, s store) {
	key, _ := s.put(t, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Open(ctx, key, 0); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want context.Canceled", err)
	}
}

// openCancelledLater holds every reader to: the right bytes or an error, and an
// error after Close. A file cannot watch a context, so more is not promised.
func openCancelledLater(t *testing.T, s store) {
	key, body := s.put(t, big)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, _, err := s.Open(ctx, key, 0)
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 1000)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	cancel()
	rest, err := io.ReadAll(r)
	got := append(head, rest...)
	if !bytes.HasPrefix(body, got) {
		t.Errorf("%d bytes that are not those of the blob", len(got))
	}
	if err == nil && len(got) != len(body) {
		t.Errorf("%d of %d bytes, and no error", len(got), len(body))
	}

	r.Close()
	if n, err := r.Read(head); n > 0 || err == nil || err == io.EOF {
		t.Errorf("Read after Close: %d bytes, error %v", n, err)
	}
}
