package blobstoretest

import (
	"fmt"
	"maps"
	"testing"

	"mayfly/blobstore"
)

// TestAbsent runs the suite of blobstore.AbsenceTeller on stores that see of keys that begin
// alike whether they are absent. open returns a new, empty store, and lets t.Cleanup close it.
func TestAbsent(t *testing.T, open func(t *testing.T) blobstore.Store) {
	for _, test := range []test{
		{"deleted ones", absentDeleted},
		{"one the beginning of others", absentPrefix},
		{"all of them, and again", absentAll},
		{"malformed and none", absentMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			if _, ok := s.(blobstore.AbsenceTeller); !ok {
				t.Fatalf("%T is no AbsenceTeller", s)
			}
			test.run(t, store{s, newKey})
		})
	}
}

// alike are n keys that begin alike, as those of one minute do.
func alike(n int) []blobstore.Key {
	begin := string(newKey())
	keys := make([]blobstore.Key, n)
	for i := range keys {
		keys[i] = blobstore.Key(fmt.Sprintf("%s-%04d", begin[:20], i))
	}
	return keys
}

func wantAbsent(t *testing.T, s store, want map[blobstore.Key]bool, keys ...blobstore.Key) {
	t.Helper()
	if got := blobstore.Absent(t.Context(), s.Store, keys...); !maps.Equal(got, want) {
		t.Errorf("absent of %d keys are %v, not %v", len(keys), got, want)
	}
}

func absentDeleted(t *testing.T, s store) {
	keys, others := alike(20), alike(20)
	unknown := make(map[blobstore.Key]bool)
	for i, key := range keys {
		s.mustPut(t, key, newBody(10))
		unknown[others[i]] = true
	}
	wantAbsent(t, s, unknown, append(others, keys...)...)
	if err := s.Delete(t.Context(), keys[0], keys[3], keys[19]); err != nil {
		t.Fatal(err)
	}
	wantAbsent(t, s, map[blobstore.Key]bool{keys[0]: true, keys[3]: true, keys[19]: true}, keys...)
	s.mustPut(t, keys[3], newBody(10))
	wantAbsent(t, s, map[blobstore.Key]bool{keys[0]: true, keys[19]: true}, keys...)
}

func absentPrefix(t *testing.T, s store) {
	keys := []blobstore.Key{newKey()[:20]}
	want := make(map[blobstore.Key]bool)
	for i := range 20 {
		key := keys[0] + blobstore.Key(fmt.Sprintf("-%02d", i))
		keys, want[key] = append(keys, key), i > 0
	}
	s.mustPut(t, keys[0], newBody(10))
	s.mustPut(t, keys[1], newBody(10))
	delete(want, keys[1])
	wantAbsent(t, s, want, keys...)
}

func absentAll(t *testing.T, s store) {
	keys := alike(120) // more than one answer of a server has
	want := make(map[blobstore.Key]bool)
	for _, key := range keys {
		s.mustPut(t, key, newBody(1))
		want[key] = true
	}
	wantAbsent(t, s, nil, keys...)
	for range 2 {
		if err := s.Delete(t.Context(), keys...); err != nil {
			t.Fatal(err)
		}
		wantAbsent(t, s, want, append(keys, keys...)...)
	}
}

func absentMalformed(t *testing.T, s store) {
	keys := alike(20)
	want := make(map[blobstore.Key]bool)
	for _, key := range keys {
		want[key] = true
	}
	wantAbsent(t, s, nil)
	wantAbsent(t, s, want, append(keys, "../"+keys[0], "", "UPPER-CASE-1", "UPPER-CASE-2")...)
}
