package apart_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"mayfly/blobstore"
	"mayfly/blobstore/apart"
	"mayfly/blobstore/blobstoretest"
	"mayfly/blobstore/bucket"
)

// sizes of what is copied: the last is more than one part of an upload.
var sizes = []int{0, 1, 64<<10 + 1, bucket.PartSize + 77}

// TestCopyBetween: from one store to the other, by way of us and without.
func TestCopyBetween(t *testing.T) {
	for name, c := range map[string]struct {
		media, evidence func(testing.TB) blobstore.Store
		streams         bool
	}{
		"folders":               {aFolder, aFolder, false},
		"buckets":               {aBucket, aBucket, false},
		"folder to bucket":      {aFolder, aBucket, true},
		"bucket to folder":      {aBucket, aFolder, true},
		"from a wrapped folder": {wrapped, aFolder, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			media, inside := c.media(t), c.evidence(t)
			evidence := &taking{Store: inside, Importer: inside.(blobstore.Importer)}
			s := &apart.Store{Media: media, Evidence: evidence}
			for _, size := range sizes {
				blob, report := mediaKey(), evidenceKey()
				sum := put(t, s, blob, size)
				evidence.puts = 0
				if err := s.Copy(t.Context(), report, blob); err != nil {
					t.Fatal(err)
				}
				if c.streams != (evidence.puts == 1) {
					t.Errorf("the bytes went through us %d times", evidence.puts)
				}
				wantBlob(t, evidence, report, sum)
				wantKeys(t, evidence, report)
				wantKeys(t, media, blob)

				err := s.Copy(t.Context(), report, blob)
				if !errors.Is(err, blobstore.ErrExists) {
					t.Errorf("a copy onto a blob: %v, want ErrExists", err)
				}
				wantBlob(t, evidence, report, sum)
				// And back, which nobody does.
				back := mediaKey()
				if err := s.Copy(t.Context(), back, report); err != nil {
					t.Error(err)
				}
				wantBlob(t, media, back, sum)
				if err := s.Delete(t.Context(), blob, report, back); err != nil {
					t.Fatal(err)
				}
			}

			other := evidenceKey()
			for _, unknown := range []blobstore.Key{mediaKey(), evidenceKey()} {
				if err := s.Copy(t.Context(), other, unknown); !errors.Is(err, blobstore.ErrNotFound) {
					t.Errorf("a copy of nothing: %v, want ErrNotFound", err)
				}
			}
			blob := mediaKey()
			put(t, s, blob, bucket.PartSize+1)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := s.Copy(ctx, other, blob); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled: %v", err)
			}
			wantKeys(t, evidence)
		})
	}
}

func aFolder(t testing.TB) blobstore.Store { return folder(t) }
func aBucket(t testing.TB) blobstore.Store { return minio(t) }
func wrapped(t testing.TB) blobstore.Store { return &blobstoretest.Faulty{Store: folder(t)} }

// TestCopyBreaks: a body that ends early makes no evidence.
func TestCopyBreaks(t *testing.T) {
	t.Parallel()
	for name, evidence := range map[string]blobstore.Store{"folder": folder(t), "bucket": minio(t)} {
		media := &blobstoretest.Faulty{Store: folder(t)}
		s := &apart.Store{Media: media, Evidence: evidence}
		blob := mediaKey()
		put(t, s, blob, bucket.PartSize+1000)
		for _, after := range []int64{0, 1000, bucket.PartSize + 1} {
			media.Fail(blobstoretest.Always(blobstoretest.Open, blobstoretest.BreakAfter(after)))
			err := s.Copy(t.Context(), evidenceKey(), blob)
			if !errors.Is(err, blobstoretest.ErrFault) {
				t.Errorf("%s, after %d bytes: %v, want ErrFault", name, after, err)
			}
			wantKeys(t, evidence)
		}
	}
}

// TestImportFails: only what cannot be done without us goes through us.
func TestImportFails(t *testing.T) {
	t.Parallel()
	media := &blobstoretest.Faulty{Store: folder(t)}
	blob := mediaKey()
	put(t, media, blob, 100)
	for want, opened := range map[error]int{
		blobstoretest.ErrFault: 0, blobstore.ErrExists: 0, blobstore.ErrNoSpace: 0, errors.ErrUnsupported: 1,
	} {
		media.Fail(nil)
		s := &apart.Store{Media: media, Evidence: importing{folder(t), want}}
		err := s.Copy(t.Context(), evidenceKey(), blob)
		if opened == 0 && !errors.Is(err, want) || opened == 1 && err != nil {
			t.Errorf("%v: Copy ends with %v", want, err)
		}
		if got := media.Calls(blobstoretest.Open); got != opened {
			t.Errorf("%v: the blob was opened %d times, want %d", want, got, opened)
		}
	}
	// The error says from where to where.
	media.Fail(blobstoretest.Always(blobstoretest.Open, blobstoretest.Failed))
	err := (&apart.Store{Media: media, Evidence: folder(t)}).Copy(t.Context(), evidenceKey(), blob)
	if err == nil || !strings.Contains(err.Error(), "from the media store") {
		t.Error(err)
	}
}

// importing is an Importer that always ends with err.
type importing struct {
	blobstore.Store
	err error
}

func (i importing) Import(context.Context, blobstore.Key, blobstore.Store, blobstore.Key) error {
	return fmt.Errorf("import: %w", i.err)
}

// taking counts how often it is given bytes.
type taking struct {
	blobstore.Store
	blobstore.Importer
	puts int
}

func (o *taking) Put(ctx context.Context, key blobstore.Key, r io.Reader, size int64) error {
	o.puts++
	return o.Store.Put(ctx, key, r, size)
}
