package blobstoretest_test

import (
	"context"
	"errors"
	"maps"
	"testing"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
)

// silent is a store that only deletes.
type silent struct{ blobstore.Store }

// A Faulty tells what its store does.
func TestFaultyCounts(t *testing.T) {
	blobstoretest.TestCounted(t, blobstoretest.TellsAll, func(t *testing.T) blobstore.Store { return newFaulty(t) })
	t.Run("of a store that does not", func(t *testing.T) {
		blobstoretest.TestCounted(t, blobstoretest.TellsNothing, func(t *testing.T) blobstore.Store {
			return &blobstoretest.Faulty{Store: silent{newFaulty(t).Store}}
		})
	})
}

// TestFaultyFailsCounted: who asks for the count meets the same faults.
func TestFaultyFailsCounted(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	keys := []blobstore.Key{"aaaa", "bbbb", "cccc", "dddd"}
	for _, key := range keys {
		if err := put(t.Context(), f, key); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.Fail(blobstoretest.Always(blobstoretest.Delete, blobstoretest.Stalled))
	if removed, err := f.DeleteCounted(ctx, "dddd"); !errors.Is(err, context.Canceled) || len(removed) > 0 {
		t.Errorf("stalled: %v, %v", removed, err)
	}
	modes := map[blobstore.Key]blobstoretest.Mode{"bbbb": blobstoretest.Failed, "cccc": blobstoretest.FailedButApplied}
	f.Fail(func(c blobstoretest.Call) blobstoretest.Mode {
		if c.Method != blobstoretest.Delete || c.N != 1 {
			return blobstoretest.Pass
		}
		return modes[c.Key]
	})
	removed, err := f.DeleteCounted(t.Context(), "aaaa", "bbbb", "cccc")
	if !errors.Is(err, blobstoretest.ErrFault) || removed["aaaa"] != 1 || f.Calls(blobstoretest.Delete) != 1 {
		t.Errorf("%v, %v, after %d calls", removed, err, f.Calls(blobstoretest.Delete))
	}
	removed, err = f.DeleteCounted(t.Context(), keys...)
	want := map[blobstore.Key]int64{"aaaa": 0, "bbbb": 1, "cccc": 0, "dddd": 1}
	if err != nil || !maps.Equal(removed, want) {
		t.Errorf("again: %v, %v; want %v", removed, err, want)
	}
}
