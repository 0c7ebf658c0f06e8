package fsblob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
)

func TestConformance(t *testing.T) {
	blobstoretest.Test(t, func(t *testing.T) blobstore.Store { return open(t, t.TempDir()) })
}

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t *testing.T, s *Store, key blobstore.Key, body string) {
	t.Helper()
	if err := s.Put(t.Context(), key, strings.NewReader(body), int64(len(body))); err != nil {
		t.Fatal(err)
	}
}

func wantBlob(t *testing.T, s *Store, key blobstore.Key, body string) {
	t.Helper()
	r, _, err := s.Open(t.Context(), key, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || string(got) != body {
		t.Fatalf("%d bytes, %v; want %d", len(got), err, len(body))
	}
}

func list(t *testing.T, s *Store) (blobs, partial []blobstore.Info) {
	t.Helper()
	for info, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if info.Partial {
			partial = append(partial, info)
		} else {
			blobs = append(blobs, info)
		}
	}
	return blobs, partial
}

// files are all files below dir, however they are named.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, name)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestOpenMakesTheFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := open(t, dir)
	put(t, s, "keyf0", "x")
	put(t, s, "keyzz", "x") // in a folder that is made on demand

	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if err == nil && fi.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", name, fi.Mode().Perm(), want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	wantBlob(t, open(t, dir), "keyf0", "x") // and opens it again
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "sub")} {
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "not a folder") {
			t.Errorf("Open(%s): %v", dir, err)
		}
	}
}

func TestReaderIsFile(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	put(t, s, "aaaa", "0123456789")
	r, _, err := s.Open(t.Context(), "aaaa", 4)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, ok := r.(*os.File)
	if !ok {
		t.Fatalf("a %T, which net/http cannot hand to sendfile", r)
	}
	if at, err := f.Seek(0, io.SeekCurrent); at != 4 || err != nil {
		t.Errorf("at %d, %v, want 4", at, err)
	}
}

// TestMissingFolders: the fan-out may have been removed, by a tidy person or
// a restore that leaves out empty folders.
func TestMissingFolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	for _, name := range []string{"aa", "bb"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.Open(t.Context(), "keybb", 0); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("Open: %v", err)
	}
	if err := s.Delete(t.Context(), "keybb"); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if err := s.Discard(t.Context(), blobstore.Info{Partial: true, Ref: "bb/keybb.X.part"}); err != nil {
		t.Errorf("Discard: %v", err)
	}
	put(t, s, "keyaa", "x")
	wantBlob(t, s, "keyaa", "x")
}

