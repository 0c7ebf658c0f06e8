package expiry_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"mayfly/expiry"
)

// placed is a queue that notes where each claim begins, and how often the brake asked.
type placed struct {
	*queue
	from  []time.Time
	asked int
}

func (q *placed) Claim(ctx context.Context, from, now time.Time, lease time.Duration, limit int) ([]expiry.Due, error) {
	q.from = append(q.from, from)
	return q.queue.Claim(ctx, from, now, lease, limit)
}

func (q *placed) Share(ctx context.Context, now time.Time, above int64, times float64) (expiry.Share, error) {
	q.asked++
	return q.queue.Share(ctx, now, above, times)
}

// TestPurgeGoesForward: each claim of a pass begins where there is something left, and not
// before all that the claims before it have taken. The next pass begins anew.
func TestPurgeGoesForward(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 7 {
		w.add("stored", "unopened", 1, start.Add(time.Duration(i-7)*time.Hour), 1)
	}
	q := &placed{queue: w.queue}
	p := w.purge()
	p.Queue = q
	hours := func(n int) time.Time { return start.Add(time.Duration(n-7) * time.Hour) }
	if r, err := p.Run(t.Context()); err != nil || r.Erased != 7 {
		t.Fatalf("%+v, %v", r, err)
	}
	if want := []time.Time{hours(0), hours(3), hours(6)}; !slices.Equal(q.from, want) || q.asked != 1 {
		t.Errorf("claims from %v, want %v; the brake asked %d times", q.from, want, q.asked)
	}

	// What is put into the queue behind the back of a pass, the next one finds.
	w.add("stored", "unopened", 1, hours(-5), 1)
	if r, err := p.Run(t.Context()); err != nil || r.Erased != 1 {
		t.Errorf("an older one later: %+v, %v", r, err)
	}

	// With nothing to look at there is nothing to brake for; lone attempts are claimed all
	// the same.
	q.from, q.asked = nil, 0
	w.attempt(t, -9*time.Hour)
	if r, err := p.Run(t.Context()); err != nil || r.Erased != 1 {
		t.Errorf("an attempt alone: %+v, %v", r, err)
	}
	if want := []time.Time{start.Add(time.Microsecond)}; !slices.Equal(q.from, want) || q.asked != 0 {
		t.Errorf("claims from %v, want %v; the brake asked %d times", q.from, want, q.asked)
	}
	w.check(t)
}
