package reports_test

import (
	"cmp"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/reports"
)

// holds puts a hold on evidence, until that much later.
func (h *house) holds(m reports.Moderator, id uuid.UUID, class reports.HoldClass, d time.Duration) reports.Report {
	h.t.Helper()
	r, err := h.PutHold(h.t.Context(), m, id, reports.NewHold{Class: class, Reason: "order 7", Until: h.clock.Now().Add(d)})
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func TestHoldBounds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.open().ID
	for name, c := range map[string]struct {
		class  reports.HoldClass
		reason string
		d      time.Duration
		want   field
	}{
		"no class":             {"", "r", 400 * day, "class"},
		"unknown class":        {"Legal", "r", 400 * day, "class"},
		"no reason":            {reports.HoldReview, "", day, "reason"},
		"reason too long":      {reports.HoldReview, strings.Repeat("r", reports.MaxHoldReason+1), day, "reason"},
		"reason not UTF-8":     {reports.HoldReview, "\xff", day, "reason"},
		"legal, too short":     {reports.HoldLegal, "r", 365*day - 2*time.Minute, "until"},
		"legal, a year of 364": {reports.HoldLegal, "r", 364 * day, "until"},
		"review, now":          {reports.HoldReview, "r", 0, "until"},
		"review, in the past":  {reports.HoldReview, "r", -day, "until"},
		"review, for ever":     {reports.HoldReview, "r", 3650*day + time.Second, "until"},
		"legal, for ever":      {reports.HoldLegal, "r", 3650*day + time.Second, "until"},
	} {
		_, err := h.PutHold(t.Context(), h.ann, id, reports.NewHold{Class: c.class, Reason: c.reason, Until: h.clock.Now().Add(c.d)})
		if !c.want.in(err) {
			t.Errorf("%s: %v, want one of %s", name, err, string(c.want))
		}
	}
	if _, err := h.PutHold(t.Context(), h.ann, id, reports.NewHold{Class: reports.HoldReview, Reason: "r"}); !field("until").in(err) {
		t.Errorf("without an end: %v", err)
	}
	h.logged(id, "filed copied")
	for _, c := range []struct {
		class reports.HoldClass
		d     time.Duration
	}{
		{reports.HoldReview, time.Second}, {reports.HoldLegal, 365*day - 30*time.Second}, {reports.HoldLegal, 365 * day}, {reports.HoldLegal, 3650 * day},
	} {
		r := h.holds(h.ann, id, c.class, c.d)
		want := h.clock.Now().Add(c.d)
		if r.Hold == nil || r.Hold.Class != c.class || !r.Hold.Until.Equal(want) || r.Hold.By != h.ann.Key || !r.Hold.Since.Equal(h.clock.Now()) {
			t.Errorf("%+v", r.Hold)
		}
		if d := r.DueAt(); d.Before(want) || !r.ExpiresAt.Equal(d) {
			t.Errorf("due at %v and %v, held until %v", d, r.ExpiresAt, want)
		}
	}
	h.logged(id, "filed copied held held held held")
}

// TestHoldGrows: who holds makes a hold longer, and never shorter or weaker.
func TestHoldGrows(t *testing.T) {
	t.Parallel()
	const second = time.Second
	h := newHouse(t)
	for name, c := range map[string]struct {
		class reports.HoldClass
		d     time.Duration
		then  reports.HoldClass
		d2    time.Duration
		want  error
	}{
		"longer":                    {reports.HoldReview, 10 * day, reports.HoldReview, 11 * day, nil},
		"the same":                  {reports.HoldReview, 10 * day, reports.HoldReview, 10 * day, nil},
		"shorter":                   {reports.HoldReview, 10 * day, reports.HoldReview, 10*day - second, reports.ErrOnHold},
		"legal and longer":          {reports.HoldReview, 10 * day, reports.HoldLegal, 365 * day, nil},
		"legal and shorter":         {reports.HoldReview, 500 * day, reports.HoldLegal, 400 * day, reports.ErrOnHold},
		"legal, longer":             {reports.HoldLegal, 365 * day, reports.HoldLegal, 366 * day, nil},
		"legal, shorter":            {reports.HoldLegal, 366 * day, reports.HoldLegal, 366*day - second, reports.ErrOnHold},
		"of legal to review":        {reports.HoldLegal, 365 * day, reports.HoldReview, 365 * day, reports.ErrOnHold},
		"of legal to longer review": {reports.HoldLegal, 365 * day, reports.HoldReview, 700 * day, reports.ErrOnHold},
	} {
		id := h.open().ID
		before := h.holds(h.ann, id, c.class, c.d)
		_, err := h.PutHold(t.Context(), h.ben, id, reports.NewHold{Class: c.then, Reason: "more", Until: h.clock.Now().Add(c.d2)})
		h.refused(name, err, c.want)
		after := h.report(id)
		if c.want != nil && *after.Hold != *before.Hold {
			t.Errorf("%s: a refused hold has changed the one that is: %+v", name, after.Hold)
		}
		if c.want == nil && (after.Hold.Class != c.then || after.Hold.By != h.ben.Key || after.Hold.Reason != "more") {
			t.Errorf("%s: %+v", name, after.Hold)
		}
		if after.DueAt().Before(before.DueAt()) {
			t.Errorf("%s: due at %v, before %v", name, after.DueAt(), before.DueAt())
		}
	}
}

