package bucket

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
)

// listing is a Client that only lists these names, and then fails with err.
type listing struct {
	Client
	names []string
	err   error
	asked []string
}

func (l *listing) VersionsAfter(_ context.Context, prefix, after string) iter.Seq2[Object, error] {
	l.asked = append(l.asked, prefix)
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

// TestAbsentInDoubt: where the listing fails, or has too much else, nothing is absent.
func TestAbsentInDoubt(t *testing.T) {
	t.Parallel()
	many := func(n int) (names []string) {
		for i := range n {
			names = append(names, fmt.Sprintf("p/00000000-a%04d-other", i))
		}
		return names
	}
	for name, c := range map[string]struct {
		listing listing
		want    int
	}{
		"nothing else":           {listing{}, 2},
		"one of them, a marker":  {listing{names: []string{"p/00000000-b"}}, 1},
		"much else":              {listing{names: many(strangers + 2)}, 2},
		"too much else":          {listing{names: many(strangers + 3)}, 0},
		"what comes after":       {listing{names: []string{"p/00000000-c"}, err: errors.New("never asked")}, 2},
		"out of order":           {listing{names: []string{"p/00000000-aa", "p/00000000-a"}}, 0},
		"it fails":               {listing{err: errors.New("503")}, 0},
		"it fails in the middle": {listing{names: many(5), err: errors.New("503")}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := New(&c.listing, "p", nil)
			got := s.Absent(t.Context(), "00000000-a", "00000000-b", "00000001-alone")
			if len(got) != c.want || got["00000001-alone"] {
				t.Errorf("%v, want %d", got, c.want)
			}
			// One that begins like no other is not worth a listing.
			if len(c.listing.asked) != 1 || c.listing.asked[0] != "p/00000000-" {
				t.Errorf("asked for %q", c.listing.asked)
			}
		})
	}
}

// TestAbsentCancelled asks for nothing.
func TestAbsentCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var l listing
	if got := New(&l, "", nil).Absent(ctx, "00000000-a", "00000000-b"); len(got) > 0 || len(l.asked) > 0 {
		t.Errorf("%v after asking for %q", got, l.asked)
	}
}
