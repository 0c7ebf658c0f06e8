package blobstoretest

import (
	"maps"
	"sync"
	"testing"

	"mayfly/blobstore"
)

// Tells is of which keys a CountingDeleter tells how much it removed.
type Tells int

const (
	// TellsNothing: its server does not say whether there was anything.
	TellsNothing Tells = iota
	// TellsRemoved: of a key that was gone already it does not tell.
	TellsRemoved
	// TellsAll is of every key that did not fail.
	TellsAll
)

var countTests = []struct {
	name string
	run  func(t *testing.T, s counting)
}{
	{"once and again", countTwice},
	{"many, known and unknown", countMany},
	{"a malformed key among them", countGoesOn},
	{"at the same time", countRace},
}

// TestCounted runs the suite of blobstore.CountingDeleter. open returns a new, empty store
// each time, and lets t.Cleanup close it.
func TestCounted(t *testing.T, tells Tells, open func(t *testing.T) blobstore.Store) {
	for _, test := range countTests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			if _, ok := s.(blobstore.CountingDeleter); !ok {
				t.Fatalf("%T is no CountingDeleter", s)
			}
			test.run(t, counting{store{s, newKey}, tells})
		})
	}
}

type counting struct {
	store
	tells Tells
}

// wantRemoved deletes keys, and fails unless it is told the right number of each, or of
// none that it should not be.
func (s counting) wantRemoved(t *testing.T, want map[blobstore.Key]int64, keys ...blobstore.Key) {
	t.Helper()
	removed, err := blobstore.DeleteCounted(t.Context(), s.Store, keys...)
	if err != nil {
		t.Fatal(err)
	}
	s.wantTold(t, want, removed)
}

func (s counting) wantTold(t *testing.T, want, removed map[blobstore.Key]int64) {
	t.Helper()
	for key, n := range want {
		got, told := removed[key]
		wantTold := s.tells == TellsAll || s.tells == TellsRemoved && n > 0
		if told && got != n || wantTold && !told || told && s.tells == TellsNothing {
			t.Errorf("%s: %d removed, told %t; want %d", key, got, told, n)
		}
	}
	for key := range removed {
		if _, ok := want[key]; !ok {
			t.Errorf("it tells of %s", key)
		}
	}
}

func countTwice(t *testing.T, s counting) {
	key, _ := s.put(t, 1000)
	empty, _ := s.put(t, 0)
	other, body := s.put(t, 1000)
	s.wantRemoved(t, nil)
	s.wantRemoved(t, map[blobstore.Key]int64{key: 1, empty: 1}, key, empty)
	s.wantRemoved(t, map[blobstore.Key]int64{key: 0, empty: 0}, key, empty)
	s.wantBlob(t, other, body)
	s.wantOnly(t, other)
	// Delete is the same, but for the count.
	if err := s.Delete(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	s.wantRemoved(t, map[blobstore.Key]int64{other: 0}, other)
}

func countMany(t *testing.T, s counting) {
	want := map[blobstore.Key]int64{}
	var keys []blobstore.Key
	for range 20 {
		key, _ := s.put(t, 10)
		keys = append(keys, key, s.newKey())
		want[key], want[keys[len(keys)-1]] = 1, 0
	}
	keys = append(keys, keys[0], keys[1]) // and two of them twice
	s.wantRemoved(t, want, keys...)
	s.wantOnly(t)
}

func countGoesOn(t *testing.T, s counting) {
	first, _ := s.put(t, 10)
	last, _ := s.put(t, 10)
	removed, err := blobstore.DeleteCounted(t.Context(), s.Store, first, "../x", last)
	if failed := keyErrors(err); len(failed) != 1 || failed["../x"] == nil {
		t.Fatalf("%v, want an error of one key", err)
	}
	delete(removed, "../x")
	s.wantTold(t, map[blobstore.Key]int64{first: 1, last: 1}, removed)
}

// countRace: what many delete at the same time is not lost count of.
func countRace(t *testing.T, s counting) {
	var keys []blobstore.Key
	for range 10 {
		key, _ := s.put(t, 10)
		keys = append(keys, key)
	}
	sum, failed := map[blobstore.Key]int64{}, map[blobstore.Key]error{}
	var mu sync.Mutex
	var deleters sync.WaitGroup
	for range 4 {
		deleters.Go(func() {
			removed, err := blobstore.DeleteCounted(t.Context(), s.Store, keys...)
			mu.Lock()
			defer mu.Unlock()
			if err != nil { // as in deleteRace: of such a key the count may be anything
				maps.Copy(failed, keyErrors(err))
			}
			for key, n := range removed {
				sum[key] += n
			}
		})
	}
	deleters.Wait()
	if len(failed) == len(keys) {
		t.Errorf("no key was deleted by all: %v", failed)
	}
	for _, key := range keys {
		if failed[key] != nil {
			continue
		}
		if s.tells != TellsNothing && sum[key] < 1 || s.tells == TellsNothing && sum[key] != 0 {
			t.Errorf("%s: %d removed", key, sum[key])
		}
	}
}
