package blobstoretest

import (
	"context"
	"errors"
	"testing"

	"mayfly/blobstore"
)

// TestImport runs the part of the suite that a blobstore.Importer has to pass as well. open
// returns two new, empty stores each time, of which to can import from the other.
func TestImport(t *testing.T, open func(t *testing.T) (to, from blobstore.Store)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, to importer, from store)
	}{
		{"round trip of any size", importRoundTrip},
		{"does not replace", importExists},
		{"of an unknown key", importUnknown},
		{"of a key that only the other store has", importNotOwn},
		{"malformed keys are refused", importKeys},
		{"cancelled", importCancelled},
		{"of a store that it cannot reach", importUnsupported},
	} {
		t.Run("Import/"+test.name, func(t *testing.T) {
			t.Parallel()
			to, from := open(t)
			if _, ok := to.(blobstore.Importer); !ok {
				t.Fatalf("%T is no Importer", to)
			}
			test.run(t, importer{store{to, newKey}}, store{from, newKey})
		})
	}
}

type importer struct{ store }

func (to importer) Import(ctx context.Context, dst blobstore.Key, from store, src blobstore.Key) error {
	return to.Store.(blobstore.Importer).Import(ctx, dst, from.Store, src)
}

func importRoundTrip(t *testing.T, to importer, from store) {
	for _, size := range []int{0, 1, 64<<10 + 1, big} {
		src, body := from.put(t, size)
		dst := to.newKey()
		if err := to.Import(t.Context(), dst, from, src); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		to.wantBlob(t, dst, body)
		to.wantOnly(t, dst)
		from.wantBlob(t, src, body)
		from.wantOnly(t, src)
		if err := from.Delete(t.Context(), src); err != nil {
			t.Fatal(err)
		}
		to.wantBlob(t, dst, body)
		if err := to.Delete(t.Context(), dst); err != nil {
			t.Fatal(err)
		}
	}
}

func importExists(t *testing.T, to importer, from store) {
	src, srcBody := from.put(t, 2000)
	dst, dstBody := to.put(t, 1000)
	if err := to.Import(t.Context(), dst, from, src); !errors.Is(err, blobstore.ErrExists) {
		t.Fatalf("Import: %v, want ErrExists", err)
	}
	to.wantBlob(t, dst, dstBody)
	to.wantOnly(t, dst)
	from.wantBlob(t, src, srcBody)
	// Of the other store's keys none is in the way.
	if err := to.Import(t.Context(), src, from, src); err != nil {
		t.Fatal(err)
	}
	to.wantBlob(t, src, srcBody)
	to.wantOnly(t, dst, src)
}

func importUnknown(t *testing.T, to importer, from store) {
	dst := to.newKey()
	if err := to.Import(t.Context(), dst, from, from.newKey()); !errors.Is(err, blobstore.ErrNotFound) {
		t.Fatalf("Import: %v, want ErrNotFound", err)
	}
	to.wantNone(t, dst)
	to.wantOnly(t)
}

func importNotOwn(t *testing.T, to importer, from store) {
	mine, _ := to.put(t, 100)
	if err := to.Import(t.Context(), to.newKey(), from, mine); !errors.Is(err, blobstore.ErrNotFound) {
		t.Fatalf("Import: %v, want ErrNotFound", err)
	}
	to.wantOnly(t, mine)
}

func importKeys(t *testing.T, to importer, from store) {
	good, _ := from.put(t, 10)
	for _, key := range []blobstore.Key{"", "..", "../" + good, "abc/def", "ABCD"} {
		for side, err := range map[string]error{
			"to": to.Import(t.Context(), key, from, good),
			"of": to.Import(t.Context(), to.newKey(), from, key),
		} {
			if !errors.Is(err, blobstore.ErrKey) {
				t.Errorf("Import %s %q: %v, want ErrKey", side, key, err)
			}
		}
	}
	to.wantOnly(t)
}

func importCancelled(t *testing.T, to importer, from store) {
	src, body := from.put(t, big)
	dst := to.newKey()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := to.Import(ctx, dst, from, src); !errors.Is(err, context.Canceled) {
		t.Fatalf("Import: %v, want context.Canceled", err)
	}
	to.wantNone(t, dst)
	to.wantOnly(t)
	from.wantBlob(t, src, body)
}

// importUnsupported: what wraps a store could do more than it, so nobody reaches past it.
func importUnsupported(t *testing.T, to importer, from store) {
	src, _ := from.put(t, 10)
	wrapped := &Faulty{Store: from.Store}
	for _, dst := range []blobstore.Key{to.newKey(), src} {
		err := to.Import(t.Context(), dst, store{wrapped, newKey}, src)
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Import: %v, want errors.ErrUnsupported", err)
		}
	}
	if wrapped.Calls(Open) > 0 {
		t.Error("the store was asked for the blob")
	}
	to.wantOnly(t)
}
