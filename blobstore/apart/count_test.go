package apart_test

import (
	"errors"
	"maps"
	"testing"

	"mayfly/blobstore"
	"mayfly/blobstore/apart"
	"mayfly/blobstore/blobstoretest"
)

// silent is a store that only deletes.
type silent struct{ blobstore.Store }

func TestCounted(t *testing.T) {
	for name, c := range map[string]struct {
		open  func(*testing.T) blobstore.Store
		tells blobstoretest.Tells
	}{
		"folders": {func(t *testing.T) blobstore.Store { return &apart.Store{Media: folder(t), Evidence: folder(t)} }, blobstoretest.TellsAll},
		"mixed":   {func(t *testing.T) blobstore.Store { return &apart.Store{Media: folder(t), Evidence: minio(t)} }, blobstoretest.TellsNothing},
		"media only counts": {
			func(t *testing.T) blobstore.Store { return &apart.Store{Media: folder(t), Evidence: silent{folder(t)}} },
			blobstoretest.TellsNothing,
		},
		"evidence only counts": {
			func(t *testing.T) blobstore.Store { return &apart.Store{Media: silent{folder(t)}, Evidence: folder(t)} },
			blobstoretest.TellsNothing,
		},
		"one store":                   {func(t *testing.T) blobstore.Store { return &apart.Store{Media: folder(t)} }, blobstoretest.TellsAll},
		"one store that only deletes": {func(t *testing.T) blobstore.Store { return &apart.Store{Media: silent{folder(t)}} }, blobstoretest.TellsNothing},
	} {
		t.Run(name, func(t *testing.T) { blobstoretest.TestCounted(t, c.tells, c.open) })
	}
}

// TestCountedOfBoth: what both stores have counts twice, and of a sender's blob only the
// media store has to tell.
func TestCountedOfBoth(t *testing.T) {
	t.Parallel()
	media, evidence := folder(t), folder(t)
	blob, report, moved, absent := mediaKey(), evidenceKey(), evidenceKey(), evidenceKey()
	keys := []blobstore.Key{blob, report, moved, absent}
	fill := func() {
		put(t, media, blob, 10)
		put(t, evidence, report, 10)
		put(t, evidence, moved, 10)
		put(t, media, moved, 10)
	}
	whole := map[blobstore.Key]int64{blob: 1, report: 1, moved: 2, absent: 0}
	for name, c := range map[string]struct {
		media, evidence blobstore.Store
		want            map[blobstore.Key]int64
	}{
		"both":     {media, evidence, whole},
		"media":    {media, silent{evidence}, map[blobstore.Key]int64{blob: 1}},
		"evidence": {silent{media}, evidence, nil},
	} {
		fill()
		s := &apart.Store{Media: c.media, Evidence: c.evidence}
		removed, err := s.DeleteCounted(t.Context(), append(keys, keys...)...)
		if err != nil || !maps.Equal(removed, c.want) {
			t.Errorf("%s: %v, %v; want %v", name, removed, err, c.want)
		}
	}
	// Senders' blobs alone go to the media store only.
	fill()
	s := &apart.Store{Media: media, Evidence: silent{evidence}}
	if removed, err := s.DeleteCounted(t.Context(), blob); err != nil || !maps.Equal(removed, map[blobstore.Key]int64{blob: 1}) {
		t.Errorf("%v, %v", removed, err)
	}
	// A store that fails takes nothing from the counts of the other's.
	put(t, media, blob, 10)
	broken := &blobstoretest.Faulty{Store: evidence}
	broken.Fail(blobstoretest.Always(blobstoretest.Delete, blobstoretest.Failed))
	s.Evidence = broken
	if removed, err := s.DeleteCounted(t.Context(), keys...); !errors.Is(err, blobstoretest.ErrFault) || removed[blob] != 1 {
		t.Errorf("%v, %v", removed, err)
	}
}

func TestAbsent(t *testing.T) {
	blobstoretest.TestAbsent(t, func(t *testing.T) blobstore.Store { return &apart.Store{Media: folder(t), Evidence: minio(t)} })
}

// TestAbsentOfBoth: evidence is absent if neither store has it, a sender's blob if the media
// store has not.
func TestAbsentOfBoth(t *testing.T) {
	t.Parallel()
	media, evidence := folder(t), folder(t)
	s := &apart.Store{Media: media, Evidence: evidence}
	id := owner()
	blobs := []blobstore.Key{blobstore.NewKey(id), blobstore.NewKey(id)}
	copies := []blobstore.Key{blobstore.NewEvidenceKey(id), blobstore.NewEvidenceKey(id), blobstore.NewEvidenceKey(id)}
	put(t, evidence, copies[0], 10)
	put(t, media, copies[1], 10)
	put(t, evidence, blobs[1], 10) // where nobody would look for it
	want := map[blobstore.Key]bool{blobs[0]: true, blobs[1]: true, copies[2]: true}
	if got := s.Absent(t.Context(), append(blobs, copies...)...); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	// Of what one of the two cannot tell nothing is known.
	s.Evidence = silent{evidence}
	want = map[blobstore.Key]bool{blobs[0]: true, blobs[1]: true}
	if got := s.Absent(t.Context(), append(blobs, copies...)...); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
