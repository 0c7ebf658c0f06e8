package reports_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/reports"
)

// situations are reports in every state. Ann has claimed what is claimed, and decided what
// is decided; Ben has reopened what is reopened.
var situations = []struct {
	name string
	make func(*house) uuid.UUID
}{
	{"unknown", func(*house) uuid.UUID { return uuid.New() }},
	{"copying", func(h *house) uuid.UUID { return h.files(h.sends(photo)).ID }},
	{"awaiting", func(h *house) uuid.UUID { return h.awaits().ID }},
	{"open", func(h *house) uuid.UUID { return h.open().ID }},
	{"claimed", (*house).claimed},
	{"claim over", func(h *house) uuid.UUID {
		id := h.claimed()
		h.clock.forward(30 * time.Minute)
		return id
	}},
	{"dismissed", func(h *house) uuid.UUID { return h.decides(h.ann, h.open().ID, reports.StateDismissed).ID }},
	{"upheld", func(h *house) uuid.UUID { return h.decides(h.ann, h.open().ID, reports.StateUpheld).ID }},
	{"escalated", func(h *house) uuid.UUID { return h.decides(h.ann, h.open().ID, reports.StateEscalated).ID }},
	{"reopened", (*house).reopened},
	{"reopened and claimed", func(h *house) uuid.UUID {
		id := h.reopened()
		if _, err := h.Claim(h.t.Context(), h.ben, id); err != nil {
			h.t.Fatal(err)
		}
		return id
	}},
	{"withdrawn", func(h *house) uuid.UUID {
		id := h.open().ID
		if err := h.withdraws(id); err != nil {
			h.t.Fatal(err)
		}
		return id
	}},
	{"erased", func(h *house) uuid.UUID {
		id := h.open().ID
		h.clock.forward(30 * day)
		h.purges()
		return id
	}},
	{"dismissed and erased", func(h *house) uuid.UUID {
		id := h.decides(h.ann, h.open().ID, reports.StateDismissed).ID
		h.clock.forward(7 * day)
		h.purges()
		return id
	}},
	{"lapsed", func(h *house) uuid.UUID {
		id := h.awaits().ID
		h.clock.forward(91 * day)
		h.purges()
		return id
	}},
}

func (h *house) claimed() uuid.UUID {
	h.t.Helper()
	id := h.open().ID
	if _, err := h.Claim(h.t.Context(), h.ann, id); err != nil {
		h.t.Fatal(err)
	}
	return id
}

func (h *house) reopened() uuid.UUID {
	h.t.Helper()
	id := h.decides(h.ann, h.open().ID, reports.StateUpheld).ID
	if _, err := h.Reopen(h.t.Context(), h.ben, id); err != nil {
		h.t.Fatal(err)
	}
	return id
}

