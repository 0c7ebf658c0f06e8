package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/reports"
	"mayfly/tickets"
)

// testReports: what File records, and what reads of it say.
func testReports(t *testing.T, open func(*testing.T) Database) {
	st := open(t)
	shared := func(name string, test func(*testing.T, Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, st)
		})
	}
	own := func(name string, test func(*testing.T, Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
	shared("file", fileOne)
	shared("of a ticket in whatever state", fileAnyState)
	shared("refused", fileRefused)
	shared("again", fileAgain)
	shared("of two recipients", fileTwo)
	shared("unknown", unknownReport)
	own("of what is erased", fileErased)
	own("of what never had bytes", fileNeverUploaded)
	own("list", listReports)
	own("backlog", reportBacklog)
}

func fileOne(t *testing.T, st Store) {
	s := pending(t, st, viewOnce(), 1, start)
	key := newKey(s.ID)
	check(t, st.BeginAttempt(t.Context(), s.ID, key, s.UploadUntil, start))
	c := commitOf(s.Blob, key, start.Add(time.Minute))
	c.Stamp = "stamped"
	check(t, st.Commit(t.Context(), c))
	b, _ := look(t, st, s.ID)

	tenantOf, reported, err := st.Reported(t.Context(), s.tickets[0].ID, s.tickets[0].Hash)
	check(t, err)
	f := filingOf(s.tickets[0], start.Add(time.Hour))
	want := filed(b, f)
	same(t, "tenant", tenant, tenantOf)
	same(t, "reported", want.Reported, reported)

	got, replayed, err := st.File(t.Context(), f)
	check(t, err)
	if replayed {
		t.Fatal("the first is a replay")
	}
	same(t, "filed", want, got)
	same(t, "report", want, report(t, st, got))
	got, err = st.HandledReport(t.Context(), f.Report, f.Handle)
	check(t, err)
	same(t, "the handle's report", want, got)
	after, _ := look(t, st, s.ID)
	same(t, "the reported blob", b, after)
}

func fileAnyState(t *testing.T, st Store) {
	at := start.Add(time.Hour)
	ready := stored(t, st, viewOnce(), 1, start)
	file(t, st, ready.tickets[0], at)
	revoked := stored(t, st, viewOnce(), 1, start)
	check(t, st.Revoke(t.Context(), tenant, revoked.ID, revoked.tickets[0].ID, start))
	file(t, st, revoked.tickets[0], at)
	opened := stored(t, st, viewOnce(), 2, start)
	claim := spend(t, st, opened.tickets[0], start, true)
	file(t, st, opened.tickets[0], at)
	_, err := st.Acknowledge(t.Context(), opened.tickets[0].ID, opened.tickets[0].Hash, claim, start)
	check(t, err)
	delivered := stored(t, st, viewOnce(), 1, start)
	claim = spend(t, st, delivered.tickets[0], start, true)
	_, err = st.Acknowledge(t.Context(), delivered.tickets[0].ID, delivered.tickets[0].Hash, claim, start)
	check(t, err)
	file(t, st, delivered.tickets[0], at)
	expired := stored(t, st, viewOnce(), 1, start)
	file(t, st, expired.tickets[0], expired.ExpiresAt.Add(time.Hour))
}

func fileRefused(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	refused := func(ticket tickets.Ticket, want error) {
		t.Helper()
		f := filingOf(ticket, start)
		_, _, err := st.File(t.Context(), f)
		wantErr(t, err, want)
		_, _, err = st.Reported(t.Context(), ticket.ID, ticket.Hash)
		wantErr(t, err, want)
		_, err = st.HandledReport(t.Context(), f.Report, f.Handle)
		wantErr(t, err, reports.ErrUnknownReport)
	}
	foreign := s.tickets[0]
	foreign.Hash = newHash()
	refused(foreign, reports.ErrUnknownTicket)
	refused(newTickets(s.ID, 1, start)[0], reports.ErrUnknownTicket)
	refused(pending(t, st, viewOnce(), 1, start).tickets[0], reports.ErrNotUploaded)
	r, _ := opened(t, st, start)
	m := moderator(t, st)
	check(t, tell(claimFor(t, st, m, r, start)))
	refused(pull(t, st, m, r, start), reports.ErrNotReportable)
}

func fileAgain(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 2, start)
	f := filingOf(s.tickets[0], start)
	f.Idempotency = newHash()
	want := fileAs(t, st, f, reports.StateCopying)

	again := filingOf(s.tickets[0], start.Add(time.Hour))
	again.Idempotency, again.Body = f.Idempotency, f.Body
	got, replayed, err := st.File(t.Context(), again)
	check(t, err)
	same(t, "replayed", true, replayed)
	same(t, "the same report", want, got)
	_, err = st.HandledReport(t.Context(), again.Report, again.Handle)
	wantErr(t, err, reports.ErrUnknownReport)

	// As it is now, also when its evidence is there.
	copied(t, st, want, start.Add(2*time.Hour))
	got, replayed, err = st.File(t.Context(), again)
	check(t, err)
	same(t, "replayed", true, replayed)
	same(t, "the report as it is now", report(t, st, want), got)
	filed, err := st.Filed(t.Context(), again)
	check(t, err)
	same(t, "the report that was filed", got, filed)

	before := actsOf(t, st, want)
	other := again
	other.Body = newHash()
	_, _, err = st.File(t.Context(), other)
	wantErr(t, err, reports.ErrIdempotency)
	_, err = st.Filed(t.Context(), other)
	wantErr(t, err, reports.ErrUnknownReport)
	foreign := again
	foreign.TicketHash = newHash()
	_, err = st.Filed(t.Context(), foreign)
	wantErr(t, err, reports.ErrUnknownReport)
	for _, idempotency := range []reports.Hash{{}, newHash()} {
		other.Idempotency, other.Body = idempotency, f.Body
		_, _, err = st.File(t.Context(), other)
		wantErr(t, err, reports.ErrAlreadyReported)
	}
	same(t, "acts", before, actsOf(t, st, want))
	same(t, "acts of what was refused", 0, len(actsOf(t, st, reports.Report{ID: other.Report, Tenant: tenant})))
	// Without a key of its own, too, a second request is another one.
	f = filingOf(s.tickets[1], start)
	fileAs(t, st, f, reports.StateCopying)
	_, _, err = st.File(t.Context(), f)
	wantErr(t, err, reports.ErrAlreadyReported)
}