// TestHoldLapses: a hold that is over keeps nothing, and what comes then is a new one.
func TestHoldLapses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.open().ID
	h.holds(h.ann, id, reports.HoldReview, 10*day)
	if _, freed, err := h.Free(t.Context(), h.ann, id); freed || err != nil {
		t.Fatal(freed, err)
	}
	h.clock.forward(10*day - time.Microsecond)
	if r := h.report(id); r.HoldAt(h.clock.Now()) == nil {
		t.Error("the hold ends too early")
	}
	h.clock.forward(time.Microsecond)
	if r := h.report(id); r.HoldAt(h.clock.Now()) != nil {
		t.Error("the hold has not ended")
	}
	_, freed, err := h.Free(t.Context(), h.ben, id)
	h.refused("to free what is free", err, reports.ErrNotOnHold)
	if freed {
		t.Error("a refusal has freed")
	}
	held, notHeld := true, false
	for _, q := range []struct {
		held *bool
		want int
	}{{&held, 0}, {&notHeld, 1}} {
		if rs, err := h.Reports(t.Context(), tenant, reports.Query{Held: q.held, Limit: 10}); err != nil || len(rs) != q.want {
			t.Errorf("held %v: %d reports, %v", *q.held, len(rs), err)
		}
	}
	// A shorter one, and of the weaker class: there is none that it would shorten. Nobody
	// has asked to end it.
	r := h.holds(h.ben, id, reports.HoldReview, day)
	if r.Hold.FreeAskedBy != (uuid.UUID{}) {
		t.Errorf("%+v", r.Hold)
	}
	h.clock.forward(day)
	if err := h.withdraws(id); err != nil {
		t.Error(err)
	}
	// A legal one that is over forbids no weaker one.
	h.KeepUpheld = 500 * day
	id = h.decides(h.ann, h.open().ID, reports.StateUpheld).ID
	h.holds(h.ann, id, reports.HoldLegal, 365*day)
	h.clock.forward(365 * day)
	h.holds(h.ann, id, reports.HoldReview, day)
	h.endsEmpty()
}

