package storetest

import (
	"testing"
	"time"

	"mayfly/tickets"
)

func testSpends(t *testing.T, open func(*testing.T) Database) {
	st := open(t)
	run := func(name string, test func(*testing.T, Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, st)
		})
	}
	run("once", spendOnce)
	run("only by its token", spendByToken)
	run("only its own blob", spendOfAnotherBlob)
	run("not before the bytes are there", spendPending)
	run("not from the deadline on", spendExpired)
	run("not a revoked ticket", spendRevoked)
	run("not when purging or erased", spendPurged)
	run("not when claimed, by a clock that is behind", spendClaimed)
	run("a refused spend changes nothing", spendRefused)
	run("by a clock that is behind", spendBehind)
	run("unlimited", spendUnlimited)
	run("unlimited keeps the first open", spendUnlimitedFirst)
	run("microseconds", spendMicroseconds)
}

func spendOnce(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 2, start)
	at := start.Add(time.Hour)
	claim := spend(t, st, s.tickets[0], at, true)
	spend(t, st, s.tickets[0], at, false)
	spend(t, st, s.tickets[0], at.Add(time.Hour), false)

	s.tickets[0].State, s.tickets[0].Claim, s.tickets[0].OpenedAt = tickets.TicketOpened, claim, at
	b, ts := look(t, st, s.ID)
	same(t, "blob, as a ticket is ready", s.Blob, b)
	same(t, "tickets", s.tickets, ts)

	at = at.Add(time.Hour)
	spend(t, st, s.tickets[1], at, true)
	s.PurgeAt = at.Add(72 * time.Hour)
	b, _ = look(t, st, s.ID)
	same(t, "blob, as none is ready", s.Blob, b)
}

func spendByToken(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 2, start)
	for _, wrong := range []tickets.Ticket{
		{ID: s.tickets[0].ID, Hash: s.tickets[1].Hash}, {ID: s.tickets[0].ID}, {ID: newID(), Hash: s.tickets[0].Hash},
	} {
		spend(t, st, wrong, start, false)
	}
	_, ts := look(t, st, s.ID)
	same(t, "tickets", s.tickets, ts)

	// The second open of an unlimited ticket takes another path through the rows.
	s = stored(t, st, disappearing(), 1, start)
	spend(t, st, s.tickets[0], start, true)
	spend(t, st, tickets.Ticket{ID: s.tickets[0].ID, Hash: newHash()}, start, false)
}

func spendPending(t *testing.T, st Store) {
	s := pending(t, st, viewOnce(), 1, start)
	spend(t, st, s.tickets[0], start, false)
	key := newKey(s.ID)
	check(t, st.BeginAttempt(t.Context(), s.ID, key, s.UploadUntil, start))
	spend(t, st, s.tickets[0], start, false)
	s.commit(t, st, key, start)
	spend(t, st, s.tickets[0], start, true)
}

func spendExpired(t *testing.T, st Store) {
	for _, terms := range []tickets.Terms{viewOnce(), disappearing()} {
		s := stored(t, st, terms, 2, start)
		spend(t, st, s.tickets[0], s.ExpiresAt, false)
		spend(t, st, s.tickets[0], s.ExpiresAt.Add(-time.Microsecond), true)
		spend(t, st, s.tickets[0], s.ExpiresAt, false)
		spend(t, st, s.tickets[1], s.ExpiresAt.Add(day), false)
	}
}

func spendRevoked(t *testing.T, st Store) {
	for _, terms := range []tickets.Terms{viewOnce(), disappearing()} {
		s := stored(t, st, terms, 1, start)
		check(t, st.Revoke(t.Context(), tenant, s.ID, s.tickets[0].ID, start))
		spend(t, st, s.tickets[0], start, false)
	}
}

func spendPurged(t *testing.T, st Store) {
	for _, terms := range []tickets.Terms{viewOnce(), disappearing()} {
		s := stored(t, st, terms, 2, start)
		spend(t, st, s.tickets[0], start, true)
		check(t, st.Unsend(t.Context(), tenant, s.ID, start))
		spend(t, st, s.tickets[0], start, false)
		spend(t, st, s.tickets[1], start, false)
	}
	s := erased(t, st, 1, start)
	spend(t, st, s.tickets[0], start, false)
}

