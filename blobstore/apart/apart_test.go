package apart_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/blobstore"
	"mayfly/blobstore/apart"
	"mayfly/blobstore/blobstoretest"
	"mayfly/blobstore/bucket"
	"mayfly/blobstore/fsblob"
	"mayfly/blobstore/minioblob"
)

func owner() (id [16]byte) {
	rand.Read(id[:])
	return id
}

func mediaKey() blobstore.Key    { return blobstore.NewKey(owner()) }
func evidenceKey() blobstore.Key { return blobstore.NewEvidenceKey(owner()) }

// canaryKey is like those that a Check makes.
func canaryKey() blobstore.Key {
	id := owner()
	return blobstore.Key("check-" + hex.EncodeToString(id[:]))
}

// folder is a store in a folder of the test's own.
func folder(t testing.TB) *fsblob.Store {
	t.Helper()
	s, err := fsblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var budget = bucket.NewBudget(bucket.DefaultBudget)

// minio is a store in a bucket of the test's own.
func minio(t testing.TB) *bucket.Store {
	t.Helper()
	address, err := url.Parse(os.Getenv("MAYFLY_TEST_MINIO"))
	if err != nil || address.Host == "" {
		t.Fatal("MAYFLY_TEST_MINIO names no server: run the tests with go run ./internal/testenv go test ./...")
	}
	secret, _ := address.User.Password()
	var random [8]byte
	rand.Read(random[:])
	cfg := minioblob.Config{
		Host: address.Host, Bucket: "test-" + hex.EncodeToString(random[:]), Prefix: "blobs",
		Region: "us-east-1", Insecure: true, Create: true,
	}
	s, err := minioblob.Open(cfg, minioblob.Credentials{AccessKey: address.User.Username(), SecretKey: secret}, budget)
	if err == nil {
		err = s.Check(t.Context()) // makes the bucket
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	folders := func(t *testing.T) blobstore.Store { return &apart.Store{Media: folder(t), Evidence: folder(t)} }
	buckets := func(t *testing.T) blobstore.Store { return &apart.Store{Media: minio(t), Evidence: minio(t)} }
	mixed := func(t *testing.T) blobstore.Store { return &apart.Store{Media: folder(t), Evidence: minio(t)} }
	double := func(t *testing.T) blobstore.Store { s := folder(t); return &apart.Store{Media: s, Evidence: s} }
	for name, c := range map[string]struct {
		newKey func() blobstore.Key
		open   func(*testing.T) blobstore.Store
	}{
		"folders, media":         {mediaKey, folders},
		"folders, evidence":      {evidenceKey, folders},
		"buckets, media":         {mediaKey, buckets},
		"buckets, evidence":      {evidenceKey, buckets},
		"bucket, of neither":     {canaryKey, mixed},
		"one store given double": {evidenceKey, double},
	} {
		t.Run(name, func(t *testing.T) { blobstoretest.TestKeys(t, c.newKey, c.open) })
	}
}

func put(t testing.TB, s blobstore.Store, key blobstore.Key, size int) blobstore.Digest {
	t.Helper()
	body := make([]byte, size)
	rand.Read(body)
	if err := s.Put(t.Context(), key, bytes.NewReader(body), int64(size)); err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(body)
}

func wantBlob(t testing.TB, s blobstore.Store, key blobstore.Key, want blobstore.Digest) {
	t.Helper()
	r, _, err := s.Open(t.Context(), key, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if got := blobstore.Digest(sha256.Sum256(body)); err != nil || got != want {
		t.Errorf("%s: %d bytes of digest %s, %v; want %s", key, len(body), got, err, want)
	}
}

// wantKeys fails unless the store lists keys, each once, and no unfinished upload.
func wantKeys(t testing.TB, s blobstore.Store, keys ...blobstore.Key) {
	t.Helper()
	var got []blobstore.Key
	for info, err := range s.All(t.Context()) {
		if err != nil {
			t.Error(err)
			return
		}
		if info.Partial {
			t.Errorf("an unfinished upload is left: %+v", info)
		}
		got = append(got, info.Key)
	}
	slices.Sort(got)
	slices.Sort(keys)
	if !slices.Equal(got, keys) {
		t.Errorf("All yields %q, want %q", got, keys)
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	media, evidence := folder(t), folder(t)
	s := &apart.Store{Media: media, Evidence: evidence}
	blob, report, canary := mediaKey(), evidenceKey(), blobstore.Key("check-0123456789abcdef")
	for _, key := range []blobstore.Key{blob, report, canary} {
		sum := put(t, s, key, 100)
		wantBlob(t, s, key, sum)
		// P1, and sendfile: what the store opens is handed through.
		r, _, err := s.Open(t.Context(), key, 0)
		if _, ok := r.(*os.File); err != nil || !ok {
			t.Errorf("%s: Open returns a %T, %v", key, r, err)
		}
		r.Close()
	}
	wantKeys(t, media, blob, canary)
	wantKeys(t, evidence, report)
	wantKeys(t, s, blob, report, canary)
	if err := s.Delete(t.Context(), blob, report, canary); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, media)
	wantKeys(t, evidence)
}

// TestEvidenceInMedia: it was put before there was an evidence store.
func TestEvidenceInMedia(t *testing.T) {
	t.Parallel()
	media, evidence := folder(t), folder(t)
	s := &apart.Store{Media: media, Evidence: evidence}
	old, moved, copied := evidenceKey(), evidenceKey(), evidenceKey()
	sum := put(t, media, old, 3000)
	put(t, media, moved, 1000)
	// moved is in both: the operator copies what is there.
	if err := evidence.Import(t.Context(), moved, media, moved); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, s, old, sum)
	wantKeys(t, s, old, moved)
	if err := s.Copy(t.Context(), copied, old); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, evidence, copied, sum)
	if err := s.Delete(t.Context(), old, moved, copied); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, media)
	wantKeys(t, evidence)
}