// TestFree: it takes two people to end a hold, and the order is the log's.
func TestFree(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.open().ID
	free := func(m reports.Moderator) (bool, error) {
		_, freed, err := h.Free(t.Context(), m, id)
		return freed, err
	}
	_, err := free(h.ann)
	h.refused("without a hold", err, reports.ErrNotOnHold)
	h.holds(h.ann, id, reports.HoldLegal, 365*day)
	_, err = free(h.eve)
	h.refused("another tenant", err, reports.ErrUnknownReport)

	// Who has set it may be one of the two.
	if freed, err := free(h.ann); freed || err != nil {
		t.Errorf("the first: %v, %v", freed, err)
	}
	freed, err := free(h.ann)
	h.refused("the same person", err, reports.ErrSamePerson)
	if freed {
		t.Error("one person has ended a hold")
	}
	if r := h.report(id); r.Hold == nil || r.Hold.FreeAskedBy != h.ann.Key || !r.Hold.FreeAskedAt.Equal(h.clock.Now()) {
		t.Errorf("%+v", r.Hold)
	}
	h.refused("a withdrawal meanwhile", h.withdraws(id), reports.ErrOnHold)
	// Made longer, it is another hold: whoever asked, asked about the one before.
	h.holds(h.ben, id, reports.HoldLegal, 366*day)
	if freed, err := free(h.ben); freed || err != nil {
		t.Errorf("the first of the longer one: %v, %v", freed, err)
	}
	if freed, err := free(h.ann); !freed || err != nil {
		t.Errorf("the second: %v, %v", freed, err)
	}
	r := h.report(id)
	if r.Hold != nil || !r.ExpiresAt.Equal(r.KeepUntil) {
		t.Errorf("%+v, due at %v, not %v", r.Hold, r.ExpiresAt, r.KeepUntil)
	}
	h.logged(id, "filed copied held free_asked held free_asked freed")
	_, err = free(h.ann)
	h.refused("again", err, reports.ErrNotOnHold)
	if err := h.withdraws(id); err != nil {
		t.Error(err)
	}
	h.endsEmpty()
}

// A hold that fails is none, and nobody is told that it was ended.
func TestFreeThatFails(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.open().ID
	h.holds(h.ann, id, reports.HoldReview, day)
	h.rows.fail(func(string) fault { return fails })
	_, freed, err := h.Free(t.Context(), h.ann, id)
	if _, ok := errors.AsType[*reports.StoreError](err); !ok || freed {
		t.Errorf("freed %v, %v", freed, err)
	}
}

// TestEscalate: an escalation is a legal hold of 400 days, which ends no longer one.
func TestEscalate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, c := range map[string]struct {
		class reports.HoldClass
		d     time.Duration
		want  time.Duration
		acts  string
	}{
		"without a hold":             {"", 0, 400 * day, "escalated held"},
		"with a shorter review hold": {reports.HoldReview, day, 400 * day, "escalated held"},
		"with a longer review hold":  {reports.HoldReview, 500 * day, 500 * day, "escalated held"},
		"with a shorter legal hold":  {reports.HoldLegal, 365 * day, 400 * day, "escalated held"},
		"with a longer legal hold":   {reports.HoldLegal, 500 * day, 500 * day, "escalated"},
	} {
		id := h.open().ID
		acts := "filed copied claimed "
		if c.class != "" {
			h.holds(h.ben, id, c.class, c.d)
			acts = "filed copied held claimed "
		}
		r := h.decides(h.ann, id, reports.StateEscalated)
		if r.Hold == nil || r.Hold.Class != reports.HoldLegal || !r.Hold.Until.Equal(h.clock.Now().Add(c.want)) || !r.ExpiresAt.Equal(r.Hold.Until) {
			t.Errorf("%s: %+v, due at %v", name, r.Hold, r.ExpiresAt)
		}
		if by := cmp.Compare(c.acts, "escalated") == 0; (r.Hold.By == h.ben.Key) != by {
			t.Errorf("%s: by %v", name, r.Hold.By)
		}
		h.logged(id, acts+c.acts)
	}
}

// TestHoldWhere: what can be held in which state.
func TestHoldWhere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	hold := func(m reports.Moderator, id uuid.UUID) error {
		_, err := h.PutHold(t.Context(), m, id, reports.NewHold{Class: reports.HoldReview, Reason: "r", Until: h.clock.Now().Add(day)})
		return err
	}
	r := h.files(h.sends(photo))
	h.refused("copying", hold(h.ann, r.ID), reports.ErrNoEvidence)
	h.copies()
	h.refused("another tenant", hold(h.eve, r.ID), reports.ErrUnknownReport)
	h.refused("an unknown report", hold(h.ann, uuid.New()), reports.ErrUnknownReport)
	h.refused("open, and not claimed", hold(h.ann, r.ID), nil)
	h.refused("awaiting media", hold(h.ann, h.awaits().ID), reports.ErrNoEvidence)
	r = h.decides(h.ann, h.open().ID, reports.StateDismissed)
	h.refused("dismissed", hold(h.ben, r.ID), nil)
	gone := h.open()
	h.clock.forward(31 * day)
	h.purges()
	h.refused("erased", hold(h.ann, gone.ID), reports.ErrErased)
}
