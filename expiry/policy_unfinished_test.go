package expiry_test

import (
	"errors"
	"testing"
	"time"

	"mayfly/expiry"
)

func TestUnfinished(t *testing.T) {
	t.Parallel()
	p, s, now := newPolicies()
	want := func(n int64, oldest time.Time) {
		t.Helper()
		if got, at, err := p.Unfinished(t.Context()); err != nil || got != n || !at.Equal(oldest) {
			t.Errorf("%d since %s, %v; want %d since %s", got, at, err, n, oldest)
		}
	}
	set := func(name string, apply bool) {
		t.Helper()
		if _, _, err := p.Set(t.Context(), expiry.PolicyRequest{Name: name, Fields: ttl(day), ApplyToStored: apply}); err != nil {
			t.Fatal(err)
		}
	}
	want(0, time.Time{})
	down := errors.New("the database is down")
	s.failing = func() error { return down }
	set("disappearing-7d", false)
	want(0, time.Time{})
	*now = now.Add(time.Hour)
	set("view-once", true)
	*now = now.Add(-time.Minute) // another replica's clock
	set("channel-30d", true)
	want(2, start.Add(59*time.Minute))
	s.failing = nil
	if _, err := p.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(0, time.Time{})
	s.err = down
	if _, _, err := p.Unfinished(t.Context()); !errors.Is(err, down) {
		t.Error(err)
	}
}