// fileTwo: each recipient's report has evidence of its own.
func fileTwo(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 2, start)
	one, two := file(t, st, s.tickets[0], start), file(t, st, s.tickets[1], start)
	copied(t, st, one, start.Add(time.Hour))
	same(t, "the first", reports.StateOpen, report(t, st, one).State)
	same(t, "the second", reports.StateCopying, report(t, st, two).State)
	copied(t, st, two, start.Add(2*time.Hour))
	first, second := report(t, st, one), report(t, st, two)
	if first.Evidence != reports.EvidenceStored || second.Evidence != reports.EvidenceStored || first.ExpiresAt.Equal(second.ExpiresAt) {
		t.Fatalf("%s, %s", first.Evidence, second.Evidence)
	}
}

func unknownReport(t *testing.T, st Store) {
	r, _ := opened(t, st, start)
	_, err := st.Report(t.Context(), "stranger", r.ID)
	wantErr(t, err, reports.ErrUnknownReport)
	_, err = st.Report(t.Context(), tenant, newID())
	wantErr(t, err, reports.ErrUnknownReport)
	_, err = st.HandledReport(t.Context(), r.ID, newHash())
	wantErr(t, err, reports.ErrUnknownReport)
}

// fileErased: what a purge has taken, the reporter may bring until the tombstone is
// forgotten.
func fileErased(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 2, start)
	now := s.ExpiresAt
	due := claimAll(t, st, now)
	r := fileAs(t, st, filingOf(s.tickets[0], now), reports.StateAwaitingMedia)
	same(t, "media until, while it is purged", now.Add(s.Terms.TombstoneTTL), r.MediaUntil)

	erasedAt := now.Add(time.Minute)
	check(t, st.Erase(t.Context(), due, erasedAt))
	b, _ := look(t, st, s.ID)
	f := filingOf(s.tickets[1], now.Add(time.Hour))
	want := filed(s.Blob, f)
	want.State, want.MediaUntil = reports.StateAwaitingMedia, b.ForgetAt
	got, _, err := st.File(t.Context(), f)
	check(t, err)
	same(t, "report", want, got)
	same(t, "acts", []reports.Act{reports.ActFiled, reports.ActAwaiting}, actsOf(t, st, got))

	key := blobstore.NewEvidenceKey(got.ID)
	at := b.ForgetAt.Add(-time.Microsecond)
	check(t, st.BeginEvidence(t.Context(), got.ID, key, at))
	e := storedEvidence(got, key, at)
	e.Act = reports.ActMediaReceived
	check(t, st.StoreEvidence(t.Context(), e))
	want.State, want.Evidence, want.MediaUntil = reports.StateOpen, reports.EvidenceStored, time.Time{}
	want.ExpiresAt, want.KeepUntil = at.Add(f.Terms.Keep), at.Add(f.Terms.Keep)
	same(t, "with its media", want, report(t, st, got))
	same(t, "acts", []reports.Act{reports.ActFiled, reports.ActAwaiting, reports.ActMediaReceived}, actsOf(t, st, got))
}

