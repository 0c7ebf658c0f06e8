package reports_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore/blobstoretest"
	"mayfly/reports"
)

// TestWithdraw takes the consent back in every state.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	decided := func(outcome reports.State) func(*house) reports.Report {
		return func(h *house) reports.Report { return h.decides(h.ann, h.open().ID, outcome) }
	}
	for name, c := range map[string]struct {
		make func(*house) reports.Report
		want error
		acts string
	}{
		"copying":        {func(h *house) reports.Report { return h.files(h.sends(photo)) }, nil, "filed withdrawn"},
		"awaiting media": {(*house).awaits, nil, "filed awaiting_media withdrawn"},
		"open":           {(*house).open, nil, "filed copied withdrawn"},
		"claimed": {func(h *house) reports.Report {
			r := h.open()
			if _, err := h.Claim(h.t.Context(), h.ann, r.ID); err != nil {
				h.t.Fatal(err)
			}
			return r
		}, nil, "filed copied claimed withdrawn"},
		"dismissed": {decided(reports.StateDismissed), nil, "filed copied claimed dismissed withdrawn"},
		"upheld":    {decided(reports.StateUpheld), nil, "filed copied claimed upheld withdrawn"},
		"escalated": {decided(reports.StateEscalated), reports.ErrOnHold, "filed copied claimed escalated held"},
		"held": {func(h *house) reports.Report {
			r := h.open()
			h.holds(h.ann, r.ID, reports.HoldReview, time.Hour)
			return r
		}, reports.ErrOnHold, "filed copied held"},
		"hold over": {func(h *house) reports.Report {
			r := h.open()
			h.holds(h.ann, r.ID, reports.HoldReview, time.Hour)
			h.clock.forward(time.Hour)
			return r
		}, nil, "filed copied held withdrawn"},
		"lapsed": {func(h *house) reports.Report {
			r := h.awaits()
			h.clock.forward(100 * day)
			return r
		}, nil, "filed awaiting_media withdrawn"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			var cut []uuid.UUID
			h.Cut = func(blob uuid.UUID) { cut = append(cut, blob) }
			r := c.make(h)
			before := h.report(r.ID)
			err := h.withdraws(r.ID)
			h.refused("withdrawal", err, c.want)
			h.logged(r.ID, c.acts)
			if c.want != nil {
				if after := h.report(r.ID); after.State != before.State || after.SealedKey == "" || len(cut) != 0 || len(h.evidence()) != 1 {
					t.Errorf("a refused withdrawal has changed %+v, cut %v", after, cut)
				}
				h.purges()
				h.keepsPromises()
				h.endsEmpty()
				return
			}
			h.withdrawn(r.ID)
			if len(cut) != 1 || cut[0] != r.ID {
				t.Errorf("cut %v", cut)
			}
			// Idempotent, and not written twice.
			h.clock.forward(time.Hour)
			if err := h.withdraws(r.ID); err != nil {
				t.Error(err)
			}
			h.logged(r.ID, c.acts)
			h.purges()
			h.copies()
			if n := len(h.evidence()); n != 0 {
				t.Errorf("%d copies after a withdrawal and a purge", n)
			}
			h.keepsPromises()
			h.logged(r.ID, c.acts+" erased")
			h.withdrawn(r.ID)
			h.endsEmpty()
		})
	}
}

// withdrawn: what must be true as soon as a withdrawal was acknowledged.
func (h *house) withdrawn(id uuid.UUID) {
	h.t.Helper()
	r := h.in(id, reports.StateWithdrawn)
	if r.Comment != "" || r.SealedKey != "" || r.WithdrawnAt.IsZero() || r.Evidence != reports.EvidenceGone || r.Hold != nil || r.Claim != (reports.Claim{}) {
		h.t.Errorf("a withdrawn report is %+v", r)
	}
	for what, call := range map[string]func() error{
		"claim":  func() error { _, err := h.Claim(h.t.Context(), h.ben, id); return err },
		"reopen": func() error { _, err := h.Reopen(h.t.Context(), h.ben, id); return err },
		"pull":   func() error { _, _, err := h.pulls(h.ben, id); return err },
		"hold": func() error {
			_, err := h.PutHold(h.t.Context(), h.ben, id, reports.NewHold{Class: reports.HoldReview, Reason: "x", Until: h.clock.Now().Add(day)})
			return err
		},
	} {
		want := map[string]error{"claim": reports.ErrNotOpen, "reopen": reports.ErrNotDecided, "pull": reports.ErrWithdrawn, "hold": reports.ErrWithdrawn}[what]
		h.refused(what+" of a withdrawn report", call(), want)
	}
}

// TestWithdrawRevokes: a moderator's ticket that was not opened yet opens nothing any more.
func TestWithdrawRevokes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.open()
	if _, err := h.Claim(t.Context(), h.ann, r.ID); err != nil {
		t.Fatal(err)
	}
	token, _, err := h.pulls(h.ann, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.withdraws(r.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := h.opens(token); err == nil {
		t.Errorf("after the withdrawal: %q", got)
	}
	h.logged(r.ID, "filed copied claimed ticket_issued withdrawn")
	h.endsEmpty()
}

// TestWithdrawWhileCopying takes the consent back between any two steps of a copy.
func TestWithdrawWhileCopying(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for n := 1; ; n++ {
		s := h.sends(photo)
		r := h.files(s)
		calls := 0
		next := func() {
			if calls++; calls == n {
				if err := h.withdraws(r.ID); err != nil {
					t.Error(err)
				}
			}
		}
		h.rows.fail(func(method string) fault {
			if method != "Change" {
				next()
			}
			return passes
		})
		h.blobs.Fail(func(blobstoretest.Call) blobstoretest.Mode { next(); return blobstoretest.Pass })
		h.copies()
		if calls < n {
			if n < 5 {
				t.Errorf("a copy makes only %d calls", calls)
			}
			return
		}
		h.rows.fail(nil)
		h.blobs.Fail(nil)
		h.withdrawn(r.ID)
		h.keepsPromises()
		if got := h.evidence(); len(got) != 0 { // no purge is needed for that
			t.Errorf("withdrawn before call %d: %d copies", n, len(got))
		}
		h.purges()
		h.logged(r.ID, "filed withdrawn erased")
		// The reported blob is the sender's, and stays until its own deadline.
		h.keepsPromises()
		if b, _, err := h.tickets.Status(t.Context(), tenant, s.ID); err != nil || b.State != "stored" {
			t.Errorf("the reported blob is %s, %v", b.State, err)
		}
		h.endsEmpty()
		if t.Failed() {
			t.Fatalf("at call %d", n)
		}
	}
}
