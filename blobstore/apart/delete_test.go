package apart_test

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/blobstore"
	"mayfly/blobstore/apart"
	"mayfly/blobstore/blobstoretest"
	"mayfly/blobstore/fsblob"
	"mayfly/expiry"
	"mayfly/internal/sqlstore"
)

// keyless is a store that breaks its contract: its Delete ends with err, which names no key,
// after it has deleted what it was told to.
type keyless struct {
	blobstore.Store
	err error
}

func (k keyless) Delete(ctx context.Context, keys ...blobstore.Key) error {
	return errors.Join(k.err, k.Store.Delete(ctx, keys...))
}

// failures takes the error of a Delete apart, as package expiry does; what names no key is
// under the empty one.
func failures(err error) map[blobstore.Key]error {
	all := map[blobstore.Key]error{}
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) {
		case nil:
		case *blobstore.KeyError:
			all[e.Key] = e
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				walk(err)
			}
		default:
			all[""] = err
		}
	}
	walk(err)
	return all
}

func TestDeleteWithOneStoreFailing(t *testing.T) {
	t.Parallel()
	always := blobstoretest.Always(blobstoretest.Delete, blobstoretest.Failed)
	failing := func(s blobstore.Store) blobstore.Store {
		f := &blobstoretest.Faulty{Store: s}
		f.Fail(always)
		return f
	}
	unnamed := func(s blobstore.Store) blobstore.Store { return keyless{s, blobstoretest.ErrFault} }
	works := func(s blobstore.Store) blobstore.Store { return s }
	for name, c := range map[string]struct {
		media, evidence         func(blobstore.Store) blobstore.Store
		mediaFails, reportFails string
	}{
		"none":                       {works, works, "", ""},
		"evidence":                   {works, failing, "", "evidence store: "},
		"evidence, without a key":    {works, unnamed, "", "evidence store: "},
		"media":                      {failing, works, "media store: ", "media store: "},
		"media, without a key":       {unnamed, works, "media store: ", "media store: "},
		"both, one of them silently": {unnamed, failing, "media store: ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			media, evidence := folder(t), folder(t)
			blob, blob2, report, report2 := mediaKey(), mediaKey(), evidenceKey(), evidenceKey()
			s := &apart.Store{Media: media, Evidence: evidence}
			for _, key := range []blobstore.Key{blob, blob2, report, report2} {
				put(t, s, key, 10)
			}
			s = &apart.Store{Media: c.media(media), Evidence: c.evidence(evidence)}
			err := s.Delete(t.Context(), blob, report, blob2, report2, "../x")
			failed := failures(err)
			if failed[""] != nil {
				t.Errorf("%v names no key", failed[""])
			}
			if name == "none" && !errors.Is(failed["../x"], blobstore.ErrKey) {
				t.Errorf("a malformed key: %v", failed["../x"])
			}
			for want, keys := range map[string][]blobstore.Key{c.mediaFails: {blob, blob2}, c.reportFails: {report, report2}} {
				for _, key := range keys {
					if name == "both, one of them silently" && key.IsEvidence() {
						want = "" // of either
						if failed[key] == nil {
							t.Errorf("%s has not failed", key)
						}
						continue
					}
					err := failed[key]
					if (err != nil) != (want != "") || err != nil && (!strings.Contains(err.Error(), want) || !errors.Is(err, blobstoretest.ErrFault)) {
						t.Errorf("%s: %v, want %q", key, err, want)
					}
				}
			}
			// Both were asked: what did not fail is gone.
			for _, key := range []blobstore.Key{blob, blob2, report, report2} {
				if failed[key] != nil {
					continue
				}
				for _, store := range []blobstore.Store{media, evidence} {
					if _, _, err := store.Open(t.Context(), key, 0); !errors.Is(err, blobstore.ErrNotFound) {
						t.Errorf("%s: %v, want ErrNotFound", key, err)
					}
				}
			}
			if name == "evidence" {
				wantKeys(t, evidence, report, report2)
				wantKeys(t, media)
			}
			if name == "media" {
				wantKeys(t, media, blob, blob2)
				wantKeys(t, evidence)
			}
		})
	}
}

