package blobstoretest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"mayfly/blobstore"
)

var allTests = []test{
	{"of an empty store", allEmpty},
	{"yields everything", allEverything},
	{"stops when told", allStops},
	{"cancelled", allCancelled},
	{"cancelled midway", allCancelledMidway},
	{"while others put and delete", allMeanwhile},
}

func allEmpty(t *testing.T, s store) {
	s.wantOnly(t)
}

func allEverything(t *testing.T, s store) {
	sizes := map[blobstore.Key]int64{}
	var keys []blobstore.Key
	for size := range 70 {
		key, _ := s.put(t, size)
		keys = append(keys, key)
		sizes[key] = int64(size)
	}
	// Keys of every allowed kind, not only those that the tests make.
	for _, key := range []blobstore.Key{"0000", "zz--", "a-b-c", blobstore.Key(bytes.Repeat([]byte("x9"), 64))} {
		s.mustPut(t, key, newBody(3))
		keys = append(keys, key)
		sizes[key] = 3
	}
	for range 2 {
		s.wantOnly(t, keys...)
		blobs, _ := s.list(t)
		for key, info := range blobs {
			if info.Size != sizes[key] {
				t.Errorf("%s: %d bytes, want %d", key, info.Size, sizes[key])
			}
		}
	}
}

func allStops(t *testing.T, s store) {
	for range 10 {
		s.put(t, 10)
	}
	seen := 0
	for _, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 3 {
			break
		}
	}
	if seen != 3 {
		t.Fatalf("%d blobs, want 3", seen)
	}
}

func allCancelled(t *testing.T, s store) {
	for range 2 { // empty, and not
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var last error
		for _, err := range s.All(ctx) {
			last = err
		}
		if !errors.Is(last, context.Canceled) {
			t.Fatalf("All: %v, want context.Canceled", last)
		}
		s.put(t, 10)
	}
}

func allCancelledMidway(t *testing.T, s store) {
	const n = 20
	for range n {
		s.put(t, 10)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	var last error
	for _, err := range s.All(ctx) {
		if last != nil {
			t.Fatalf("All goes on after %v", last)
		}
		if last = err; err == nil {
			seen++
			cancel()
		}
	}
	// A page that was fetched before may still be yielded, all of it; then there
	// is nothing left to cancel.
	if last == nil && seen != n {
		t.Errorf("All ended after %d of %d blobs without an error", seen, n)
	}
	if last != nil && !errors.Is(last, context.Canceled) {
		t.Errorf("All: %v, want context.Canceled", last)
	}
}

func allMeanwhile(t *testing.T, s store) {
	var kept []blobstore.Key
	for range 40 {
		key, _ := s.put(t, 10)
		kept = append(kept, key)
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	for range 4 {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				key, body := s.newKey(), newBody(10)
				err := s.Put(t.Context(), key, bytes.NewReader(body), 10)
				if err := errors.Join(err, s.Delete(t.Context(), key)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 5 {
		blobs, _ := s.list(t)
		for _, key := range kept {
			if _, ok := blobs[key]; !ok {
				t.Errorf("All does not yield %s, which was there all the time", key)
			}
		}
	}
	close(stop)
	others.Wait()
	s.wantOnly(t, kept...)
}
