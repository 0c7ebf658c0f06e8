package bucket

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"mayfly/blobstore"
)

// listing is a Client that only lists these names, and then fails with err.
type listing struct {
	Client
	names         []string
	err           error
	prefix, after string
	asked         int
}

func (l *listing) VersionsAfter(_ context.Context, prefix, after string) iter.Seq2[Object, error] {
	l.asked++
	l.prefix, l.after = prefix, after
	return func(yield func(Object, error) bool) {
		for _, name := range l.names {
			if strings.HasPrefix(name, prefix) && name > after && !yield(Object{Name: name}, nil) {
				return
			}
		}
		if l.err != nil {
			yield(Object{}, l.err)
		}
	}
}

// sixteen are keys of one minute, of which the numbers go by tens, and one of another.
func sixteen() (keys []blobstore.Key) {
	for i := range fewest {
		keys = append(keys, blobstore.Key(fmt.Sprintf("00000000-%04d", 10*(i+1))))
	}
	return append(keys, "00000001-alone")
}

// TestAbsentInDoubt: where the listing fails, or has too much else, nothing is absent.
func TestAbsentInDoubt(t *testing.T) {
	t.Parallel()
	many := func(n int) (names []string) {
		for i := range n {
			names = append(names, fmt.Sprintf("p/00000000-0011-%04d", i))
		}
		return names
	}
	const most = 2*fewest + FewVersions
	for name, c := range map[string]struct {
		listing listing
		want    int
	}{
		"nothing else":           {listing{}, fewest},
		"one of them":            {listing{names: []string{"p/00000000-0020"}}, fewest - 1},
		"first and last":         {listing{names: []string{"p/00000000-0010", "p/00000000-0160"}}, fewest - 2},
		"others":                 {listing{names: []string{"p/00000000-0019", "p/00000000-002", "p/00000000-00200"}}, fewest},
		"much else":              {listing{names: many(most)}, fewest},
		"too much else":          {listing{names: many(most + 1)}, 0},
		"what comes after":       {listing{names: []string{"p/00000000-0161"}, err: errors.New("never asked")}, fewest},
		"out of order":           {listing{names: []string{"p/00000000-0030", "p/00000000-0020"}}, 0},
		"not a key":              {listing{names: []string{"p/00000000-09/x", "p/00000000-0020"}}, fewest - 1},
		"it fails":               {listing{err: errors.New("503")}, 0},
		"it fails in the middle": {listing{names: many(5), err: errors.New("503")}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &c.listing
			got := New(l, "p", nil).Absent(t.Context(), sixteen()...)
			if len(got) != c.want || got["00000001-alone"] {
				t.Errorf("%v, want %d", got, c.want)
			}
			// One that begins like no other is not worth a listing.
			if l.asked != 1 || l.prefix != "p/00000000-0" || l.after != "p/00000000-001" {
				t.Errorf("asked %d times, for %q after %q", l.asked, l.prefix, l.after)
			}
		})
	}
}

// TestAbsentAsksNothing: of few, and when the time is over.
func TestAbsentAsksNothing(t *testing.T) {
	t.Parallel()
	var l listing
	if got := New(&l, "", nil).Absent(t.Context(), sixteen()[1:]...); len(got) > 0 || l.asked > 0 {
		t.Errorf("%v after %d requests", got, l.asked)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := New(&l, "", nil).Absent(ctx, sixteen()...); len(got) > 0 || l.asked > 0 {
		t.Errorf("%v after %d requests", got, l.asked)
	}
}

// TestBetween: a marker is always from inside of the prefix.
func TestBetween(t *testing.T) {
	t.Parallel()
	for _, c := range [][4]blobstore.Key{
		{"abcd-1", "abcd-2", "abcd-", "abcd-"},
		{"abcd-11", "abcd-2", "abcd-", "abcd-1"},
		{"abcd", "abcd-1", "abcd", ""},
		{"abcd-1", "abcd-10", "abcd-1", ""},
	} {
		if prefix, after := between(c[0], c[1]); prefix != c[2] || after != c[3] {
			t.Errorf("between %s and %s: %q after %q", c[0], c[1], prefix, after)
		}
	}
}