// TestDeleteWithOneStoreHanging: a purge must have time left to see that what the other
// store deleted is gone.
func TestDeleteWithOneStoreHanging(t *testing.T) {
	mediaDir, evidenceDir := t.TempDir(), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		media, err := fsblob.Open(mediaDir)
		if err != nil {
			t.Fatal(err)
		}
		defer media.Close()
		inside, err := fsblob.Open(evidenceDir)
		if err != nil {
			t.Fatal(err)
		}
		defer inside.Close()
		evidence := &blobstoretest.Faulty{Store: inside}
		s := &apart.Store{Media: media, Evidence: evidence}
		blob, report := mediaKey(), evidenceKey()
		put(t, s, blob, 10)
		put(t, s, report, 10)
		evidence.Fail(blobstoretest.Always(blobstoretest.Delete, blobstoretest.Stalled))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		failed := failures(s.Delete(ctx, blob, report))
		if took := time.Since(began); ctx.Err() != nil || took != 30*time.Second {
			t.Errorf("%v after %v", ctx.Err(), took)
		}
		if len(failed) != 1 || !errors.Is(failed[report], context.DeadlineExceeded) {
			t.Errorf("%v, want DeadlineExceeded of %s", failed, report)
		}
		if _, _, err := s.Open(ctx, blob, 0); !errors.Is(err, blobstore.ErrNotFound) {
			t.Errorf("%v, want ErrNotFound", err)
		}
	})
}

