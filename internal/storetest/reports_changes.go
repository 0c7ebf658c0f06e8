package storetest

import (
	"errors"
	"testing"
	"time"

	"mayfly/expiry"
	"mayfly/reports"
	"mayfly/tickets"
)

// testChanges: what becomes of a report becomes of its evidence.
func testChanges(t *testing.T, open func(*testing.T) Database) {
	run := func(name string, test func(*testing.T, Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
	run("refused", changeRefused)
	run("unknown", changeUnknown)
	run("called twice", changeTwice)
	run("fields", changeFields)
	run("claim", claimReport)
	run("decided", decideReport)
	run("reopened", reopenReport)
	run("withdrawn", withdrawReport)
	run("withdrawn before there is evidence", withdrawEarly)
	run("hold", holdEvidence)
	run("hold, and all else", holdAgainstAll)
	run("hold ends by itself", holdEnds)
	run("freed", freeEvidence)
	run("freed early", freeEarly)
	run("withdrawn on hold", withdrawHeld)
	run("shorten", shortenEvidence)
}

var errRule = errors.New("against the rules")

// changeRefused: a rule's error is the answer, and nothing is changed.
func changeRefused(t *testing.T, st Store) {
	r := alone(t, st)
	m := moderator(t, st)
	log := logOf(t, st, tenant)
	_, err := st.Change(t.Context(), whoIs(m, r), start, func(x reports.Report) (reports.Change, error) {
		same(t, "report", r, x)
		x.State, x.Comment = reports.StateWithdrawn, ""
		return reports.Change{Report: x, Acts: []reports.Record{{Act: reports.ActWithdrawn}}}, errRule
	})
	wantErr(t, err, errRule)
	// No act, no change either.
	got, err := st.Change(t.Context(), whoIs(m, r), start, func(x reports.Report) (reports.Change, error) {
		x.State = reports.StateUpheld
		return reports.Change{Report: x}, nil
	})
	check(t, err)
	same(t, "report", r, got)
	same(t, "report", r, report(t, st, r))
	same(t, "log", log, logOf(t, st, tenant))
	dueFrom(t, st, r.ID, r.ExpiresAt)
}

func whoIs(m reports.Moderator, r reports.Report) reports.Who {
	return reports.Who{Report: r.ID, Tenant: m.Tenant, Actor: m.Key.String()}
}

func changeUnknown(t *testing.T, st Store) {
	r, _ := opened(t, st, start)
	log := logOf(t, st, tenant)
	for _, who := range []reports.Who{
		{Report: newID(), Tenant: tenant},
		{Report: r.ID, Tenant: "stranger"},
		{Report: r.ID, Handle: newHash()},
		{Report: r.ID},
		{Report: newID(), Handle: handleOf(r.ID)},
		{Report: r.Blob, Tenant: tenant},
	} {
		_, err := st.Change(t.Context(), who, start, func(x reports.Report) (reports.Change, error) {
			t.Errorf("%v has the report of %s", who, x.Tenant)
			return reports.Change{Report: x, Acts: []reports.Record{{Act: reports.ActClaimed}}}, nil
		})
		wantErr(t, err, reports.ErrUnknownReport)
	}
	same(t, "log", log, logOf(t, st, tenant))
	_, err := st.Change(t.Context(), reports.Who{Report: r.ID, Handle: handleOf(r.ID)}, start, func(x reports.Report) (reports.Change, error) {
		return reports.Change{Report: x}, nil
	})
	check(t, err)
}

// changeTwice: a transaction that is run again begins with the report as it was.
func changeTwice(t *testing.T, st Store) {
	r, _ := opened(t, st, start)
	m := moderator(t, st)
	const racers = 12
	abreast(racers, func(int) {
		_, err := st.Change(t.Context(), whoIs(m, r), start, func(x reports.Report) (reports.Change, error) {
			x.Decision.Note += "x"
			return reports.Change{Report: x, Acts: []reports.Record{{Act: reports.ActUpheld}}}, nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	same(t, "note", racers, len(report(t, st, r).Decision.Note))
	same(t, "log", 2+racers, len(logOf(t, st, tenant)))
}

// changeFields: each field that may change is kept, and no other.
func changeFields(t *testing.T, st Store) {
	r, _ := opened(t, st, start)
	m := moderator(t, st)
	at := start.Add(time.Hour)
	want := r
	want.State, want.Comment, want.SealedKey = reports.StateEscalated, "less", "another"
	want.KeepUntil = at.Add(40 * day)
	want.Claim = reports.Claim{By: newID(), Until: at.Add(time.Hour)}
	want.Decision = reports.Decision{By: newID(), At: at, Policy: "rule 7", Note: "ünote"}
	want.Reopened = reports.Reopened{By: newID(), At: at.Add(time.Minute)}
	want.Hold = &reports.Hold{
		Class: reports.HoldLegal, Reason: "the law", By: newID(), Since: at, Until: at.Add(400 * day),
		FreeAskedBy: newID(), FreeAskedAt: at.Add(time.Second),
	}
	change := want
	change.Tenant, change.Reason, change.FiledAt, change.Blob, change.Evidence = "stranger", "fraud", at, newID(), reports.EvidenceGone
	got, err := st.Change(t.Context(), whoIs(m, r), at, func(reports.Report) (reports.Change, error) {
		return reports.Change{Report: change, Acts: []reports.Record{{Act: reports.ActEscalated}}}, nil
	})
	check(t, err)
	want.ExpiresAt = want.Hold.Until
	same(t, "answer", want, got)
	same(t, "report", want, report(t, st, r))
}

func claimReport(t *testing.T, st Store) {
	one, other := moderator(t, st), moderator(t, st)
	r := file(t, st, stored(t, st, viewOnce(), 1, start).tickets[0], start)
	wantErr(t, tell(claimFor(t, st, one, r, start)), reports.ErrNotOpen)
	copied(t, st, r, start)
	wantErr(t, tell(claimFor(t, st, moderatorOf(t, st, "stranger"), r, start)), reports.ErrUnknownReport)
	check(t, tell(claimFor(t, st, one, r, start)))
	check(t, tell(claimFor(t, st, one, r, start.Add(20*time.Minute)))) // for longer
	wantErr(t, tell(claimFor(t, st, other, r, start.Add(50*time.Minute-time.Microsecond))), reports.ErrClaimed)
	check(t, tell(claimFor(t, st, other, r, start.Add(50*time.Minute))))
	check(t, service(st, start.Add(time.Hour)).Release(t.Context(), other, r.ID))
	check(t, tell(claimFor(t, st, one, r, start.Add(time.Hour))))
	same(t, "acts", []reports.Act{
		reports.ActFiled, reports.ActCopied, reports.ActClaimed, reports.ActClaimed, reports.ActClaimed, reports.ActReleased, reports.ActClaimed,
	}, actsOf(t, st, r))
}

// decideReport: an outcome says when the evidence is due, earlier or later.
func decideReport(t *testing.T, st Store) {
	m := moderator(t, st)
	undecided := start.Add(evidenceTerms().Keep)
	for _, outcome := range []reports.State{reports.StateDismissed, reports.StateUpheld, reports.StateEscalated} {
		r, _ := opened(t, st, start)
		r = decided(t, st, m, r, outcome, start.Add(day))
		same(t, "expires at", r.DueAt(), r.ExpiresAt)
		same(t, "earlier", outcome == reports.StateDismissed, r.ExpiresAt.Before(undecided))
		same(t, "held", outcome == reports.StateEscalated, r.Hold != nil)
		due := dueOf(t, st, r.ID, r.ExpiresAt)
		same(t, "reason", "retention", due.Reason)
		erase(t, st, due, r.ExpiresAt)
	}
	// Resumed can be what was opened a moment before it is due.
	r, _ := opened(t, st, start)
	r = decided(t, st, m, r, reports.StateUpheld, start)
	open := r.ExpiresAt.Add(-time.Minute)
	won, err := st.Spend(t.Context(), pulled(pull(t, st, m, r, open), open))
	check(t, err)
	same(t, "opened", true, won)
	dueOf(t, st, r.ID, open.Add(evidenceTerms().ResumeWindow))
}

func reopenReport(t *testing.T, st Store) {
	r, _ := opened(t, st, start)
	one, other := moderator(t, st), moderator(t, st)
	r = decided(t, st, one, r, reports.StateDismissed, start)
	at := start.Add(6 * day)
	r, err := service(st, at).Reopen(t.Context(), other, r.ID)
	check(t, err)
	same(t, "state", reports.StateOpen, r.State)
	same(t, "expires at", at.Add(evidenceTerms().Keep), r.ExpiresAt)
	dueOf(t, st, r.ID, at.Add(evidenceTerms().Keep))
}

// withdrawReport: the evidence is due at once, no moderator opens it any more, and what
// was shared is gone.
func withdrawReport(t *testing.T, st Store) {
	r, key := opened(t, st, start)
	m := moderator(t, st)
	check(t, tell(claimFor(t, st, m, r, start)))
	ready, spent := pull(t, st, m, r, start), pull(t, st, m, r, start)
	won, err := st.Spend(t.Context(), pulled(spent, start))
	check(t, err)
	same(t, "opened", true, won)
	at := start.Add(time.Minute)
	withdrawn(t, st, r, at)
	want := report(t, st, r)
	if want.State != reports.StateWithdrawn || want.Evidence != reports.EvidenceGone || want.Comment+want.SealedKey != "" || !want.WithdrawnAt.Equal(at) {
		t.Fatalf("withdrawn: %+v", want)
	}
	won, err = st.Spend(t.Context(), pulled(ready, at))
	check(t, err)
	same(t, "opened", false, won)
	for _, ticket := range []tickets.Ticket{ready, spent} {
		got, _, err := st.FindTicket(t.Context(), ticket.ID, ticket.Hash)
		check(t, err)
		same(t, "ticket", tickets.TicketRevoked, got.State)
	}
	withdrawn(t, st, r, at.Add(time.Hour)) // again it changes nothing
	same(t, "report", want, report(t, st, r))
	if !owned(t, st, key) {
		t.Fatal("the key is nobody's")
	}
	due := dueSince(t, st, r.ID, at)
	same(t, "reason", "withdrawn", due.Reason)
	erase(t, st, due, at)
	same(t, "state", reports.StateWithdrawn, report(t, st, r).State)
	same(t, "last act", reports.ActErased, last(actsOf(t, st, r)))
}

func last[T any](all []T) T { return all[len(all)-1] }

func withdrawEarly(t *testing.T, st Store) {
	gone := erased(t, st, 1, start)
	r := fileAs(t, st, filingOf(gone.tickets[0], start), reports.StateAwaitingMedia)
	withdrawn(t, st, r, start.Add(time.Hour))
	erase(t, st, dueSince(t, st, r.ID, start.Add(time.Hour)), start.Add(time.Hour))
	same(t, "state", reports.StateWithdrawn, report(t, st, r).State)
}

func holdEvidence(t *testing.T, st Store) {
	r := alone(t, st)
	m := moderator(t, st)
	at, until := start.Add(time.Hour), start.Add(500*day)
	r = held(t, st, m, r, until, at)
	want := &reports.Hold{Class: reports.HoldReview, Reason: "why", By: m.Key, Since: at, Until: until}
	same(t, "hold", want, report(t, st, r).Hold)
	same(t, "expires at", until, r.ExpiresAt)
	dueFrom(t, st, r.ID, until)
}

// holdAgainstAll: no deadline, no decision, no policy (reports, 6).
func holdAgainstAll(t *testing.T, st Store) {
	r := alone(t, st)
	m := moderator(t, st)
	until := start.Add(100 * day)
	r = held(t, st, m, r, until, start)
	notDue(t, st, r.KeepUntil)
	r = decided(t, st, m, r, reports.StateDismissed, start.Add(time.Hour))
	same(t, "expires at", until, r.ExpiresAt)
	apply(t, st, expiry.AllTenants, policy("evidence", time.Hour), start.Add(2*time.Hour))
	same(t, "report", r, report(t, st, r))
	dueFrom(t, st, r.ID, until)
}

// holdEnds: what should have gone meanwhile goes then.
func holdEnds(t *testing.T, st Store) {
	r := alone(t, st)
	m := moderator(t, st)
	until := start.Add(10 * day)
	r = held(t, st, m, r, until, start)
	same(t, "expires at", start.Add(30*day), r.ExpiresAt) // undecided, it stays for longer than its hold
	r = decided(t, st, m, r, reports.StateDismissed, start.Add(2*day))
	same(t, "expires at", until, r.ExpiresAt)
	wantErr(t, tell(freeOnce(t, st, r, until)), reports.ErrNotOnHold)
	dueFrom(t, st, r.ID, until)
}

func freeOnce(t *testing.T, st Store, r reports.Report, now time.Time) (reports.Report, error) {
	r, _, err := service(st, now).Free(t.Context(), moderatorOf(t, st, r.Tenant), r.ID)
	return r, err
}

// freeEvidence: it is due from then on, and not late.
func freeEvidence(t *testing.T, st Store) {
	r := alone(t, st)
	m := moderator(t, st)
	r = held(t, st, m, r, start.Add(500*day), start)
	r = decided(t, st, m, r, reports.StateDismissed, start)
	at := start.Add(100 * day)
	notDue(t, st, at)
	r = freed(t, st, r, at)
	same(t, "expires at", r.KeepUntil, r.ExpiresAt)
	dueSince(t, st, r.ID, at)
}

func freeEarly(t *testing.T, st Store) {
	r := alone(t, st)
	m := moderator(t, st)
	r = held(t, st, m, r, start.Add(500*day), start)
	notDue(t, st, start.Add(3*day))
	r = freed(t, st, r, start.Add(3*day))
	dueFrom(t, st, r.ID, start.Add(30*day))
}

func withdrawHeld(t *testing.T, st Store) {
	r := alone(t, st)
	r = held(t, st, moderator(t, st), r, start.Add(500*day), start)
	wantErr(t, service(st, start).Withdraw(t.Context(), r.ID, handleOf(r.ID)), reports.ErrOnHold)
	same(t, "report", r, report(t, st, r))
	notDue(t, st, start.Add(400*day))
	freed(t, st, r, start.Add(10*day))
	withdrawn(t, st, r, start.Add(11*day))
	dueSince(t, st, r.ID, start.Add(11*day))
}

// shortenEvidence: no change of a policy reaches evidence. What there is, its outcome and
// its hold say; what is being copied, the terms by which it was reported.
func shortenEvidence(t *testing.T, st Store) {
	m := moderator(t, st)
	undecided, _ := opened(t, st, start)
	copying := file(t, st, stored(t, st, viewOnce(), 1, start).tickets[0], start)
	upheld, _ := opened(t, st, start)
	upheld = decided(t, st, m, upheld, reports.StateUpheld, start)
	onHold, _ := opened(t, st, start)
	onHold = held(t, st, m, onHold, start.Add(20*day), start)
	for _, scope := range []string{expiry.AllTenants, tenant} {
		p := policy("evidence", 5*day)
		plan := planOf(t, st, scope, p, start)
		same(t, "planned", expiry.Amount{}, plan.Total())
		done := apply(t, st, scope, p, start)
		same(t, "followed", expiry.Amount{}, done.Amount)
	}
	for _, r := range []reports.Report{undecided, upheld, onHold, copying} {
		same(t, "report", r, report(t, st, r))
	}
	at := start.Add(day)
	copied(t, st, copying, at)
	same(t, "evidence that comes later", at.Add(evidenceTerms().Keep), report(t, st, copying).ExpiresAt)
	for _, d := range claimAll(t, st, start.Add(30*day-time.Microsecond)) {
		if d.Evidence {
			t.Errorf("claimed: %v", d)
		}
	}
}