// TestSymlinks: a link in the folder leads neither reads nor writes out of it.
func TestSymlinks(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	secret := filepath.Join(outside, "keyaa")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := open(t, dir)
	for _, link := range [][2]string{{secret, "bb/keybb"}, {"../../" + filepath.Base(outside) + "/keyaa", "cc/keycc"}} {
		if err := os.Symlink(link[0], filepath.Join(dir, link[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(dir, "aa")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "aa")); err != nil {
		t.Fatal(err)
	}

	for _, key := range []blobstore.Key{"keyaa", "keybb", "keycc"} {
		r, _, err := s.Open(t.Context(), key, 0)
		if err == nil {
			r.Close()
			t.Errorf("Open(%s) follows a link out of the folder", key)
		}
		if err := s.Copy(t.Context(), "copydd", key); err == nil {
			t.Errorf("Copy(%s) follows a link out of the folder", key)
		}
	}
	if err := s.Put(t.Context(), "nextaa", strings.NewReader("x"), 1); err == nil {
		t.Error("Put follows a link out of the folder")
	}
	if err := s.Delete(t.Context(), "keyaa"); err == nil {
		t.Error("Delete follows a link out of the folder")
	}
	if blobs, partial := list(t, s); len(blobs)+len(partial) != 0 {
		t.Errorf("All yields what links point to: %v %v", blobs, partial)
	}
	if got := files(t, outside); len(got) != 1 {
		t.Errorf("outside there is %v", got)
	}
	if err := s.Delete(t.Context(), "keybb"); err != nil { // the link itself is ours
		t.Error(err)
	}
	if got, err := os.ReadFile(secret); err != nil || string(got) != "secret" {
		t.Errorf("the file outside is %q, %v", got, err)
	}
}

// TestPipe: nobody waits for a pipe that lies where a blob should.
func TestPipe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	if err := syscall.Mkfifo(filepath.Join(dir, "aa", "keyaa"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, _, err := s.Open(t.Context(), "keyaa", 0); err == nil {
		r.Close()
		t.Error("a pipe is served as a blob")
	}
}

// TestStrangers: what is not named like a blob in its place is nobody's orphan.
func TestStrangers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "keyaa", "x")
	strangers := []string{
		"README", "lost+found/keynd", "aa/.DS_Store", "aa/keyab", "aa/KEY", "aa/keyaa.part", "aa/keyaa..part",
		"aa/keyab.X.part", "aa/keyaa.X.part.bak", "aa/sub/keyaa", "aaa/keyaaa",
	}
	for _, name := range strangers {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("stranger"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "bb", "keybb"), 0o700); err != nil { // a folder named as a key
		t.Fatal(err)
	}

	blobs, partial := list(t, s)
	if len(blobs) != 1 || blobs[0].Key != "keyaa" || len(partial) != 0 {
		t.Errorf("All yields %v %v", blobs, partial)
	}
	if r, _, err := s.Open(t.Context(), "keybb", 0); err == nil {
		r.Close()
		t.Error("a folder opens as a blob")
	}
	for _, name := range strangers {
		if err := s.Discard(t.Context(), blobstore.Info{Partial: true, Ref: name}); err == nil {
			t.Errorf("Discard(%s) is not refused", name)
		}
	}
	if got := len(files(t, dir)); got != 1+len(strangers) {
		t.Errorf("%d files left, want %d", got, 1+len(strangers))
	}
}

// TestAllCancelledInAFolder: one folder can hold very many blobs.
func TestAllCancelledInAFolder(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for _, key := range []blobstore.Key{"key1aa", "key2aa", "key3aa"} {
		put(t, s, key, "x")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	for _, err := range s.All(ctx) {
		if cancel(); err == nil {
			seen++
		}
	}
	if seen != 1 {
		t.Errorf("All yields %d blobs after ctx was cancelled, want none", seen-1)
	}
}

// TestTwoStores: two processes on one folder are kept apart by the folder alone.
func TestTwoStores(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stores := []*Store{open(t, dir), open(t, dir)}
	const racers = 16
	arrived := make(chan struct{}, racers)
	start := make(chan struct{})
	results := make(chan error, racers)
	bodies := map[string]bool{}
	for i := range racers {
		body := strings.Repeat(string(rune('a'+i)), 1000)
		bodies[body] = true
		r := io.MultiReader(strings.NewReader(body), readerFunc(func([]byte) (int, error) {
			arrived <- struct{}{}
			<-start // all have written their bytes, none has a name yet
			return 0, io.EOF
		}))
		go func() { results <- stores[i%2].Put(t.Context(), "keyaa", r, 1000) }()
	}
	for range racers {
		select {
		case <-arrived:
		case err := <-results:
			t.Fatalf("a racer fell before the start: %v", err)
		}
	}
	close(start)
	won := 0
	for range racers {
		if err := <-results; err == nil {
			won++
		} else if !errors.Is(err, blobstore.ErrExists) {
			t.Errorf("a loser got %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d won", won)
	}
	got, err := os.ReadFile(filepath.Join(dir, "aa", "keyaa"))
	if err != nil || !bodies[string(got)] {
		t.Errorf("the blob is no racer's body: %d bytes, %v", len(got), err)
	}
	if left := files(t, dir); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestBoundedMemory: Put never asks its body for more than its buffer holds.
func TestBoundedMemory(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	const size = 8 << 20
	r := io.LimitReader(readerFunc(func(p []byte) (int, error) {
		if len(p) > bufferSize {
			t.Errorf("asked for %d bytes at once", len(p))
		}
		clear(p)
		return len(p), nil
	}), size)
	if err := s.Put(t.Context(), "aaaa", r, size); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, s, "aaaa", string(bytes.Repeat([]byte{0}, size)))
}
