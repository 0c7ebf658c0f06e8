package tickets

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

// TestServing: while a transfer lasts, and for a second after it has begun.
func TestServing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s Service
		if s.Serving() {
			t.Error("before the first transfer")
		}
		for range 2 {
			one := s.transfers.begin(t.Context(), uuid.New())
			time.Sleep(time.Hour)
			if !s.Serving() {
				t.Error("not while it lasts")
			}
			one.end()
			if s.Serving() {
				t.Error("behind a long one")
			}
			one = s.transfers.begin(t.Context(), uuid.New())
			one.end()
			time.Sleep(servingFor - time.Nanosecond)
			if !s.Serving() {
				t.Error("not within the second")
			}
			time.Sleep(time.Nanosecond)
			if s.Serving() {
				t.Error("a second later")
			}
		}
	})
}

// TestCutAll: a cut ends all transfers of its blob that are under way, in whatever order
// others ended, and none of another blob.
func TestCutAll(t *testing.T) {
	t.Parallel()
	for gone := range 3 {
		var all transfers
		blob := uuid.New()
		three := []*transfer{all.begin(t.Context(), blob), all.begin(t.Context(), blob), all.begin(t.Context(), blob)}
		other := all.begin(t.Context(), uuid.New())
		three[gone].end()
		three[gone].end() // once more is no harm
		all.cut(blob)
		for i, one := range three {
			want := errUnsent
			if i == gone {
				want = context.Canceled
			}
			if got := context.Cause(one.ctx); !errors.Is(got, want) {
				t.Errorf("%d of those without %d: %v, want %v", i, gone, got, want)
			}
			one.end()
		}
		if other.ctx.Err() != nil {
			t.Error("another blob's transfer was cut too")
		}
		other.end()
		if n := len(all.live); n > 0 {
			t.Errorf("%d blobs are left", n)
		}
	}
}

// TestAfter: what is to be done in a while is done if the transfer goes on, and not if it
// is over by then.
func TestAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var all transfers
		for _, over := range []bool{false, true} {
			one := all.begin(t.Context(), uuid.New())
			var done bool
			one.after(time.Minute, func() { done = true })
			if over {
				one.end()
				one.after(time.Minute, func() { done = true })
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if done == over {
				t.Errorf("over: %t, done: %t", over, done)
			}
			one.end()
		}
	})
}
