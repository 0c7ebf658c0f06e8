package storetest

import (
	"testing"
	"time"

	"mayfly/expiry"
	"mayfly/reports"
	"mayfly/tickets"
)

// testPins: what is reported stays until it is copied, whatever else is due, and not a
// moment longer (P4).
func testPins(t *testing.T, open func(*testing.T) Database) {
	run := func(name string, test func(*testing.T, Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
	run("due, pinned to the end", pinEnds)
	run("due, until the last copy", pinnedByTwo)
	run("not due before its own deadline", pinnedEarly)
	run("the longer pin goes first", pinShortened)
	run("opened meanwhile", pinnedAndOpened)
	run("unsent", pinnedAndUnsent)
	run("unsent, the longer pin goes first", unsentPinShortened)
	run("unsent, pinned to the end", unsentPinEnds)
	run("withdrawn", pinWithdrawn)
	run("media are awaited", pinGivenUp)
	run("many in front", pinnedInFront)
	run("by a clock behind the purge's", pinTooLate)
}

func pinEnds(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	now := s.ExpiresAt.Add(time.Hour) // due, and no purge came
	r := file(t, st, s.tickets[0], now)
	notDue(t, st, now)
	if !owned(t, st, s.Key) {
		t.Fatal("the key is nobody's")
	}
	due := dueFrom(t, st, s.ID, now.Add(pinTime))
	same(t, "reason", string(tickets.ReasonUnopened), due.Reason)
	same(t, "state", reports.StateCopying, report(t, st, r).State)
}

func pinnedByTwo(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 2, start)
	now := s.ExpiresAt
	first, second := file(t, st, s.tickets[0], now), file(t, st, s.tickets[1], now)
	notDue(t, st, now)
	copied(t, st, first, now.Add(time.Hour))
	notDue(t, st, now.Add(time.Hour))
	at := now.Add(2 * time.Hour)
	notDue(t, st, at)
	copied(t, st, second, at)
	dueFrom(t, st, s.ID, at)
}

// pinnedEarly: a pin that ends in time changes nothing.
func pinnedEarly(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	r := file(t, st, s.tickets[0], s.ExpiresAt.Add(-3*day))
	notDue(t, st, s.ExpiresAt.Add(-2*day))
	copied(t, st, r, s.ExpiresAt.Add(-day))
	b, _ := look(t, st, s.ID)
	same(t, "blob", s.Blob, b)
	dueFrom(t, st, s.ID, s.ExpiresAt)
}

// pinShortened: the purge has put off its look to the end of the longer pin, and the
// shorter one is all that remains.
func pinShortened(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 2, start)
	now := s.ExpiresAt
	short := file(t, st, s.tickets[0], now)
	long := file(t, st, s.tickets[1], now.Add(3*day))
	notDue(t, st, now.Add(3*day))
	copied(t, st, long, now.Add(4*day))
	dueFrom(t, st, s.ID, now.Add(pinTime))
	same(t, "state", reports.StateCopying, report(t, st, short).State)
}

// pinnedAndOpened: an open sets when the bytes are due, also while they are pinned.
func pinnedAndOpened(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	spend(t, st, s.tickets[0], start, true)
	r := file(t, st, s.tickets[0], start.Add(2*day))
	notDue(t, st, start.Add(3*day)) // and looked at: not before the end of the pin again
	more := newTickets(s.ID, 1, start)
	_, err := st.AddTickets(t.Context(), tenant, s.ID, more, 10, start.Add(4*day))
	check(t, err)
	spend(t, st, more[0], start.Add(4*day), true)
	copied(t, st, r, start.Add(5*day))
	due := dueFrom(t, st, s.ID, start.Add(7*day))
	same(t, "reason", string(tickets.ReasonOpened), due.Reason)
}

// pinnedAndUnsent: the tickets are dead, and the bytes there, until they are copied.
func pinnedAndUnsent(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 3, start)
	first := file(t, st, s.tickets[0], start)
	at := start.Add(time.Hour)
	check(t, st.Unsend(t.Context(), tenant, s.ID, at))
	spend(t, st, s.tickets[1], at, false)
	notDue(t, st, at)
	if !owned(t, st, s.Key) {
		t.Fatal("the key is nobody's")
	}
	second := file(t, st, s.tickets[1], at) // another's report keeps it as well
	copies, err := st.ClaimCopies(t.Context(), at, time.Minute, 10)
	check(t, err)
	same(t, "copies", 2, len(copies))
	for _, c := range copies {
		same(t, "source", s.Key, c.Source)
	}
	copied(t, st, first, start.Add(2*time.Hour))
	notDue(t, st, start.Add(2*time.Hour))
	done := start.Add(3 * time.Hour)
	notDue(t, st, done)
	copied(t, st, second, done)
	due := dueSince(t, st, s.ID, done)
	same(t, "reason", string(tickets.ReasonUnsent), due.Reason)
	// The purge has it: a third report comes too late.
	fileAs(t, st, filingOf(s.tickets[2], done), reports.StateAwaitingMedia)
}