// TestRules is who may do what to a report in which state.
func TestRules(t *testing.T) {
	t.Parallel()
	acts := map[string]func(*house, reports.Moderator, uuid.UUID) error{
		"claim": func(h *house, m reports.Moderator, id uuid.UUID) error {
			_, err := h.Claim(h.t.Context(), m, id)
			return err
		},
		"release": func(h *house, m reports.Moderator, id uuid.UUID) error { return h.Release(h.t.Context(), m, id) },
		"decide": func(h *house, m reports.Moderator, id uuid.UUID) error {
			_, err := h.Decide(h.t.Context(), m, id, reports.Verdict{Outcome: reports.StateUpheld})
			return err
		},
		"reopen": func(h *house, m reports.Moderator, id uuid.UUID) error {
			_, err := h.Reopen(h.t.Context(), m, id)
			return err
		},
		"pull": func(h *house, m reports.Moderator, id uuid.UUID) error { _, _, err := h.pulls(m, id); return err },
	}
	// The errors by name, so that the table can be read.
	named := map[string]error{
		"ok": nil, "unknown": reports.ErrUnknownReport, "not open": reports.ErrNotOpen, "claimed": reports.ErrClaimed,
		"not claimed": reports.ErrNotClaimed, "not decided": reports.ErrNotDecided, "same": reports.ErrSamePerson,
		"erased": reports.ErrErased, "withdrawn": reports.ErrWithdrawn, "none": reports.ErrNoEvidence,
	}
	// Of each act: what Ann gets, and Ben.
	table := map[string]string{
		"unknown":              "claim unknown/unknown, release unknown/unknown, decide unknown/unknown, reopen unknown/unknown, pull unknown/unknown",
		"copying":              "claim not open/not open, release not claimed/not claimed, decide not open/not open, reopen not decided/not decided, pull none/none",
		"awaiting":             "claim not open/not open, release not claimed/not claimed, decide not open/not open, reopen not decided/not decided, pull none/none",
		"open":                 "claim ok/ok, release not claimed/not claimed, decide not claimed/not claimed, reopen not decided/not decided, pull not claimed/not claimed",
		"claimed":              "claim ok/claimed, release ok/claimed, decide ok/claimed, reopen not decided/not decided, pull ok/claimed",
		"claim over":           "claim ok/ok, release not claimed/not claimed, decide not claimed/not claimed, reopen not decided/not decided, pull not claimed/not claimed",
		"dismissed":            "claim not open/not open, release not claimed/not claimed, decide not open/not open, reopen same/ok, pull ok/ok",
		"upheld":               "claim not open/not open, release not claimed/not claimed, decide not open/not open, reopen same/ok, pull ok/ok",
		"escalated":            "claim not open/not open, release not claimed/not claimed, decide not open/not open, reopen same/ok, pull ok/ok",
		"reopened":             "claim same/ok, release not claimed/not claimed, decide not claimed/not claimed, reopen not decided/not decided, pull not claimed/not claimed",
		"reopened and claimed": "claim claimed/ok, release claimed/ok, decide claimed/ok, reopen not decided/not decided, pull claimed/ok",
		"withdrawn":            "claim not open/not open, release not claimed/not claimed, decide not open/not open, reopen not decided/not decided, pull withdrawn/withdrawn",
		"erased":               "claim not open/not open, release not claimed/not claimed, decide not open/not open, reopen not decided/not decided, pull erased/erased",
		"dismissed and erased": "claim not open/not open, release not claimed/not claimed, decide not open/not open, reopen same/erased, pull erased/erased",
		"lapsed":               "claim not open/not open, release not claimed/not claimed, decide not open/not open, reopen not decided/not decided, pull erased/erased",
	}
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			cells := 0
			for cell := range strings.SplitSeq(table[s.name], ", ") {
				act, wants, _ := strings.Cut(cell, " ")
				want := strings.Split(wants, "/")
				for i, m := range []reports.Moderator{h.ann, h.ben, h.eve} {
					name := append(want, "unknown")[i] // Eve, of another tenant, never gets another answer
					id := s.make(h)
					before := len(h.log())
					wantErr, ok := named[name]
					if !ok {
						t.Fatalf("no error %q", name)
					}
					err := acts[act](h, m, id)
					h.refused(fmt.Sprintf("%s by %d", act, i), err, wantErr)
					if wrote := len(h.log()) - before; (wrote > 0) != (err == nil) {
						t.Errorf("%s by %d: %v, and %d entries", act, i, err, wrote)
					}
					cells++
				}
			}
			if cells != 15 {
				t.Errorf("%d cells", cells)
			}
			h.keepsPromises()
		})
	}
}

