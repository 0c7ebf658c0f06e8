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
	keys, others := alike(7), alike(3)
	for _, key := range keys {
		s.mustPut(t, key, newBody(10))
	}
	wantAbsent(t, s, map[blobstore.Key]bool{others[0]: true, others[1]: true, others[2]: true}, append(others, keys...)...)
	if err := s.Delete(t.Context(), keys[0], keys[3], keys[6]); err != nil {
		t.Fatal(err)
	}
	wantAbsent(t, s, map[blobstore.Key]bool{keys[0]: true, keys[3]: true, keys[6]: true}, keys...)
	s.mustPut(t, keys[3], newBody(10))
	wantAbsent(t, s, map[blobstore.Key]bool{keys[0]: true, keys[6]: true}, keys...)
}

func absentAll(t *testing.T, s store) {
	keys := alike(40)
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
	keys := alike(2)
	wantAbsent(t, s, nil)
	wantAbsent(t, s, map[blobstore.Key]bool{keys[0]: true, keys[1]: true}, keys[0], "../"+keys[0], "", keys[1], "UPPER-CASE-1", "UPPER-CASE-2")
}