func unsentPinShortened(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 2, start)
	file(t, st, s.tickets[0], start)
	long := file(t, st, s.tickets[1], start.Add(time.Hour))
	check(t, st.Unsend(t.Context(), tenant, s.ID, start.Add(2*time.Hour)))
	notDue(t, st, start.Add(2*time.Hour))
	copied(t, st, long, start.Add(3*time.Hour))
	dueFrom(t, st, s.ID, start.Add(pinTime))
}

func unsentPinEnds(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	r := file(t, st, s.tickets[0], start)
	check(t, st.Unsend(t.Context(), tenant, s.ID, start.Add(time.Hour)))
	end := start.Add(pinTime)
	dueFrom(t, st, s.ID, end)
	// The purge is at it: nothing can be copied, and its lease stays.
	copies, err := st.ClaimCopies(t.Context(), end, time.Minute, 10)
	check(t, err)
	if len(copies) != 1 || copies[0].Source != "" {
		t.Fatalf("copies: %v", copies)
	}
	check(t, st.AwaitMedia(t.Context(), r.ID, end))
	same(t, "claimed again within the lease", 0, len(claimAll(t, st, end)))
}

func pinWithdrawn(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 2, start)
	now := s.ExpiresAt
	first, second := file(t, st, s.tickets[0], now), file(t, st, s.tickets[1], now)
	notDue(t, st, now)
	withdrawn(t, st, first, now.Add(time.Hour))
	due := claimAll(t, st, now.Add(time.Hour)) // the evidence that there is not
	if len(due) != 1 || due[0].ID != first.ID {
		t.Fatalf("claimed: %v", due)
	}
	check(t, st.Erase(t.Context(), due, now.Add(time.Hour)))
	at := now.Add(2 * time.Hour)
	withdrawn(t, st, second, at)
	due = claimAll(t, st, at)
	if len(due) != 2 || due[0].ID != s.ID && due[1].ID != s.ID {
		t.Fatalf("claimed: %v", due)
	}
}

func pinGivenUp(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	r := file(t, st, s.tickets[0], s.ExpiresAt)
	notDue(t, st, s.ExpiresAt)
	at := s.ExpiresAt.Add(day)
	check(t, st.AwaitMedia(t.Context(), r.ID, at))
	dueFrom(t, st, s.ID, at)
	got := report(t, st, r)
	same(t, "state", reports.StateAwaitingMedia, got.State)
	same(t, "media until", at.Add(s.Terms.TombstoneTTL), got.MediaUntil)
	// Again it changes nothing.
	check(t, st.AwaitMedia(t.Context(), r.ID, at.Add(time.Hour)))
	same(t, "report", got, report(t, st, r))
	same(t, "acts", []reports.Act{reports.ActFiled, reports.ActAwaiting}, actsOf(t, st, r))
}

// pinnedInFront: a claim passes over more pinned blobs than it looks at in a transaction,
// finds those behind them, and does not look at them again and again.
func pinnedInFront(t *testing.T, st Store) {
	const pinned, behind = 300, 5
	samples := make([]sample, pinned+behind)
	for i := range samples {
		samples[i] = newSample(viewOnce(), 1, start)
	}
	createAll(t, st, samples[:pinned], start)
	createAll(t, st, samples[pinned:], start.Add(time.Second))
	now := start.Add(15 * day)
	abreast(pinned, func(i int) {
		if _, _, err := st.File(t.Context(), filingOf(samples[i].tickets[0], now)); err != nil {
			t.Error(err)
		}
	})
	same(t, "backlog", expiry.Backlog{Due: behind, OldestDueAt: samples[pinned].ExpiresAt}, dueAt(t, st, now))
	share, err := st.Share(t.Context(), now, 0, 1000)
	check(t, err)
	same(t, "share", expiry.Share{Due: behind, All: pinned + behind + pinned}, share) // and the evidence
	due, err := st.Claim(t.Context(), time.Time{}, now, time.Hour, 20)
	check(t, err)
	same(t, "claimed", behind, len(due))
	for _, d := range due {
		same(t, "due at", samples[pinned].ExpiresAt, d.At)
	}
	notDue := claimAll(t, st, now)
	same(t, "claimed again", 0, len(notDue))
	same(t, "due when the pins end", pinned+behind, len(claimAll(t, st, now.Add(pinTime))))
}

// pinTooLate: what a purge has taken nobody pins any more, whatever the clocks say.
func pinTooLate(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 2, start)
	file(t, st, s.tickets[0], start.Add(10*day))
	end := start.Add(10*day + pinTime)
	same(t, "claimed", 1, len(claimAll(t, st, end)))
	fileAs(t, st, filingOf(s.tickets[1], end.Add(-time.Second)), reports.StateAwaitingMedia)
}
