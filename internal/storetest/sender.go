package storetest

import (
	"testing"
	"time"

	"mayfly/tickets"
)

func testSender(t *testing.T, open func(*testing.T) Database) {
	st := open(t)
	run := func(name string, test func(*testing.T, Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, st)
		})
	}
	run("revoke", revoke)
	run("revoke is refused", revokeRefused)
	run("revoke unlimited", revokeUnlimited)
	run("revoke leaves the deadline", revokeLeavesDeadline)
	run("unsend a stored blob", unsendStored)
	run("unsend a pending blob", unsendPending)
	run("unsend unlimited", unsendUnlimited)
	run("unsend an unknown blob", unsendUnknown)
}

func revoke(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 2, start)
	at := start.Add(time.Hour)
	check(t, st.Revoke(t.Context(), tenant, s.ID, s.tickets[0].ID, at))
	check(t, st.Revoke(t.Context(), tenant, s.ID, s.tickets[0].ID, at.Add(time.Hour)))
	spend(t, st, s.tickets[0], at, false)
	spend(t, st, s.tickets[1], at, true)
	s.tickets[0].State, s.tickets[0].RevokedAt = tickets.TicketRevoked, at
	got, _ := find(t, st, s.tickets[0])
	same(t, "ticket", s.tickets[0], got)
}

func revokeRefused(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	other := stored(t, st, viewOnce(), 1, start)
	wantErr(t, st.Revoke(t.Context(), tenant, newID(), s.tickets[0].ID, start), tickets.ErrUnknownBlob)
	wantErr(t, st.Revoke(t.Context(), tenant, s.ID, newID(), start), tickets.ErrUnknownTicket)
	wantErr(t, st.Revoke(t.Context(), tenant, other.ID, s.tickets[0].ID, start), tickets.ErrUnknownTicket)
	claim := spend(t, st, s.tickets[0], start, true)
	wantErr(t, st.Revoke(t.Context(), tenant, s.ID, s.tickets[0].ID, start), tickets.ErrOpened)
	_, err := st.Acknowledge(t.Context(), s.tickets[0].ID, s.tickets[0].Hash, claim, start)
	check(t, err)
	wantErr(t, st.Revoke(t.Context(), tenant, s.ID, s.tickets[0].ID, start), tickets.ErrOpened)
}

func revokeUnlimited(t *testing.T, st Store) {
	s := stored(t, st, disappearing(), 1, start)
	spend(t, st, s.tickets[0], start, true)
	check(t, st.Revoke(t.Context(), tenant, s.ID, s.tickets[0].ID, start))
	spend(t, st, s.tickets[0], start, false)
}

// revokeLeavesDeadline: another ticket may be issued in place of a revoked one. An
// open counts only those that are still ready.
func revokeLeavesDeadline(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 3, start)
	check(t, st.Revoke(t.Context(), tenant, s.ID, s.tickets[0].ID, start))
	if b, _ := look(t, st, s.ID); !b.PurgeAt.Equal(s.ExpiresAt) {
		t.Fatalf("purge at %v", b.PurgeAt)
	}
	spend(t, st, s.tickets[1], start, true)
	if b, _ := look(t, st, s.ID); !b.PurgeAt.Equal(s.ExpiresAt) {
		t.Fatalf("purge at %v although a ticket is ready", b.PurgeAt)
	}
	check(t, st.Revoke(t.Context(), tenant, s.ID, s.tickets[2].ID, start))
	if b, _ := look(t, st, s.ID); !b.PurgeAt.Equal(s.ExpiresAt) {
		t.Fatalf("purge at %v", b.PurgeAt)
	}

	s = stored(t, st, viewOnce(), 2, start)
	check(t, st.Revoke(t.Context(), tenant, s.ID, s.tickets[0].ID, start))
	spend(t, st, s.tickets[1], start, true)
	if b, _ := look(t, st, s.ID); !b.PurgeAt.Equal(start.Add(72 * time.Hour)) {
		t.Fatalf("purge at %v although no ticket is ready", b.PurgeAt)
	}
}

func unsendStored(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 2, start)
	at := start.Add(time.Hour)
	claim := spend(t, st, s.tickets[0], start, true)
	check(t, st.Unsend(t.Context(), tenant, s.ID, at))
	check(t, st.Unsend(t.Context(), tenant, s.ID, at.Add(time.Hour)))
	spend(t, st, s.tickets[1], at, false)

	s.State, s.PurgeAt, s.Reason = tickets.BlobPurging, at, tickets.ReasonUnsent
	s.tickets[0].State, s.tickets[0].Claim, s.tickets[0].OpenedAt = tickets.TicketOpened, claim, start
	s.tickets[1].State, s.tickets[1].RevokedAt = tickets.TicketRevoked, at
	b, ts := look(t, st, s.ID)
	same(t, "blob", s.Blob, b)
	same(t, "tickets", s.tickets, ts)
}

func unsendPending(t *testing.T, st Store) {
	s := pending(t, st, viewOnce(), 1, start)
	key := newKey(s.ID)
	check(t, st.BeginAttempt(t.Context(), s.ID, key, s.UploadUntil, start))
	check(t, st.Unsend(t.Context(), tenant, s.ID, start))
	wantErr(t, st.Commit(t.Context(), commitOf(s.Blob, key, start)), tickets.ErrTooLate)
	wantErr(t, st.BeginAttempt(t.Context(), s.ID, newKey(s.ID), s.UploadUntil, start), tickets.ErrTooLate)
	if got, _ := find(t, st, s.tickets[0]); got.State != tickets.TicketRevoked {
		t.Fatalf("the ticket is %s", got.State)
	}
}

func unsendUnlimited(t *testing.T, st Store) {
	s := stored(t, st, disappearing(), 3, start)
	for _, ticket := range s.tickets[:2] {
		spend(t, st, ticket, start, true)
	}
	_, err := st.Acknowledge(t.Context(), s.tickets[0].ID, s.tickets[0].Hash, newHash(), start)
	check(t, err)
	check(t, st.Unsend(t.Context(), tenant, s.ID, start))
	_, ts := look(t, st, s.ID)
	for i, ticket := range ts {
		if ticket.State != tickets.TicketRevoked {
			t.Errorf("ticket %d could still be opened and is %s", i, ticket.State)
		}
		spend(t, st, ticket, start, false)
	}
}

func unsendUnknown(t *testing.T, st Store) {
	wantErr(t, st.Unsend(t.Context(), tenant, newID(), start), tickets.ErrUnknownBlob)
}
