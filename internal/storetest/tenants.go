package storetest

import (
	"testing"

	"mayfly/tickets"
)

// testTenants: what belongs to another tenant does not exist, and stays untouched.
func testTenants(t *testing.T, open func(*testing.T) Database) {
	st := open(t)
	s := stored(t, st, viewOnce(), 1, start)
	const stranger = "stranger"

	_, _, err := st.Blob(t.Context(), stranger, s.ID, 10)
	wantErr(t, err, tickets.ErrUnknownBlob)
	_, err = st.AddTickets(t.Context(), stranger, s.ID, newTickets(s.ID, 1, start), 10, start)
	wantErr(t, err, tickets.ErrUnknownBlob)
	wantErr(t, st.Revoke(t.Context(), stranger, s.ID, s.tickets[0].ID, start), tickets.ErrUnknownBlob)
	wantErr(t, st.Unsend(t.Context(), stranger, s.ID, start), tickets.ErrUnknownBlob)

	b, ts := look(t, st, s.ID)
	same(t, "blob", s.Blob, b)
	same(t, "tickets", s.tickets, ts)
}
