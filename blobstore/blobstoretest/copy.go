package blobstoretest

import (
	"context"
	"errors"
	"testing"

	"mayfly/blobstore"
)

var copyTests = []test{
	{"round trip of any size", copyRoundTrip},
	{"lives on without its source", copyIndependent},
	{"does not replace", copyExists},
	{"of an unknown key", copyUnknown},
	{"cancelled", copyCancelled},
}

func copyRoundTrip(t *testing.T, s store) {
	for _, size := range []int{0, 1, 64<<10 + 1, big} {
		src, body := s.put(t, size)
		dst := s.newKey()
		if err := s.Copy(t.Context(), dst, src); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		s.wantBlob(t, src, body)
		s.wantBlob(t, dst, body)
		s.wantOnly(t, src, dst)
		if err := s.Delete(t.Context(), src, dst); err != nil {
			t.Fatal(err)
		}
	}
}

func copyIndependent(t *testing.T, s store) {
	a, body := s.put(t, 100_000)
	b, c := s.newKey(), s.newKey()
	for _, pair := range [][2]blobstore.Key{{b, a}, {c, b}} {
		if err := s.Copy(t.Context(), pair[0], pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []blobstore.Key{a, c} {
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		s.wantNone(t, key)
		s.wantBlob(t, b, body)
	}
	s.wantOnly(t, b)
}

func copyExists(t *testing.T, s store) {
	src, srcBody := s.put(t, 2000)
	dst, dstBody := s.put(t, 1000)
	for _, to := range []blobstore.Key{dst, src} {
		if err := s.Copy(t.Context(), to, src); !errors.Is(err, blobstore.ErrExists) {
			t.Fatalf("Copy: %v, want ErrExists", err)
		}
		s.wantBlob(t, src, srcBody)
		s.wantBlob(t, dst, dstBody)
		s.wantOnly(t, src, dst)
	}
}

func copyUnknown(t *testing.T, s store) {
	dst := s.newKey()
	if err := s.Copy(t.Context(), dst, s.newKey()); !errors.Is(err, blobstore.ErrNotFound) {
		t.Fatalf("Copy: %v, want ErrNotFound", err)
	}
	s.wantNone(t, dst)
	s.wantOnly(t)
}

func copyCancelled(t *testing.T, s store) {
	src, body := s.put(t, big)
	dst := s.newKey()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Copy(ctx, dst, src); !errors.Is(err, context.Canceled) {
		t.Fatalf("Copy: %v, want context.Canceled", err)
	}
	s.wantNone(t, dst)
	s.wantBlob(t, src, body)
	s.wantOnly(t, src)
}
