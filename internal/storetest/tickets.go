package storetest

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/tickets"
)

func testTickets(t *testing.T, open func(*testing.T) Database) {
	st := open(t)
	run := func(name string, test func(*testing.T, Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, st)
		})
	}
	run("found by id and token only", findByBoth)
	run("order of issue and limit", ticketsInOrder)
	run("add", addTickets)
	run("add keeps the bytes to the deadline", addKeeps)
	run("add to a pending blob", addPending)
	run("add is refused", addRefused)
	run("add counts against the limit", addLimit)
	run("add is all or nothing", addIsAtomic)
	run("acknowledge", acknowledge)
	run("acknowledge unlimited", acknowledgeUnlimited)
	run("contest", contest)
}

func findByBoth(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 2, start)
	a, b := s.tickets[0], s.tickets[1]
	for _, wrong := range []tickets.Ticket{
		{ID: a.ID, Hash: b.Hash}, {ID: a.ID}, {ID: newID(), Hash: a.Hash}, {ID: s.ID, Hash: a.Hash},
	} {
		_, _, err := st.FindTicket(t.Context(), wrong.ID, wrong.Hash)
		wantErr(t, err, tickets.ErrUnknownTicket)
	}
}

func ticketsInOrder(t *testing.T, st Store) {
	s := pending(t, st, viewOnce(), 40, start)
	more := newTickets(s.ID, 3, start)
	_, err := st.AddTickets(t.Context(), tenant, s.ID, more, 100, start)
	check(t, err)
	_, ts := look(t, st, s.ID)
	same(t, "tickets", append(s.tickets, more...), ts)
	_, ts, err = st.Blob(t.Context(), tenant, s.ID, 7)
	check(t, err)
	same(t, "first tickets", s.tickets[:7], ts)
}

func addTickets(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	more := newTickets(s.ID, 2, start.Add(time.Hour))
	b, err := st.AddTickets(t.Context(), tenant, s.ID, more, 10, start.Add(time.Hour))
	check(t, err)
	same(t, "blob", s.Blob, b)
	for _, want := range more {
		got, _ := find(t, st, want)
		same(t, "ticket", want, got)
		spend(t, st, want, start.Add(2*time.Hour), true)
	}
}

func addKeeps(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	spend(t, st, s.tickets[0], start, true)
	if b, _ := look(t, st, s.ID); !b.PurgeAt.Equal(start.Add(72 * time.Hour)) {
		t.Fatalf("purge at %v", b.PurgeAt)
	}
	b, err := st.AddTickets(t.Context(), tenant, s.ID, newTickets(s.ID, 1, start), 10, start.Add(time.Hour))
	check(t, err)
	if !b.PurgeAt.Equal(s.ExpiresAt) {
		t.Fatalf("purge at %v, not at the deadline %v", b.PurgeAt, s.ExpiresAt)
	}
	after, _ := look(t, st, s.ID)
	same(t, "blob as returned", after, b)

	// What an open keeps beyond the deadline is kept.
	s = stored(t, st, viewOnce(), 2, start)
	late := s.ExpiresAt.Add(-time.Hour)
	spend(t, st, s.tickets[0], late, true)
	b, err = st.AddTickets(t.Context(), tenant, s.ID, newTickets(s.ID, 1, start), 10, late)
	check(t, err)
	if !b.PurgeAt.Equal(late.Add(72 * time.Hour)) {
		t.Fatalf("purge at %v", b.PurgeAt)
	}
}

func addPending(t *testing.T, st Store) {
	s := pending(t, st, viewOnce(), 1, start)
	more := newTickets(s.ID, 1, start)
	b, err := st.AddTickets(t.Context(), tenant, s.ID, more, 10, start)
	check(t, err)
	same(t, "blob", s.Blob, b)
	key := newKey(s.ID)
	check(t, st.BeginAttempt(t.Context(), s.ID, key, s.UploadUntil, start))
	s.commit(t, st, key, start)
	spend(t, st, s.tickets[0], start, true)
	if b, _ := look(t, st, s.ID); !b.PurgeAt.Equal(s.ExpiresAt) {
		t.Fatalf("purge at %v, although the added ticket is ready", b.PurgeAt)
	}
}

