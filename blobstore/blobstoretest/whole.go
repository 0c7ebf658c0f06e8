package blobstoretest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"mayfly/blobstore"
)

var storeTests = []test{
	{"malformed keys are refused", storeKeys},
	{"many at once", storeConcurrent},
	{"check passes and leaves nothing", storeCheck},
	{"check cancelled", storeCheckCancelled},
}

func storeKeys(t *testing.T, s store) {
	good, body := s.put(t, 10)
	for _, key := range []blobstore.Key{
		"", "a", "abc", "..", "../..", "-abc", "ABCD", "abc/def", "/abcd", "abcd.part", "abc\x00d", "abc d", "äbcd", "ab\ncd",
		blobstore.Key(strings.Repeat("a", 129)),
	} {
		ctx := t.Context()
		_, _, openErr := s.Open(ctx, key, 0)
		for method, err := range map[string]error{
			"Put":     s.Put(ctx, key, bytes.NewReader(body), int64(len(body))),
			"Open":    openErr,
			"Copy to": s.Copy(ctx, key, good),
			"Copy of": s.Copy(ctx, s.newKey(), key),
			"Delete":  s.Delete(ctx, key),
		} {
			if !errors.Is(err, blobstore.ErrKey) {
				t.Errorf("%s %q: %v, want ErrKey", method, key, err)
			}
		}
	}
	s.wantOnly(t, good)
}

func storeConcurrent(t *testing.T, s store) {
	var mu sync.Mutex
	var kept []blobstore.Key
	var workers sync.WaitGroup
	for w := range 16 {
		workers.Go(func() {
			for i := range 6 {
				key, body := s.newKey(), newBody(w*10_000+i)
				if err := s.Put(t.Context(), key, bytes.NewReader(body), int64(len(body))); err != nil {
					t.Error(err)
					return
				}
				got, err := s.read(t.Context(), key, int64(i))
				if err != nil || !bytes.Equal(got, body[i:]) {
					t.Errorf("%d bytes, error %v", len(got), err)
					return
				}
				if i%2 == 0 {
					mu.Lock()
					kept = append(kept, key)
					mu.Unlock()
					continue
				}
				if err := s.Delete(t.Context(), key); err != nil {
					t.Error(err)
					return
				}
				if _, err := s.read(t.Context(), key, 0); !errors.Is(err, blobstore.ErrNotFound) {
					t.Errorf("Open after Delete: %v, want ErrNotFound", err)
					return
				}
			}
		})
	}
	workers.Wait()
	s.wantOnly(t, kept...)
}

func storeCheck(t *testing.T, s store) {
	key, body := s.put(t, 10)
	var checks sync.WaitGroup
	for range 2 { // two replicas may start at the same moment
		checks.Go(func() {
			if err := s.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	checks.Wait()
	s.wantBlob(t, key, body)
	s.wantOnly(t, key)
}

func storeCheckCancelled(t *testing.T, s store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Check: %v, want context.Canceled", err)
	}
	s.wantOnly(t)
}