// TestClaim: a claim lasts half an hour from the last one, and its end needs nobody.
func TestClaim(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.open().ID
	r, err := h.Claim(t.Context(), h.ann, id)
	if err != nil || r.Claim.By != h.ann.Key || !r.Claim.Until.Equal(h.clock.Now().Add(30*time.Minute)) {
		t.Fatalf("%+v, %v", r.Claim, err)
	}
	h.clock.forward(20 * time.Minute)
	if _, err := h.Claim(t.Context(), h.ann, id); err != nil {
		t.Fatal(err)
	}
	h.clock.forward(30*time.Minute - time.Microsecond)
	h.in(id, reports.StateClaimed)
	_, err = h.Claim(t.Context(), h.ben, id)
	h.refused("before its end", err, reports.ErrClaimed)
	h.clock.forward(time.Microsecond)
	h.in(id, reports.StateOpen)
	if _, err := h.Claim(t.Context(), h.ben, id); err != nil {
		t.Error(err)
	}
	_, err = h.Decide(t.Context(), h.ann, id, reports.Verdict{Outcome: reports.StateDismissed})
	h.refused("who had it before", err, reports.ErrClaimed)
	if err := h.Release(t.Context(), h.ben, id); err != nil {
		t.Error(err)
	}
	h.in(id, reports.StateOpen)
	h.logged(id, "filed copied claimed claimed claimed released")
}

// TestClaimRace: many reach for a report, and one has it.
func TestClaimRace(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.open().ID
	var all sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		m := h.moderator(tenant)
		all.Go(func() { _, errs[i] = h.Claim(t.Context(), m, id) })
	}
	all.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			h.refused("a loser", err, reports.ErrClaimed)
		}
	}
	if won != 1 {
		t.Errorf("%d have claimed the report", won)
	}
	h.logged(id, "filed copied claimed")
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.claimed()
	for name, c := range map[string]struct {
		v    reports.Verdict
		want field
	}{
		"no outcome":      {reports.Verdict{}, "outcome"},
		"open":            {reports.Verdict{Outcome: reports.StateOpen}, "outcome"},
		"withdrawn":       {reports.Verdict{Outcome: reports.StateWithdrawn}, "outcome"},
		"claimed":         {reports.Verdict{Outcome: reports.StateClaimed}, "outcome"},
		"note too long":   {reports.Verdict{Outcome: reports.StateUpheld, Note: strings.Repeat("n", reports.MaxNote+1)}, "note"},
		"policy too long": {reports.Verdict{Outcome: reports.StateUpheld, Policy: strings.Repeat("p", reports.MaxPolicy+1)}, "policy"},
		"note with NUL":   {reports.Verdict{Outcome: reports.StateUpheld, Note: "\x00"}, "note"},
	} {
		if _, err := h.Decide(t.Context(), h.ann, id, c.v); !c.want.in(err) {
			t.Errorf("%s: %v, want one of %s", name, err, string(c.want))
		}
	}
	h.in(id, reports.StateClaimed)
	v := reports.Verdict{Outcome: reports.StateUpheld, Policy: strings.Repeat("p", reports.MaxPolicy), Note: strings.Repeat("n", reports.MaxNote)}
	r, err := h.Decide(t.Context(), h.ann, id, v)
	want := reports.Decision{By: h.ann.Key, At: h.clock.Now(), Policy: v.Policy, Note: v.Note}
	if err != nil || r.Decision.By != want.By || !r.Decision.At.Equal(want.At) || r.Decision.Policy != v.Policy || r.Decision.Note != v.Note || r.Claim != (reports.Claim{}) {
		t.Errorf("%+v, %v", r.Decision, err)
	}
	// What was said is in the log by its digest.
	entries := h.log()
	if e := entries[len(entries)-1]; e.Act != reports.ActUpheld || e.Digest == nil || *e.Digest != said(v.Policy, v.Note) {
		t.Errorf("%+v", e)
	}
}

