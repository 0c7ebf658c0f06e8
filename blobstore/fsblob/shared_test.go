package fsblob

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
)

// sharing makes every Put of s share a sync, however few there are.
func sharing(t *testing.T, s *Store) *Store {
	t.Helper()
	if !s.shared.possible {
		t.Log("this file system syncs no uploads together: the paths are the same")
	}
	s.shared.from = 1
	return s
}

func TestConformanceShared(t *testing.T) {
	blobstoretest.Test(t, func(t *testing.T) blobstore.Store { return sharing(t, open(t, t.TempDir())) })
}

// gate is a sync that waits until it is let through.
type gate struct {
	began, pass chan struct{}
	err         error
	times       atomic.Int64
}

func newGate() *gate { return &gate{began: make(chan struct{}, 100), pass: make(chan struct{})} }

func (g *gate) sync() error {
	g.times.Add(1)
	err := g.err
	g.began <- struct{}{}
	<-g.pass
	return err
}

// TestSharedSync: who asks while a sync runs waits for the next one, together with
// all others who do.
func TestSharedSync(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := &sharedSync{sync: g.sync, possible: true, from: 1}
	first := s.join()
	<-g.began
	later := s.join()
	for range 20 {
		if s.join() != later {
			t.Error("two who ask while a sync runs wait for different ones")
		}
	}
	if later == first {
		t.Fatal("who asks while a sync runs is told of that one, which may not have its bytes")
	}
	g.pass <- struct{}{}
	<-first.done
	<-g.began
	select {
	case <-later.done:
		t.Error("somebody was told before the sync had ended")
	default:
	}
	g.pass <- struct{}{}
	<-later.done
	if n := g.times.Load(); n != 2 {
		t.Errorf("%d syncs, want 2", n)
	}
}

// TestSharedSyncFailure: of a write that failed Linux tells once. Whoever had
// written by then must not believe the next sync.
func TestSharedSyncFailure(t *testing.T) {
	t.Parallel()
	g := newGate()
	close(g.pass)
	s := &sharedSync{sync: g.sync, possible: true, from: 1}
	a, b := s.enter(1), s.enter(1)
	g.err = syscall.EIO
	if err := a.wait(); !errors.Is(err, syscall.EIO) {
		t.Errorf("the failed sync: %v", err)
	}
	g.err = nil
	if err := b.wait(); !errors.Is(err, errSyncFailed) {
		t.Errorf("an upload that was written before the failure: %v", err)
	}
	if err := s.enter(1).wait(); err != nil {
		t.Errorf("an upload that began after it: %v", err)
	}
}

// TestPutBesideFailedSync: an upload that syncs by itself is not acknowledged either
// when a shared sync has failed meanwhile, which may have been told of its folder.
func TestPutBesideFailedSync(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	s.fault = func(step string) error {
		if step == stepLink {
			s.shared.failures.Add(1)
		}
		return nil
	}
	if err := s.Put(t.Context(), "keyaa", strings.NewReader("x"), 1); !errors.Is(err, errSyncFailed) {
		t.Errorf("Put: %v", err)
	}
	s.fault = nil
	put(t, s, "keybb", "x")
}

// TestReplacedFolderRace: all who hold a folder that was moved away are told so, not
// only the first.
func TestReplacedFolderRace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "keyaa", "x")
	held, err := s.findFolder("aa")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Rename(dir+"/aa", dir+"/was"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if !s.replaced("aa", held) {
			t.Error("a folder that was moved away counts as in its place")
		}
	}
}

func TestSharedSyncIsAvoided(t *testing.T) {
	t.Parallel()
	s := &sharedSync{possible: true, from: 3, sync: func() error { return nil }}
	wants := func(what string, u upload, want bool) {
		t.Helper()
		if got := u.shares(); got != want {
			t.Errorf("%s: %t, want %t", what, got, want)
		}
	}
	a, b := s.enter(1), s.enter(smallUpload)
	wants("two uploads", b, false)
	c := s.enter(1)
	wants("three uploads", c, true)
	large := s.enter(smallUpload + 1)
	wants("while a large one is under way", c, false)
	wants("the large one itself", large, false)
	large.leave()
	wants("after it", c, true)
	s.avoidUntil.Store(time.Now().Add(time.Minute).UnixNano())
	wants("after a slow one", c, false)
	s.avoidUntil.Store(0)
	s.possible = false
	wants("on a file system that cannot", c, false)
	a.leave()
	b.leave()
	c.leave()
	if s.small.Load() != 0 || s.large.Load() != 0 {
		t.Errorf("%d small and %d large uploads are under way", s.small.Load(), s.large.Load())
	}
}

// TestPutOrderShared: the steps of an upload that shares. P1: nobody hears of it
// before the sync of everything, which comes after bytes and name.
func TestPutOrderShared(t *testing.T) {
	t.Parallel()
	s := sharing(t, open(t, t.TempDir()))
	if !s.shared.possible {
		return
	}
	var steps []string
	s.fault = func(step string) error {
		steps = append(steps, step)
		return nil
	}
	put(t, s, "keyaa", "x")
	if got, want := strings.Join(steps, " "), "create write link unlink syncall"; got != want {
		t.Errorf("Put does %s, want %s", got, want)
	}
}

// TestPutFaultsShared is TestPutFaults for the last step: all who share a sync that
// fails are told, and what they leave can be deleted.
func TestPutFaultsShared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := sharing(t, open(t, dir))
	if !s.shared.possible {
		return
	}
	s.fault = func(step string) error {
		if step == stepSyncAll {
			return syscall.ENOSPC
		}
		return nil
	}
	var wg sync.WaitGroup
	var keys []blobstore.Key
	for i := range 8 {
		key := blobstore.Key(fmt.Sprintf("key%02x", i))
		keys = append(keys, key)
		wg.Go(func() {
			err := s.Put(t.Context(), key, strings.NewReader("x"), 1)
			if err == nil || errors.Is(err, blobstore.ErrNoSpace) {
				t.Errorf("%s: %v: want an error that does not say that nothing was left", key, err)
			}
		})
	}
	wg.Wait()
	s.fault = nil
	if err := s.Delete(t.Context(), keys...); err != nil {
		t.Error(err)
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	put(t, s, "keyaa", "x")
}

// TestReplacedFolder: who moves a folder away and another in its place, as when a
// backup is restored, is noticed.
func TestReplacedFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "keyaa", "old")
	other := open(t, t.TempDir())
	put(t, other, "keyaa", "new")
	if err := syscall.Rename(dir+"/aa", dir+"/was"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "key4aa", "x")
	wantBlob(t, open(t, dir), "key4aa", "x")
	if err := syscall.Rename(dir+"/aa", dir+"/was too"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Open(t.Context(), "key2aa", 0); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("Open while the folder is away: %v", err)
	}
	if err := syscall.Rename(other.dir+"/aa", dir+"/aa"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Unlink(dir + "/was/keyaa"); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, s, "keyaa", "new")
	put(t, s, "key3aa", "x")
	wantBlob(t, open(t, dir), "key3aa", "x")
}