// fileNeverUploaded: a tombstone without a digest says nothing of any bytes.
func fileNeverUploaded(t *testing.T, st Store) {
	s := pending(t, st, viewOnce(), 1, start)
	due := claimAll(t, st, s.UploadUntil)
	for range 2 {
		_, _, err := st.File(t.Context(), filingOf(s.tickets[0], s.UploadUntil))
		wantErr(t, err, reports.ErrNotUploaded)
		check(t, st.Erase(t.Context(), due, s.UploadUntil))
	}
}

func listReports(t *testing.T, st Store) {
	m := moderator(t, st)
	now := start.Add(time.Hour)
	all := make(map[string]reports.Report)
	var ids []uuid.UUID
	for _, name := range []string{"copying", "open", "claimed", "claim over", "dismissed", "held", "hold over", "withdrawn"} {
		r := file(t, st, stored(t, st, viewOnce(), 1, start).tickets[0], start)
		if name != "copying" {
			copied(t, st, r, start)
		}
		all[name], ids = r, append(ids, r.ID)
	}
	f := filingOf(stored(t, st, viewOnce(), 1, start).tickets[0], start)
	f.Reason = "fraud"
	fraud := fileAs(t, st, f, reports.StateCopying)
	all["fraud"], ids = fraud, append(ids, fraud.ID)
	stranger := newSample(viewOnce(), 1, start)
	stranger.Tenant = "stranger"
	createAll(t, st, []sample{stranger}, start)
	all["stranger's"] = file(t, st, stranger.tickets[0], start)

	check(t, tell(claimFor(t, st, m, all["claimed"], now)))
	check(t, tell(claimFor(t, st, m, all["claim over"], now.Add(-time.Hour))))
	check(t, tell(claimFor(t, st, m, all["dismissed"], now)))
	check(t, tell(service(st, now).Decide(t.Context(), m, all["dismissed"].ID, reports.Verdict{Outcome: reports.StateDismissed})))
	hold := reports.NewHold{Class: reports.HoldReview, Reason: "why", Until: now.Add(day)}
	check(t, tell(service(st, now).PutHold(t.Context(), m, all["held"].ID, hold)))
	hold.Until = now
	check(t, tell(service(st, now.Add(-time.Minute)).PutHold(t.Context(), m, all["hold over"].ID, hold)))
	check(t, service(st, now).Withdraw(t.Context(), all["withdrawn"].ID, handleOf(all["withdrawn"].ID)))

	yes, no := true, false
	for _, tc := range []struct {
		name  string
		query reports.Query
		want  []string
	}{
		{"all", reports.Query{}, []string{"copying", "open", "claimed", "claim over", "dismissed", "held", "hold over", "withdrawn", "fraud"}},
		{"open", reports.Query{State: reports.StateOpen}, []string{"open", "claim over", "held", "hold over"}},
		{"claimed", reports.Query{State: reports.StateClaimed}, []string{"claimed"}},
		{"copying", reports.Query{State: reports.StateCopying}, []string{"copying", "fraud"}},
		{"dismissed", reports.Query{State: reports.StateDismissed}, []string{"dismissed"}},
		{"withdrawn", reports.Query{State: reports.StateWithdrawn}, []string{"withdrawn"}},
		{"upheld", reports.Query{State: reports.StateUpheld}, nil},
		{"reason", reports.Query{Reason: "fraud"}, []string{"fraud"}},
		{"reason and state", reports.Query{Reason: "threat", State: reports.StateCopying}, []string{"copying"}},
		{"reason and open", reports.Query{Reason: "threat", State: reports.StateOpen}, []string{"open", "claim over", "held", "hold over"}},
		{"held", reports.Query{Held: &yes}, []string{"held"}},
		{"held and open", reports.Query{Held: &yes, State: reports.StateOpen, Reason: "threat"}, []string{"held"}},
		{"not held and open", reports.Query{Held: &no, State: reports.StateOpen}, []string{"open", "claim over", "hold over"}},
		{"after", reports.Query{After: all["held"].ID}, []string{"hold over", "withdrawn", "fraud"}},
	} {
		var want []reports.Report
		for _, name := range tc.want {
			want = append(want, report(t, st, all[name]))
		}
		for _, limit := range []int{2, 100} {
			q := tc.query
			q.Now, q.Limit = now, limit
			var got []reports.Report
			for {
				page, err := st.Reports(t.Context(), tenant, q)
				check(t, err)
				got = append(got, page...)
				if len(page) < limit {
					break
				}
				q.After = page[len(page)-1].ID
			}
			same(t, tc.name, want, got)
		}
	}
	if !slices.IsSortedFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }) {
		t.Fatal("later reports have lower ids")
	}
	page, err := st.Reports(t.Context(), "nobody", reports.Query{Limit: 10, Now: now})
	check(t, err)
	same(t, "nobody's", 0, len(page))
}