func addRefused(t *testing.T, st Store) {
	add := func(id uuid.UUID, now time.Time) error {
		ts := newTickets(id, 1, now)
		_, err := st.AddTickets(t.Context(), tenant, id, ts, 10, now)
		if _, _, findErr := st.FindTicket(t.Context(), ts[0].ID, ts[0].Hash); err != nil && findErr == nil {
			t.Fatal("a refused ticket is there")
		}
		return err
	}
	wantErr(t, add(newID(), start), tickets.ErrUnknownBlob)
	s := stored(t, st, viewOnce(), 1, start)
	check(t, add(s.ID, s.ExpiresAt.Add(-time.Microsecond)))
	wantErr(t, add(s.ID, s.ExpiresAt), tickets.ErrExpired)
	p := pending(t, st, viewOnce(), 1, start)
	check(t, add(p.ID, p.UploadUntil.Add(-time.Microsecond)))
	wantErr(t, add(p.ID, p.UploadUntil), tickets.ErrExpired)
	for _, s := range []sample{s, p} {
		check(t, st.Unsend(t.Context(), tenant, s.ID, start))
		wantErr(t, add(s.ID, start), tickets.ErrErased)
	}
}

func addLimit(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 3, start)
	_, err := st.AddTickets(t.Context(), tenant, s.ID, newTickets(s.ID, 3, start), 5, start)
	wantErr(t, err, tickets.ErrTooManyTickets)
	if _, ts := look(t, st, s.ID); len(ts) != 3 {
		t.Fatalf("%d tickets", len(ts))
	}
	_, err = st.AddTickets(t.Context(), tenant, s.ID, newTickets(s.ID, 2, start), 5, start)
	check(t, err)
}

func addIsAtomic(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	more := newTickets(s.ID, 2, start)
	more[1].ID = s.tickets[0].ID
	if _, err := st.AddTickets(t.Context(), tenant, s.ID, more, 10, start); err == nil {
		t.Fatal("two tickets with one id were taken")
	}
	_, ts := look(t, st, s.ID)
	same(t, "tickets", s.tickets, ts)
}

func acknowledge(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	ticket, later := s.tickets[0], start.Add(time.Minute)
	ack := func(h, claim tickets.Hash, want bool) {
		t.Helper()
		changed, err := st.Acknowledge(t.Context(), ticket.ID, h, claim, later)
		check(t, err)
		if changed != want {
			t.Fatalf("changed: %v, want %v", changed, want)
		}
	}
	ack(ticket.Hash, tickets.Hash{}, false)
	claim := spend(t, st, ticket, start, true)
	ack(ticket.Hash, newHash(), false)
	ack(newHash(), claim, false)
	ack(ticket.Hash, claim, true)
	ack(ticket.Hash, claim, false)

	got, _ := find(t, st, ticket)
	ticket.State, ticket.Claim, ticket.OpenedAt, ticket.DeliveredAt = tickets.TicketDelivered, claim, start, later
	same(t, "ticket", ticket, got)
	spend(t, st, ticket, later, false)
}

func acknowledgeUnlimited(t *testing.T, st Store) {
	s := stored(t, st, disappearing(), 1, start)
	ticket := s.tickets[0]
	spend(t, st, ticket, start, true)
	changed, err := st.Acknowledge(t.Context(), ticket.ID, ticket.Hash, newHash(), start)
	check(t, err)
	if !changed {
		t.Fatal("of an unlimited ticket the claim does not matter")
	}
	spend(t, st, ticket, start.Add(time.Hour), true)
	if got, _ := find(t, st, ticket); got.State != tickets.TicketDelivered {
		t.Fatalf("went back to %s", got.State)
	}
}

func contest(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 3, start)
	a, b := s.tickets[0], s.tickets[1]
	check(t, st.Contest(t.Context(), map[uuid.UUID]int64{a.ID: 2, b.ID: 1, newID(): 5}))
	check(t, st.Contest(t.Context(), map[uuid.UUID]int64{a.ID: 3}))
	check(t, st.Contest(t.Context(), nil))
	_, ts := look(t, st, s.ID)
	for i, want := range []int64{5, 1, 0} {
		if ts[i].Contested != want {
			t.Errorf("ticket %d: %d, want %d", i, ts[i].Contested, want)
		}
	}
}