// spendClaimed: the purge has begun by another replica's clock. Its bytes may be gone.
func spendClaimed(t *testing.T, st Store) {
	for _, terms := range []tickets.Terms{viewOnce(), disappearing()} {
		s := stored(t, st, terms, 2, start.Add(-365*day)) // long due, so that the other tests' blobs are not
		before := s.ExpiresAt.Add(-time.Second)
		if terms.Unlimited {
			spend(t, st, s.tickets[0], s.StoredAt, true)
		}
		claimAll(t, st, s.ExpiresAt)
		spend(t, st, s.tickets[0], before, false)
		spend(t, st, s.tickets[1], before, false)
	}
}

func spendRefused(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	claim := spend(t, st, s.tickets[0], start, true)
	b, _ := look(t, st, s.ID)
	spend(t, st, s.tickets[0], start.Add(day), false)
	after, ts := look(t, st, s.ID)
	same(t, "blob", b, after)
	if ts[0].Claim != claim || !ts[0].OpenedAt.Equal(start) {
		t.Fatalf("a refused spend changed the ticket: %+v", ts[0])
	}
}

// spendBehind: the replica of the last open is behind that of an earlier one, whose
// windows are not cut short by it.
func spendBehind(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 2, start)
	spend(t, st, s.tickets[0], start.Add(time.Hour), true)
	spend(t, st, s.tickets[1], start, true)
	if b, _ := look(t, st, s.ID); !b.PurgeAt.Equal(start.Add(time.Hour + 72*time.Hour)) {
		t.Fatalf("purge at %v", b.PurgeAt)
	}
}

func spendUnlimited(t *testing.T, st Store) {
	terms := disappearing()
	terms.ReportWindow = 2 * day
	s := stored(t, st, terms, 1, start)
	spend(t, st, s.tickets[0], start, true)
	b, _ := look(t, st, s.ID)
	if !b.PurgeAt.Equal(s.ExpiresAt) {
		t.Fatalf("purge at %v, not at the deadline", b.PurgeAt)
	}
	late := s.ExpiresAt.Add(-time.Hour)
	spend(t, st, s.tickets[0], late, true)
	want := late.Add(2 * day)
	if b, _ = look(t, st, s.ID); !b.PurgeAt.Equal(want) {
		t.Fatalf("purge at %v, want %v", b.PurgeAt, want)
	}
	// A replica whose clock is behind moves nothing back.
	spend(t, st, s.tickets[0], late.Add(-day), true)
	if b, _ = look(t, st, s.ID); !b.PurgeAt.Equal(want) {
		t.Fatalf("purge at %v, moved back from %v", b.PurgeAt, want)
	}
}

func spendUnlimitedFirst(t *testing.T, st Store) {
	s := stored(t, st, disappearing(), 1, start)
	claim := spend(t, st, s.tickets[0], start, true)
	spend(t, st, s.tickets[0], start.Add(time.Hour), true)
	want := s.tickets[0]
	want.State, want.Claim, want.OpenedAt = tickets.TicketOpened, claim, start
	got, _ := find(t, st, want)
	same(t, "ticket", want, got)
}

// spendMicroseconds: what is finer than the store keeps is cut off, on both sides of
// a comparison alike.
func spendMicroseconds(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	spend(t, st, s.tickets[0], s.ExpiresAt.Add(999*time.Nanosecond), false)
	at := s.ExpiresAt.Add(-time.Nanosecond)
	spend(t, st, s.tickets[0], at, true)
	if got, _ := find(t, st, s.tickets[0]); !got.OpenedAt.Equal(at.Truncate(time.Microsecond)) {
		t.Fatalf("opened at %v", got.OpenedAt)
	}
}

// spendOfAnotherBlob: a ticket opens its own blob, and moves no other one's deadline.
func spendOfAnotherBlob(t *testing.T, st Store) {
	for _, terms := range []tickets.Terms{viewOnce(), disappearing()} {
		a, b := stored(t, st, terms, 1, start), stored(t, st, terms, 2, start)
		spend(t, st, b.tickets[0], start, true)
		before, _ := look(t, st, b.ID)
		refused := func(now time.Time) {
			t.Helper()
			sp := spendOf(a.tickets[0], now)
			sp.Blob = b.ID
			won, err := st.Spend(t.Context(), sp)
			check(t, err)
			if won {
				t.Fatal("a ticket opened a blob that is not its own")
			}
			after, _ := look(t, st, b.ID)
			same(t, "the other blob", before, after)
		}
		refused(start.Add(time.Hour))
		if got, _ := find(t, st, a.tickets[0]); got.State != tickets.TicketReady {
			t.Fatalf("the ticket is %s", got.State)
		}
		spend(t, st, a.tickets[0], start, true)
		refused(a.ExpiresAt.Add(-time.Hour))
	}
}