// TestOneStore: what is but one store is listed once, and asked for once.
func TestOneStore(t *testing.T) {
	t.Parallel()
	f := &blobstoretest.Faulty{Store: folder(t)}
	for _, s := range []*apart.Store{{Media: f}, {Media: f, Evidence: f}} {
		f.Fail(nil)
		report, blob := evidenceKey(), mediaKey()
		put(t, s, report, 10)
		put(t, s, blob, 10)
		wantKeys(t, s, report, blob)
		if err := errors.Join(s.Check(t.Context()), s.Delete(t.Context(), report, blob)); err != nil {
			t.Error(err)
		}
		for _, m := range []blobstoretest.Method{blobstoretest.All, blobstoretest.Check, blobstoretest.Delete} {
			if n := f.Calls(m); n != 1 {
				t.Errorf("%s was called %d times", m, n)
			}
		}
	}
}

// TestCanaryInEvidence: the evidence store's own Check was killed.
func TestCanaryInEvidence(t *testing.T) {
	t.Parallel()
	media, evidence := folder(t), folder(t)
	s := &apart.Store{Media: media, Evidence: evidence}
	const canary = "check-0123456789abcdef"
	sum := put(t, evidence, canary, 10)
	wantKeys(t, s, canary)
	wantBlob(t, s, canary, sum)
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Delete(t.Context(), canary); err != nil {
		t.Error(err)
	}
	wantKeys(t, evidence)
}

