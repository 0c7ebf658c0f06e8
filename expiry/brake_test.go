package expiry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"mayfly/blobstore"
	"mayfly/expiry"
)

// TestPurgeBrake: a pass that would erase too much of everything erases nothing, and
// says so, until it is forced.
func TestPurgeBrake(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		due, stays, unsent int
		brakes             bool
	}{
		"as many as are always allowed": {due: 4, brakes: false},
		"one more, and half of all":     {due: 5, stays: 5, brakes: false},
		"more than half":                {due: 6, stays: 5, brakes: true},
		"everything":                    {due: 5, brakes: true},
		"what was unsent is wanted":     {due: 4, unsent: 9, brakes: false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for range tc.due {
				w.blob(t, 0)
			}
			for range tc.stays {
				w.blob(t, time.Hour)
			}
			for range tc.unsent {
				r := w.blob(t, 0)
				r.state, r.Reason = "purging", "unsent"
			}
			p := w.purge()
			p.Allowed = 4
			r, err := p.Run(t.Context())
			if errors.Is(err, expiry.ErrBrake) != tc.brakes || !tc.brakes && err != nil {
				t.Fatalf("%+v, %v", r, err)
			}
			if tc.brakes && (r.Erased > 0 || w.erased()) {
				t.Fatalf("braked, and erased: %+v", r)
			}
			p.Force = true
			if _, err := p.Run(t.Context()); err != nil || !w.erased() {
				t.Fatalf("forced: %v, all erased: %v", err, w.erased())
			}
			w.check(t)
		})
	}
}

// TestStopped: while deletion is stopped neither purge nor sweep deletes anything,
// forced or not, also a pass that was under way when it was stopped.
func TestStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 9 {
		w.blob(t, 0)
	}
	orphan := newKey([16]byte{1})
	if err := w.blobs.Put(t.Context(), orphan, strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	stop := expiry.Stop{Reason: "an accident", By: "eve", Since: start}
	p := w.purge()
	p.Force = true
	deletions := 0
	p.Blobs = &store{Store: w.blobs, delete: func(ctx context.Context, keys []blobstore.Key) error {
		deletions++
		return errors.Join(w.SetStop(ctx, stop), w.blobs.Delete(ctx, keys...))
	}}
	r, err := p.Run(t.Context())
	if !errors.Is(err, expiry.ErrStopped) || deletions != 1 || r.Erased != 3 {
		t.Fatalf("stopped in the first batch: %+v, %v, after %d deletions", r, err, deletions)
	}
	for range 2 {
		if r, err := p.Run(t.Context()); !errors.Is(err, expiry.ErrStopped) || r.Erased > 0 || !strings.Contains(err.Error(), "an accident") {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	s := &expiry.Sweep{Queue: w.queue, Blobs: w.blobs, Now: func() time.Time { return time.Now().AddDate(1, 0, 0) }, Force: true}
	if r, err := s.Run(t.Context()); !errors.Is(err, expiry.ErrStopped) || r.Deleted > 0 {
		t.Fatalf("sweep: %+v, %v", r, err)
	}
	s.DryRun = true
	if r, err := s.Run(t.Context()); err != nil || r.Orphans != 1 {
		t.Fatalf("dry sweep: %+v, %v", r, err)
	}
	if err := w.EndStop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context()); !errors.Is(err, expiry.ErrStopped) && err != nil {
		t.Fatal(err) // the store of this test stops it again
	}
	if err := w.EndStop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(5 * time.Minute) // the lease of what was claimed ahead of the stop
	if _, err := w.purge().Run(t.Context()); err != nil || !w.erased() {
		t.Fatalf("after the stop: %v", err)
	}
	w.check(t)
}