func reportBacklog(t *testing.T, st Store) {
	want := func(now time.Time, want reports.Backlog) {
		t.Helper()
		got, err := st.ReportBacklog(t.Context(), now)
		check(t, err)
		same(t, "backlog", want, got)
	}
	want(start, reports.Backlog{})
	copying := file(t, st, stored(t, st, viewOnce(), 1, start).tickets[0], start)
	oldest, _ := opened(t, st, start.Add(time.Hour))
	opened(t, st, start.Add(2*time.Hour))
	gone := erased(t, st, 1, start)
	fileAs(t, st, filingOf(gone.tickets[0], start), reports.StateAwaitingMedia)
	want(start, reports.Backlog{Copying: 1, Awaiting: 1, Open: 2, OldestOpen: oldest.FiledAt})
	m := moderator(t, st)
	now := start.Add(3 * time.Hour)
	check(t, tell(claimFor(t, st, m, oldest, now)))
	hold := reports.NewHold{Class: reports.HoldReview, Reason: "why", Until: now.Add(day)}
	check(t, tell(service(st, now).PutHold(t.Context(), m, oldest.ID, hold)))
	copied(t, st, copying, now)
	want(now, reports.Backlog{Awaiting: 1, Open: 3, OldestOpen: start, Held: 1})
	want(now.Add(day), reports.Backlog{Awaiting: 1, Open: 3, OldestOpen: start})
}