// TestMediaInEvidence: somebody gave a media store for the evidence.
func TestMediaInEvidence(t *testing.T) {
	t.Parallel()
	media, evidence := folder(t), folder(t)
	s := &apart.Store{Media: media, Evidence: evidence}
	blob := mediaKey()
	sum := put(t, evidence, blob, 10)
	var last error
	for info, err := range s.All(t.Context()) {
		if info.Key == blob || last != nil {
			t.Errorf("%+v is yielded, after %v", info, last)
		}
		last = err
	}
	for what, err := range map[string]error{"All": last, "Check": s.Check(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), "evidence store: blob "+string(blob)) || !strings.Contains(err.Error(), "move") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := s.Delete(t.Context(), blob); err != nil {
		t.Error(err)
	}
	wantBlob(t, evidence, blob, sum)
	if err := evidence.Delete(t.Context(), blob); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestMediaWithoutEvidence: senders' blobs do not depend on the evidence store.
func TestMediaWithoutEvidence(t *testing.T) {
	t.Parallel()
	media, evidence := folder(t), &blobstoretest.Faulty{Store: folder(t)}
	s := &apart.Store{Media: media, Evidence: evidence}
	evidence.Fail(func(blobstoretest.Call) blobstoretest.Mode { return blobstoretest.Failed })
	a, b := mediaKey(), mediaKey()
	sum := put(t, s, a, 100)
	if err := s.Copy(t.Context(), b, a); err != nil {
		t.Error(err)
	}
	wantBlob(t, s, b, sum)
	if err := s.Delete(t.Context(), a, b); err != nil {
		t.Error(err)
	}
	if _, _, err := s.Open(t.Context(), a, 0); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
	// Of evidence nobody can say that it is gone as long as one store does not answer.
	if _, _, err := s.Open(t.Context(), evidenceKey(), 0); !errors.Is(err, blobstoretest.ErrFault) || errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("%v, want ErrFault", err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	media, evidence := &blobstoretest.Faulty{Store: folder(t)}, &blobstoretest.Faulty{Store: folder(t)}
	s := &apart.Store{Media: media, Evidence: evidence}
	for _, c := range []struct {
		media, evidence bool
		want            []string
	}{
		{false, false, nil},
		{true, false, []string{"media store: "}},
		{false, true, []string{"evidence store: "}},
		{true, true, []string{"media store: ", "evidence store: "}},
	} {
		for f, fails := range map[*blobstoretest.Faulty]bool{media: c.media, evidence: c.evidence} {
			f.Fail(nil)
			if fails {
				f.Fail(blobstoretest.Always(blobstoretest.Check, blobstoretest.Failed))
			}
		}
		err := s.Check(t.Context())
		if (err == nil) != (c.want == nil) {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if err == nil {
			continue
		}
		for _, name := range []string{"media store: ", "evidence store: "} {
			if strings.Contains(err.Error(), name) != slices.Contains(c.want, name) {
				t.Errorf("%+v: %v", c, err)
			}
		}
		if !errors.Is(err, blobstoretest.ErrFault) {
			t.Errorf("%v hides its cause", err)
		}
	}
	// A listing of which a half is missing is none.
	evidence.Fail(blobstoretest.Always(blobstoretest.All, blobstoretest.Failed))
	var last error
	for _, err := range s.All(t.Context()) {
		last = err
	}
	if !errors.Is(last, blobstoretest.ErrFault) || !strings.Contains(last.Error(), "evidence store: ") {
		t.Errorf("All: %v", last)
	}
}

// endless is a store whose listing does not end.
type endless struct{ blobstore.Store }

func (endless) All(context.Context) iter.Seq2[blobstore.Info, error] {
	return func(yield func(blobstore.Info, error) bool) {
		for yield(blobstore.Info{Key: evidenceKey()}, nil) {
		}
	}
}

// TestCheckIsShort: it is made every few seconds, and lists no whole store.
func TestCheckIsShort(t *testing.T) {
	t.Parallel()
	if err := (&apart.Store{Media: folder(t), Evidence: endless{folder(t)}}).Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPresign(t *testing.T) {
	t.Parallel()
	onMinIO, inFolder := minio(t), folder(t)
	sign := func(s *apart.Store, key blobstore.Key) error {
		put, err := s.PresignPut(t.Context(), key, 1, blobstore.Digest{}, time.Minute)
		if err == nil && !strings.Contains(put.URL.Reveal(), string(key)) {
			t.Errorf("the URL is not one for %s", key)
		}
		return err
	}
	if err := sign(&apart.Store{Media: onMinIO, Evidence: inFolder}, mediaKey()); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"evidence":        sign(&apart.Store{Media: onMinIO, Evidence: onMinIO}, evidenceKey()),
		"media in folder": sign(&apart.Store{Media: inFolder, Evidence: onMinIO}, mediaKey()),
	} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v, want errors.ErrUnsupported", what, err)
		}
	}
}

// closing counts how often it is closed.
type closing struct {
	blobstore.Store
	n *int
}

func (c closing) Close() error { *c.n++; return blobstoretest.ErrFault }

func TestClose(t *testing.T) {
	t.Parallel()
	var media, evidence int
	m, e := closing{folder(t), &media}, closing{folder(t), &evidence}
	for _, s := range []*apart.Store{{Media: m, Evidence: e}, {Media: m, Evidence: m}, {Media: m}} {
		if err := s.Close(); !errors.Is(err, blobstoretest.ErrFault) {
			t.Error(err)
		}
	}
	if media != 3 || evidence != 1 {
		t.Errorf("closed %d and %d times, want 3 and 1", media, evidence)
	}
	if err := (&apart.Store{Media: &blobstoretest.Faulty{}, Evidence: &blobstoretest.Faulty{}}).Close(); err != nil {
		t.Error(err) // they have nothing to close
	}
}
