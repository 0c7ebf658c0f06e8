package storetest

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/checksum"
	"mayfly/expiry"
	"mayfly/tickets"
)

func testQueue(t *testing.T, open func(*testing.T) Database) {
	run := func(name string, test func(*testing.T, Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
	run("nothing is claimed early", claimNotEarly)
	run("reasons", claimReasons)
	run("oldest first, up to the limit", claimOrder)
	run("from a place in the queue", claimFrom)
	run("more than a transaction takes", claimMany)
	run("lease", claimLease)
	run("defer", claimDefer)
	run("erase makes a tombstone", eraseTombstone)
	run("erase only what is purging", eraseLive)
	run("forget", forget)
	run("preview says what claim finds", previewClaim)
	run("backlog counts what waits", backlog)
	run("empty", queueEmpty)
}

func claimNotEarly(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	p := pending(t, st, viewOnce(), 1, start)
	if due := claimAll(t, st, p.UploadUntil.Add(-time.Microsecond)); len(due) != 0 {
		t.Fatalf("claimed early: %v", due)
	}
	want := expiry.Due{ID: p.ID, Size: p.Size, At: p.UploadUntil, Reason: string(tickets.ReasonNotUploaded), Policy: p.Terms.Policy}
	same(t, "due", []expiry.Due{want}, claimAll(t, st, p.UploadUntil))
	if due := claimAll(t, st, s.ExpiresAt.Add(-time.Microsecond)); len(due) != 1 || due[0].ID != p.ID {
		t.Fatalf("claimed early: %v", due) // the pending one's lease is over
	}
	want = expiry.Due{
		ID: s.ID, Keys: []blobstore.Key{s.Key}, Size: s.Size, At: s.ExpiresAt, Reason: string(tickets.ReasonUnopened),
		SHA256: s.SHA256, Policy: s.Terms.Policy, StoredAt: s.StoredAt,
	}
	same(t, "due", []expiry.Due{want}, claimAll(t, st, s.ExpiresAt))
}

func claimReasons(t *testing.T, st Store) {
	want := make(map[uuid.UUID]tickets.Reason)
	unopened := stored(t, st, viewOnce(), 2, start)
	want[unopened.ID] = tickets.ReasonUnopened
	half := stored(t, st, viewOnce(), 2, start)
	spend(t, st, half.tickets[0], start, true)
	want[half.ID] = tickets.ReasonUnopened // the deadline came while a ticket was ready
	opened := stored(t, st, viewOnce(), 2, start)
	spend(t, st, opened.tickets[0], start, true)
	spend(t, st, opened.tickets[1], start, true)
	want[opened.ID] = tickets.ReasonOpened
	rest := stored(t, st, viewOnce(), 2, start)
	spend(t, st, rest.tickets[0], start, true)
	check(t, st.Revoke(t.Context(), tenant, rest.ID, rest.tickets[1].ID, start))
	want[rest.ID] = tickets.ReasonOpened
	revoked := stored(t, st, viewOnce(), 1, start)
	check(t, st.Revoke(t.Context(), tenant, revoked.ID, revoked.tickets[0].ID, start))
	want[revoked.ID] = tickets.ReasonUnopened
	unlimited := stored(t, st, disappearing(), 1, start)
	spend(t, st, unlimited.tickets[0], start, true)
	want[unlimited.ID] = tickets.ReasonOpened
	unsent := stored(t, st, viewOnce(), 1, start)
	spend(t, st, unsent.tickets[0], start, true)
	check(t, st.Unsend(t.Context(), tenant, unsent.ID, start))
	want[unsent.ID] = tickets.ReasonUnsent
	unsentPending := pending(t, st, viewOnce(), 1, start)
	check(t, st.Unsend(t.Context(), tenant, unsentPending.ID, start))
	want[unsentPending.ID] = tickets.ReasonUnsent
	missing := pending(t, st, viewOnce(), 1, start)
	want[missing.ID] = tickets.ReasonNotUploaded

	now := start.Add(30 * day)
	due := claimAll(t, st, now)
	if len(due) != len(want) {
		t.Errorf("%d due, want %d", len(due), len(want))
	}
	for range 2 { // as claimed, and as claimed again when the lease is over
		for _, d := range due {
			if d.Reason != string(want[d.ID]) {
				t.Errorf("%s: reason %q, want %q", d.ID, d.Reason, want[d.ID])
			}
			if b, _ := look(t, st, d.ID); b.State != tickets.BlobPurging || b.Reason != want[d.ID] {
				t.Errorf("%s: %s, %q", d.ID, b.State, b.Reason)
			}
		}
		due = claimAll(t, st, now.Add(time.Hour))
	}
}

func claimOrder(t *testing.T, st Store) {
	var ids []uuid.UUID
	for _, offset := range []int{3, 1, 4, 0, 2} {
		s := stored(t, st, viewOnce(), 1, start.Add(time.Duration(offset)*time.Hour))
		ids = append(ids, s.ID)
	}
	want := []uuid.UUID{ids[3], ids[1], ids[4], ids[0], ids[2]}
	now := start.Add(30 * day)
	var got []uuid.UUID
	for _, n := range []int{2, 2, 1} {
		due, err := st.Claim(t.Context(), time.Time{}, now, time.Hour, 2)
		check(t, err)
		if len(due) != n {
			t.Fatalf("%d claimed, want %d", len(due), n)
		}
		for _, d := range due {
			got = append(got, d.ID)
		}
	}
	same(t, "order", want, got)
}

// claimFrom: a claim leaves alone what waits before from, but for what a pass had begun with.
func claimFrom(t *testing.T, st Store) {
	var all []sample
	for _, offset := range []int{0, 1, 2, 3} {
		all = append(all, stored(t, st, viewOnce(), 1, start.Add(time.Duration(offset)*time.Hour)))
	}
	now := start.Add(30 * day)
	looked := lookTimes(t, st, now)
	begun, err := st.Claim(t.Context(), time.Time{}, now.Add(-2*time.Minute), time.Minute, 1)
	check(t, err)
	same(t, "the first", []uuid.UUID{all[0].ID}, idsOf(begun))
	for _, c := range []struct {
		from time.Time
		want time.Time
	}{
		{time.Time{}, looked[1]},
		{looked[0], looked[1]},
		{looked[2], looked[2]},
		{looked[2].Add(time.Microsecond), looked[3]},
		{looked[3].Add(time.Microsecond), time.Time{}},
	} {
		at, ok, err := st.Earliest(t.Context(), c.from, now)
		check(t, err)
		if ok == c.want.IsZero() || ok && !at.Equal(c.want) {
			t.Errorf("from %v: %v, %v, want %v", c.from, at, ok, c.want)
		}
	}
	if at, ok, err := st.Earliest(t.Context(), time.Time{}, looked[1].Add(-time.Microsecond)); ok || err != nil {
		t.Errorf("before anything is to be looked at: %v, %v", at, err)
	}
	due, err := st.Claim(t.Context(), looked[2], now, time.Hour, 10)
	check(t, err)
	same(t, "from the third on, and what was begun", []uuid.UUID{all[0].ID, all[2].ID, all[3].ID}, idsOf(due))
	due, err = st.Claim(t.Context(), time.Time{}, now, time.Hour, 10)
	check(t, err)
	same(t, "the rest", []uuid.UUID{all[1].ID}, idsOf(due))
}

// lookTimes are by when the blobs that wait are to be looked at, the earliest first.
func lookTimes(t *testing.T, st Store, now time.Time) (times []time.Time) {
	var from time.Time
	for {
		at, ok, err := st.Earliest(t.Context(), from, now)
		check(t, err)
		if !ok {
			return times
		}
		times, from = append(times, at), at.Add(time.Microsecond)
	}
}

func idsOf(due []expiry.Due) (ids []uuid.UUID) {
	for _, d := range due {
		ids = append(ids, d.ID)
	}
	return ids
}

// claimMany: a caller that gets fewer than it asked for takes the queue for empty.
func claimMany(t *testing.T, st Store) {
	const n = 300
	for range n {
		s := pending(t, st, viewOnce(), 1, start)
		check(t, st.BeginAttempt(t.Context(), s.ID, newKey(s.ID), s.UploadUntil, start))
	}
	now := start.Add(2 * day)
	due, err := st.Claim(t.Context(), time.Time{}, now, time.Hour, n-10)
	check(t, err)
	more := claimAll(t, st, now)
	if len(due) != n-10 || len(more) != 10 {
		t.Fatalf("%d and %d claimed", len(due), len(more))
	}
	due = append(due, more...)
	for _, d := range due {
		if len(d.Keys) != 1 {
			t.Fatalf("keys %v", d.Keys)
		}
	}
	check(t, st.Erase(t.Context(), due, now))
	forgotten, err := st.Forget(t.Context(), now.Add(90*day), n-10)
	check(t, err)
	rest, err := st.Forget(t.Context(), now.Add(90*day), n)
	check(t, err)
	if forgotten != n-10 || rest != 10 {
		t.Fatalf("%d and %d forgotten", forgotten, rest)
	}
}

func claimLease(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	now := s.ExpiresAt.Add(time.Hour)
	due, err := st.Claim(t.Context(), time.Time{}, now, 10*time.Minute, 10)
	check(t, err)
	again, err := st.Claim(t.Context(), time.Time{}, now.Add(10*time.Minute-time.Microsecond), time.Minute, 10)
	check(t, err)
	if len(due) != 1 || len(again) != 0 {
		t.Fatalf("claimed %d, and within the lease %d", len(due), len(again))
	}
	after, err := st.Claim(t.Context(), time.Time{}, now.Add(10*time.Minute), time.Minute, 10)
	check(t, err)
	same(t, "due when the lease is over", due, after)
}

func claimDefer(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	now := s.ExpiresAt
	due := claimAll(t, st, now)
	retry := now.Add(2 * time.Hour)
	check(t, st.Defer(t.Context(), due[0], retry))
	if got := claimAll(t, st, retry.Add(-time.Microsecond)); len(got) != 0 {
		t.Fatalf("claimed before its delay was over: %v", got)
	}
	due[0].Failures = 1
	same(t, "due after the delay", due, claimAll(t, st, retry))
	check(t, st.Defer(t.Context(), due[0], retry.Add(day)))
	due[0].Failures = 2
	same(t, "due after the second delay", due, claimAll(t, st, retry.Add(day)))
}

func eraseTombstone(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 2, start)
	claim := spend(t, st, s.tickets[0], start, true)
	due := claimAll(t, st, s.ExpiresAt)
	now := s.ExpiresAt.Add(time.Minute)
	envelope := sign(t, &due[0], now)
	check(t, st.Erase(t.Context(), due, now))
	sign(t, &due[0], now.Add(time.Hour)) // by another, later
	check(t, st.Erase(t.Context(), due, now.Add(time.Hour)))
	check(t, st.Defer(t.Context(), due[0], now)) // too late, and harmless

	s.State, s.Key, s.Checksum, s.Reason = tickets.BlobErased, "", checksum.Sum{}, tickets.ReasonUnopened
	s.ErasedAt, s.ForgetAt, s.Receipt = now, now.Add(90*day), string(envelope)
	s.tickets[0].State, s.tickets[0].Claim, s.tickets[0].OpenedAt = tickets.TicketOpened, claim, start
	b, ts := look(t, st, s.ID)
	same(t, "tombstone", s.Blob, b)
	same(t, "tickets", s.tickets, ts)
	got, b := find(t, st, s.tickets[1])
	same(t, "ticket", s.tickets[1], got)
	same(t, "its tombstone", s.Blob, b)

	if due := claimAll(t, st, now.Add(day)); len(due) != 0 {
		t.Fatalf("a tombstone is due: %v", due)
	}
	_, err := st.FindGrant(t.Context(), s.ID, s.grant)
	wantErr(t, err, tickets.ErrUnknownGrant)
	check(t, st.Unsend(t.Context(), tenant, s.ID, now))
	check(t, st.Revoke(t.Context(), tenant, s.ID, s.tickets[1].ID, now))
	after, _ := look(t, st, s.ID)
	same(t, "tombstone, unsent and revoked", b, after)
}

func eraseLive(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	check(t, st.Erase(t.Context(), []expiry.Due{{ID: s.ID, Keys: []blobstore.Key{s.Key}}}, start))
	check(t, st.Defer(t.Context(), expiry.Due{ID: s.ID}, start))
	b, _ := look(t, st, s.ID)
	same(t, "blob", s.Blob, b)
}

func forget(t *testing.T, st Store) {
	var all []sample
	for i := range 5 {
		all = append(all, erased(t, st, 3, start.Add(time.Duration(i)*day)))
	}
	live := stored(t, st, viewOnce(), 1, start)
	forgetUntil := func(now time.Time, limit, want int) {
		t.Helper()
		n, err := st.Forget(t.Context(), now, limit)
		check(t, err)
		if n != want {
			t.Fatalf("%d forgotten, want %d", n, want)
		}
	}
	forgetUntil(start.Add(90*day-time.Microsecond), 10, 0)
	forgetUntil(start.Add(90*day), 10, 1)
	forgetUntil(start.Add(200*day), 2, 2)
	for i, s := range all {
		s.UploadUntil = start.Add(365 * day) // if it is begun again, below, it is not due
		_, _, err := st.Blob(t.Context(), tenant, s.ID, 10)
		_, _, ticketErr := st.FindTicket(t.Context(), s.tickets[2].ID, s.tickets[2].Hash)
		if i < 3 {
			wantErr(t, err, tickets.ErrUnknownBlob)
			wantErr(t, ticketErr, tickets.ErrUnknownTicket)
			check(t, st.Begin(t.Context(), s.Blob, s.tickets, s.grant)) // no row of it is left
		} else if err != nil || ticketErr != nil {
			t.Fatal(err, ticketErr)
		}
	}
	forgetUntil(start.Add(200*day), 10, 2)
	forgetUntil(start.Add(200*day), 10, 0)
	if b, _ := look(t, st, live.ID); b.State != tickets.BlobStored {
		t.Fatalf("the stored blob is %s", b.State)
	}
}

func queueEmpty(t *testing.T, st Store) {
	if due := claimAll(t, st, start); len(due) != 0 {
		t.Fatalf("claimed %v", due)
	}
	check(t, st.Erase(t.Context(), nil, start))
	b, err := st.Backlog(t.Context(), start)
	check(t, err)
	same(t, "backlog", expiry.Backlog{}, b)
	ps, err := st.Preview(t.Context(), start)
	check(t, err)
	page, err := st.Stored(t.Context(), uuid.UUID{}, 10)
	check(t, err)
	if len(ps) != 0 || len(page) != 0 {
		t.Fatalf("previews %v, stored %v", ps, page)
	}
}
