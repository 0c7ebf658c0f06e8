package sqlstore

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"mayfly/tickets"
)

func moreFor(of tickets.Ticket, n int) moreTickets {
	m := moreTickets{tenant: "acme", blob: of.BlobID, limit: 10, now: benchStart}
	for range n {
		id := uuid.New()
		m.tickets = append(m.tickets, tickets.Ticket{ID: id, BlobID: of.BlobID, Hash: hashOf(id), Recipient: "bob", State: tickets.TicketReady, CreatedAt: benchStart})
	}
	return m
}

// TestMoreTicketsShareACommit: who asks for tickets while others get theirs shares the next
// commit with all who wait. Who gives up meanwhile gets none, and who cannot succeed fails alone.
func TestMoreTicketsShareACommit(t *testing.T) {
	t.Parallel()
	u := newSchema(t, testServer(t))
	st := openURL(t, u)
	db := st.db.(*postgresDatabase)
	db.issues.abreast = 1
	ts := storeMany(t, st, 8)
	c := sessionAt(t, u)
	execute(t, c, "BEGIN")
	execute(t, c, `SELECT 1 FROM blobs WHERE id = $1 FOR UPDATE`, ts[0].BlobID[:])
	const callers = 64
	var all sync.WaitGroup
	var added atomic.Int64
	begin := func(ctx context.Context, m moreTickets, want error) {
		all.Go(func() {
			b, err := st.AddTickets(ctx, m.tenant, m.blob, m.tickets, m.limit, m.now)
			if !errors.Is(err, want) || (err == nil) != (b.ID == m.blob) {
				t.Errorf("%d tickets: blob %s, %v, want %v", len(m.tickets), b.ID, err, want)
			}
			if err == nil {
				added.Add(int64(len(m.tickets)))
			}
		})
	}
	until := func(isSo func() bool) {
		for seen := false; !seen; runtime.Gosched() {
			db.issues.mu.Lock()
			seen = isSo()
			db.issues.mu.Unlock()
		}
	}
	begin(t.Context(), moreFor(ts[0], 1), nil)
	until(func() bool { return len(db.issues.begun) == 1 })
	gone, giveUp := context.WithCancel(t.Context())
	for i := 1; i < callers; i++ {
		m := moreFor(ts[i%len(ts)], 1)
		switch {
		case i%16 == 1:
			begin(gone, m, context.Canceled)
		case i%16 == 2:
			m.tenant = "stranger"
			begin(t.Context(), m, tickets.ErrUnknownBlob)
		case i%16 == 3:
			m.limit = 1
			begin(t.Context(), m, tickets.ErrTooManyTickets)
		default:
			begin(t.Context(), m, nil)
		}
	}
	until(func() bool { return len(db.issues.queue) == callers-1 })
	giveUp()
	until(func() bool {
		left := slices.DeleteFunc(slices.Clone(db.issues.queue), func(q *call[*issuing]) bool { return q.withdrawn })
		return len(left) == callers-1-callers/16
	})
	execute(t, c, "ROLLBACK")
	all.Wait()
	var commits, issued int64
	if err := c.QueryRow(t.Context(), `SELECT COUNT(DISTINCT CAST(xmin AS TEXT)), COUNT(*) FROM tickets WHERE recipient = 'bob'`).Scan(&commits, &issued); err != nil {
		t.Fatal(err)
	}
	if commits != 2 || issued != added.Load() || issued != callers-12 {
		t.Errorf("%d commits of %d tickets, %d callers have theirs", commits, issued, added.Load())
	}
}

// TestMoreTicketsFailAlone: a call that the database does not take is nothing to the others
// of its batch.
func TestMoreTicketsFailAlone(t *testing.T) {
	t.Parallel()
	st := openURL(t, newSchema(t, testServer(t)))
	ts := storeMany(t, st, 3)
	var batch []*issuing
	for _, of := range ts {
		batch = append(batch, &issuing{moreTickets: moreFor(of, 2)})
	}
	batch[1].tickets[1].ID = ts[0].ID
	errs := st.db.(*postgresDatabase).issueAll(batch)
	for i, m := range batch {
		_, found, err := st.Blob(t.Context(), "acme", m.blob, 10)
		want := 3
		if i == 1 {
			want = 1
		}
		if err != nil || m.refusal != nil || (errs[i] == nil) != (i != 1) || len(found) != want {
			t.Errorf("call %d: %v, %v; %d tickets, %v", i, m.refusal, errs[i], len(found), err)
		}
	}
}