// TestReopened: a second opinion is another person's, and so is the decision after it.
func TestReopened(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.decides(h.ann, h.open().ID, reports.StateDismissed).ID
	h.clock.forward(6 * day)
	r, err := h.Reopen(t.Context(), h.ben, id)
	if err != nil || r.Reopened.By != h.ben.Key || !r.Reopened.At.Equal(h.clock.Now()) {
		t.Fatalf("%+v, %v", r.Reopened, err)
	}
	if want := h.clock.Now().Add(30 * day); !r.ExpiresAt.Equal(want) {
		t.Errorf("reopened evidence is kept until %v, want %v", r.ExpiresAt, want)
	}
	_, err = h.Claim(t.Context(), h.ann, id)
	h.refused("who decided before", err, reports.ErrSamePerson)
	// Who reopened may decide, and then may not reopen.
	r = h.decides(h.ben, id, reports.StateUpheld)
	if r.Reopened != (reports.Reopened{}) || r.Decision.By != h.ben.Key {
		t.Errorf("%+v", r)
	}
	_, err = h.Reopen(t.Context(), h.ben, id)
	h.refused("to reopen what one decided", err, reports.ErrSamePerson)
	if _, err := h.Reopen(t.Context(), h.ann, id); err != nil {
		t.Errorf("the first again: %v", err)
	}
	if got := h.report(id); got.KeepUntil.Before(h.clock.Now().Add(200 * day)) {
		t.Errorf("a reopening has made the time shorter: %v", got.KeepUntil)
	}
	h.logged(id, "filed copied claimed dismissed reopened claimed upheld reopened")
	h.endsEmpty()
}

// TestPulledUntil: a ticket does not outlive what it opens.
func TestPulledUntil(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.open()
	h.clock.forward(30*day - 5*time.Minute)
	if _, err := h.Claim(t.Context(), h.ann, r.ID); err != nil {
		t.Fatal(err)
	}
	if _, p, err := h.pulls(h.ann, r.ID); err != nil || !p.ExpiresAt.Equal(r.ExpiresAt) {
		t.Errorf("until %v, want %v, %v", p.ExpiresAt, r.ExpiresAt, err)
	}
	h.clock.forward(5 * time.Minute)
	_, _, err := h.pulls(h.ann, r.ID) // not purged yet, and over all the same (P4)
	h.refused("from its deadline on", err, reports.ErrErased)
}

func TestQueue(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var ids []uuid.UUID
	for range 3 {
		ids = append(ids, h.open().ID)
	}
	ids = append(ids, h.claimed(), h.reopened(), h.awaits().ID)
	h.holds(h.ann, ids[1], reports.HoldReview, day)
	held := true
	for name, c := range map[string]struct {
		q    reports.Query
		want []uuid.UUID
	}{
		"all":             {reports.Query{Limit: 10}, ids},
		"two":             {reports.Query{Limit: 2}, ids[:2]},
		"the next":        {reports.Query{Limit: 2, After: ids[1]}, ids[2:4]},
		"the end":         {reports.Query{Limit: 2, After: ids[5]}, nil},
		"open":            {reports.Query{Limit: 10, State: reports.StateOpen}, []uuid.UUID{ids[0], ids[1], ids[2], ids[4]}},
		"claimed":         {reports.Query{Limit: 10, State: reports.StateClaimed}, ids[3:4]},
		"held":            {reports.Query{Limit: 10, Held: &held}, ids[1:2]},
		"awaiting":        {reports.Query{Limit: 10, State: reports.StateAwaitingMedia}, ids[5:]},
		"by reason":       {reports.Query{Limit: 10, Reason: "threat"}, ids},
		"another reason":  {reports.Query{Limit: 10, Reason: "fraud"}, nil},
		"all of them":     {reports.Query{Limit: 10, Reason: "threat", State: reports.StateOpen, Held: &held}, ids[1:2]},
		"a state of none": {reports.Query{Limit: 10, State: reports.StateLapsed}, nil},
	} {
		rs, err := h.Reports(t.Context(), tenant, c.q)
		var got []uuid.UUID
		for _, r := range rs {
			got = append(got, r.ID)
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v, %v", name, got, c.want, err)
		}
	}
	h.clock.forward(time.Hour)
	if rs, err := h.Reports(t.Context(), tenant, reports.Query{Limit: 10, State: reports.StateClaimed}); err != nil || len(rs) != 0 {
		t.Errorf("claims that ran out: %d, %v", len(rs), err)
	}
	b, err := h.db.ReportBacklog(t.Context(), h.clock.Now())
	if err != nil || b.Open != 5 || b.Awaiting != 1 || b.Copying != 0 || b.Held != 1 {
		t.Errorf("%+v, %v", b, err)
	}
}
