package crashes

import (
	"testing"
	"time"
	_ "time/tzdata" // the zones, also on a machine without them

	"mayfly/expiry"
	"mayfly/tickets"
)

// changes are moments around which a zone changes its clocks, forward and back, and by
// half an hour too.
var changes = []struct {
	zone string
	at   time.Time
}{
	{"Europe/Berlin", time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)},
	{"Europe/Berlin", time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC)},
	{"America/New_York", time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC)},
	{"Australia/Lord_Howe", time.Date(2026, 10, 3, 15, 30, 0, 0, time.UTC)},
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	in, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// TestZones: a process that lives in a zone with summer time keeps the deadlines to the
// microsecond, over the change too, and beside one that lives in UTC.
func TestZones(t *testing.T) {
	for _, c := range combinations {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			site := c.site(t)
			for _, change := range changes {
				l, utc := newLife(t, site, false), newLife(t, site, false)
				set := func(at time.Time) { l.clock.now, utc.clock.now = at, at }
				l.clock.in = zone(t, change.zone)
				if _, before := change.at.Add(-time.Second).In(l.clock.in).Zone(); before == second(change.at.In(l.clock.in).Zone()) {
					t.Fatalf("nothing changes in %s at %v", change.zone, change.at)
				}
				set(change.at.Add(-30 * minute))
				b := l.storedFor(time.Hour)
				deadline := change.at.Add(30 * minute)
				row, ts, err := utc.Status(utc.ctx, tenant, b.id)
				l.must("look", err)
				for what, at := range map[string]time.Time{"stored": row.StoredAt, "expires": row.ExpiresAt, "purge": row.PurgeAt, "ticket": ts[0].CreatedAt} {
					if at.Location() != time.UTC {
						t.Errorf("%s is told in %v", what, at.Location())
					}
				}
				if !row.ExpiresAt.Equal(deadline) {
					t.Errorf("it expires at %v, not %v", row.ExpiresAt, deadline)
				}
				set(deadline.Add(-time.Microsecond))
				if r, err := l.purge.Run(l.ctx); err != nil || r.Erased > 0 {
					t.Errorf("a microsecond before it is due: %+v, %v (P4)", r, err)
				}
				l.must("in the last microsecond", l.opens(b, b.tickets[0], b.tickets[0].claim))
				set(deadline)
				for _, at := range []*life{l, utc} {
					l.refused("at the deadline", at.opens(b, b.tickets[1], b.tickets[1].claim), tickets.ErrExpired)
				}
				set(deadline.Add(72*time.Hour - 2*time.Microsecond))
				if r, err := l.purge.Run(l.ctx); err != nil || r.Erased > 0 {
					t.Errorf("a microsecond before an open lets it: %+v, %v (P4)", r, err)
				}
				set(deadline.Add(72*time.Hour - time.Microsecond))
				if r, err := l.purge.Run(l.ctx); err != nil || r.Erased != 1 {
					t.Errorf("when it is due: %+v, %v (P4)", r, err)
				}
			}
		})
	}
}

func second[A, B any](_ A, b B) B { return b }

// TestCronOverChanges: specs are in UTC, so that a change neither leaves out a tick nor
// makes one twice.
func TestCronOverChanges(t *testing.T) {
	t.Parallel()
	s, err := expiry.NewSchedule(nil,
		expiry.Job{Name: "daily", Spec: "30 2 * * *"}, expiry.Job{Name: "hourly", Spec: "@hourly"})
	if err != nil {
		t.Fatal(err)
	}
	every := map[string]time.Duration{"daily": day, "hourly": time.Hour}
	for _, change := range changes {
		for _, plan := range s.Plans(change.at.Add(-90 * minute).In(zone(t, change.zone))) {
			for i, next := range plan.Next {
				if next.Location() != time.UTC || i > 0 && next.Sub(plan.Next[i-1]) != every[plan.Job] {
					t.Errorf("%s in %s: %v", plan.Job, change.zone, plan.Next)
				}
			}
			if first := plan.Next[0].Sub(change.at.Add(-90 * minute)); first <= 0 || first > every[plan.Job] {
				t.Errorf("%s in %s: first %v", plan.Job, change.zone, plan.Next[0])
			}
		}
	}
}