// plant leaves an unfinished upload in a folder, as a crash does.
func plant(t testing.TB, dir string, key blobstore.Key) {
	t.Helper()
	name := filepath.Join(dir, string(key[len(key)-2:]), string(key)+"."+rand.Text()+".part")
	if err := os.WriteFile(name, []byte("some of the bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// partials are the unfinished uploads that a store lists.
func partials(t testing.TB, s blobstore.Store) (all []blobstore.Info) {
	t.Helper()
	for info, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if info.Partial {
			all = append(all, info)
		}
	}
	return all
}

func openFolder(t testing.TB, dir string) *fsblob.Store {
	t.Helper()
	s, err := fsblob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestDiscard: an unfinished upload goes back to the store that it is of, wherever its key
// belongs.
func TestDiscard(t *testing.T) {
	t.Parallel()
	mediaDir, evidenceDir := t.TempDir(), t.TempDir()
	media, evidence := openFolder(t, mediaDir), openFolder(t, evidenceDir)
	s := &apart.Store{Media: media, Evidence: evidence}
	blob, report := mediaKey(), evidenceKey()
	for _, dir := range []string{mediaDir, evidenceDir} {
		plant(t, dir, blob)
		plant(t, dir, report)
	}
	all := partials(t, s)
	if len(all) != 4 {
		t.Fatalf("All yields %+v, want 4 unfinished uploads", all)
	}
	for _, info := range all {
		if err := s.Discard(t.Context(), info); err != nil {
			t.Error(err)
		}
		if err := s.Discard(t.Context(), info); err != nil {
			t.Errorf("again: %v", err)
		}
		info.Ref = strings.TrimPrefix(strings.TrimPrefix(info.Ref, "media:"), "evidence:")
		if err := s.Discard(t.Context(), info); err == nil {
			t.Errorf("%+v is of nobody, and was discarded", info)
		}
	}
	if left := append(partials(t, media), partials(t, evidence)...); len(left) > 0 {
		t.Errorf("%+v is left", left)
	}
	// The error says which store it was.
	faulty := &blobstoretest.Faulty{Store: evidence}
	faulty.Fail(blobstoretest.Always(blobstoretest.Discard, blobstoretest.Failed))
	plant(t, evidenceDir, report)
	s.Evidence = faulty
	err := s.Discard(t.Context(), partials(t, s)[0])
	if !errors.Is(err, blobstoretest.ErrFault) || !strings.HasPrefix(err.Error(), "evidence store: ") {
		t.Error(err)
	}
}

// TestSweep: what a sweep was told of one store it removes from it.
func TestSweep(t *testing.T) {
	t.Parallel()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: "sqlite://" + filepath.Join(t.TempDir(), "mayfly.db"), Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	mediaDir, evidenceDir := t.TempDir(), t.TempDir()
	media, evidence := openFolder(t, mediaDir), openFolder(t, evidenceDir)
	s := &apart.Store{Media: media, Evidence: evidence}
	put(t, media, mediaKey(), 10)
	put(t, media, evidenceKey(), 10)
	put(t, evidence, evidenceKey(), 10)
	put(t, evidence, "check-0123456789abcdef", 10)
	for _, dir := range []string{mediaDir, evidenceDir} {
		plant(t, dir, mediaKey())
		plant(t, dir, evidenceKey())
	}
	sweep := &expiry.Sweep{Queue: db, Blobs: s, Now: func() time.Time { return time.Now().Add(100 * 24 * time.Hour) }}
	r, err := sweep.Run(t.Context())
	if err != nil || r.Deleted != 4 || r.Discarded != 4 || r.Failed != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, store := range []blobstore.Store{media, evidence} {
		wantKeys(t, store)
	}

	stray := mediaKey()
	put(t, evidence, stray, 10)
	if r, err := sweep.Run(t.Context()); err == nil || r.Deleted > 0 {
		t.Errorf("a sender's blob among the evidence: %+v, %v", r, err)
	}
	wantKeys(t, evidence, stray)
}

// TestUnfinished asks stores that know the uploads of a key, and one that does not.
func TestUnfinished(t *testing.T) {
	t.Parallel()
	blob, report := mediaKey(), evidenceKey()
	of := func(s *apart.Store, key blobstore.Key) (all []blobstore.Info) {
		t.Helper()
		for info, err := range s.Unfinished(t.Context(), key) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, info)
		}
		return all
	}
	for name, c := range map[string]struct {
		media, evidence blobstore.Store
		blobs, reports  int
	}{
		"both":          {&unfinished{Store: folder(t)}, &unfinished{Store: folder(t)}, 1, 2},
		"media only":    {&unfinished{Store: folder(t)}, folder(t), 1, 1},
		"evidence only": {folder(t), &unfinished{Store: folder(t)}, 0, 1},
		"none":          {folder(t), folder(t), 0, 0},
		"one store":     {&unfinished{Store: folder(t)}, nil, 1, 1},
	} {
		s := &apart.Store{Media: c.media, Evidence: c.evidence}
		blobs, reports := of(s, blob), of(s, report)
		if len(blobs) != c.blobs || len(reports) != c.reports {
			t.Errorf("%s: %d and %d uploads, want %d and %d", name, len(blobs), len(reports), c.blobs, c.reports)
		}
		for _, info := range append(blobs, reports...) {
			if err := s.Discard(t.Context(), info); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, store := range []blobstore.Store{c.media, c.evidence} {
			if u, ok := store.(*unfinished); ok && name != "one store" {
				want := c.blobs + 1
				if store == c.evidence {
					want = 1
				}
				if u.discarded != want {
					t.Errorf("%s: %d uploads were discarded, want %d", name, u.discarded, want)
				}
			}
		}
	}
	broken := &unfinished{Store: folder(t), err: blobstoretest.ErrFault}
	for _, err := range (&apart.Store{Media: folder(t), Evidence: broken}).Unfinished(t.Context(), report) {
		if !errors.Is(err, blobstoretest.ErrFault) {
			t.Error(err)
		}
		return
	}
	t.Error("an error of the store is not told")
}

// unfinished is a store that knows one unfinished upload of each key.
type unfinished struct {
	blobstore.Store
	err       error
	discarded int
}

func (u *unfinished) Unfinished(_ context.Context, key blobstore.Key) iter.Seq2[blobstore.Info, error] {
	return func(yield func(blobstore.Info, error) bool) {
		if u.err != nil {
			yield(blobstore.Info{}, u.err)
			return
		}
		yield(blobstore.Info{Key: key, Partial: true, Ref: "upload/of:" + string(key)}, nil)
	}
}

func (u *unfinished) Discard(_ context.Context, partial blobstore.Info) error {
	if partial.Ref != "upload/of:"+string(partial.Key) {
		return errors.New("not of this store: " + partial.Ref)
	}
	u.discarded++
	return nil
}
