package reports_test

import (
	"testing"
	"time"

	"mayfly/reports"
)

// TestRetention is the whole life on the purge: evidence is there until the last moment
// that was promised, and gone with the first purge after it.
func TestRetention(t *testing.T) {
	t.Parallel()
	decide := func(outcome reports.State) func(*house) reports.Report {
		return func(h *house) reports.Report {
			r := h.open()
			h.clock.forward(3 * day)
			return h.decides(h.ann, r.ID, outcome)
		}
	}
	for name, c := range map[string]struct {
		make      func(*house) reports.Report
		dismissed time.Duration
		upheld    time.Duration
		want      time.Duration // from the last act on
		end       reports.State
	}{
		"undecided":                   {make: (*house).open, want: 30 * day, end: reports.StateOpen},
		"undecided, whatever is kept": {make: (*house).open, dismissed: 90 * day, upheld: 90 * day, want: 30 * day, end: reports.StateOpen},
		"dismissed":                   {make: decide(reports.StateDismissed), want: 7 * day, end: reports.StateDismissed},
		"dismissed, as set":           {make: decide(reports.StateDismissed), dismissed: 190 * day, want: 190 * day, end: reports.StateDismissed},
		"upheld":                      {make: decide(reports.StateUpheld), want: 200 * day, end: reports.StateUpheld},
		"upheld, as set":              {make: decide(reports.StateUpheld), dismissed: time.Hour, upheld: 20 * day, want: 20 * day, end: reports.StateUpheld},
		"escalated":                   {make: decide(reports.StateEscalated), want: 400 * day, end: reports.StateEscalated},
		"escalated, kept longer":      {make: decide(reports.StateEscalated), upheld: 500 * day, want: 500 * day, end: reports.StateEscalated},
		"dismissed, and held": {make: func(h *house) reports.Report {
			r := decide(reports.StateDismissed)(h)
			return h.holds(h.ben, r.ID, reports.HoldReview, 50*day)
		}, want: 50 * day, end: reports.StateDismissed},
		"undecided, and held for less": {make: func(h *house) reports.Report {
			return h.holds(h.ben, h.open().ID, reports.HoldReview, 5*day)
		}, want: 30 * day, end: reports.StateOpen},
		"held, then dismissed": {make: func(h *house) reports.Report {
			r := h.open()
			h.holds(h.ben, r.ID, reports.HoldLegal, 365*day)
			return h.decides(h.ann, r.ID, reports.StateDismissed)
		}, want: 365 * day, end: reports.StateDismissed},
		"escalated, then freed": {make: func(h *house) reports.Report {
			r := decide(reports.StateEscalated)(h)
			h.frees(r)
			return h.report(r.ID)
		}, want: 200 * day, end: reports.StateEscalated},
		"reopened": {make: func(h *house) reports.Report {
			r := decide(reports.StateDismissed)(h)
			r, err := h.Reopen(h.t.Context(), h.ben, r.ID)
			if err != nil {
				h.t.Fatal(err)
			}
			return r
		}, want: 30 * day, end: reports.StateOpen},
		"upheld, then dismissed": {make: func(h *house) reports.Report {
			r := decide(reports.StateUpheld)(h)
			if _, err := h.Reopen(h.t.Context(), h.ben, r.ID); err != nil {
				h.t.Fatal(err)
			}
			return h.decides(h.ben, r.ID, reports.StateDismissed)
		}, want: 7 * day, end: reports.StateDismissed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.KeepDismissed, h.KeepUpheld = c.dismissed, c.upheld
			r := c.make(h)
			due := h.clock.Now().Add(c.want)
			if !r.ExpiresAt.Equal(due) || !r.DueAt().Equal(due) {
				t.Errorf("due at %v and %v, want %v", r.ExpiresAt, r.DueAt(), due)
			}
			// The purge runs all the time.
			for _, step := range []time.Duration{c.want / 3, c.want / 3, c.want - 2*(c.want/3) - time.Second} {
				h.clock.forward(step)
				h.purges()
				if n := len(h.evidence()); n != 1 {
					t.Fatalf("%d copies at %v before the end", n, due.Sub(h.clock.Now()))
				}
			}
			h.keepsPromises()
			r = h.in(r.ID, c.end)
			if r.SealedKey == "" || r.Comment == "" || r.Evidence != reports.EvidenceStored {
				t.Errorf("before its end the report is %+v", r)
			}
			h.clock.forward(time.Second)
			h.purges()
			if n := len(h.evidence()); n != 0 {
				t.Fatalf("%d copies after the end", n)
			}
			// With the bytes go the texts and the key; what remains are ids, digests and times.
			if c.end == reports.StateOpen {
				c.end = reports.StateLapsed // it waits for nobody any more
			}
			r = h.in(r.ID, c.end)
			if r.SealedKey != "" || r.Comment != "" || r.Evidence != reports.EvidenceGone || !r.ErasedAt.Equal(h.clock.Now()) {
				t.Errorf("after its end the report is %+v", r)
			}
			if log := h.log(); log[len(log)-1].Act != reports.ActErased || log[len(log)-1].Actor != reports.ActorServer {
				t.Errorf("the log ends with %+v", log[len(log)-1])
			}
			h.keepsPromises()
			// And the row goes with the tombstone.
			h.clock.forward(91 * day)
			h.purges()
			_, err := h.Handled(t.Context(), r.ID, handleOf(r.ID))
			h.refused("the forgotten report", err, reports.ErrUnknownReport)
			h.endsEmpty()
		})
	}
}

// frees ends a hold, by two people.
func (h *house) frees(r reports.Report) {
	h.t.Helper()
	for i, m := range []reports.Moderator{h.ann, h.ben} {
		if _, freed, err := h.Free(h.t.Context(), m, r.ID); err != nil || freed != (i == 1) {
			h.t.Fatal(freed, err)
		}
	}
}

// TestFreedIsDue: evidence that only its hold has kept is due when it is freed.
func TestFreedIsDue(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.decides(h.ann, h.open().ID, reports.StateDismissed)
	h.holds(h.ann, r.ID, reports.HoldLegal, 365*day)
	h.clock.forward(100 * day)
	h.purges()
	if len(h.evidence()) != 1 {
		t.Fatal("held evidence is gone")
	}
	h.frees(r)
	h.purges()
	if len(h.evidence()) != 0 {
		t.Error("evidence that nothing keeps is still there")
	}
	h.logged(r.ID, "filed copied claimed dismissed held free_asked freed erased")
	h.endsEmpty()
}
