package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/tickets"
)

// addRace is one caller of raceMixedAdds.
type addRace struct {
	tenant string
	blob   uuid.UUID
	ts     []tickets.Ticket
	now    time.Time
	want   error
	err    error
}

// raceMixedAdds has many ask for tickets of few blobs and of many at once, among them those
// who must be refused: that is nothing to the others.
func raceMixedAdds(t *testing.T, stores []Store) {
	const few, many, limit = 3, 30, 20
	var blobs []sample
	for range few + many {
		blobs = append(blobs, stored(t, stores[0], viewOnce(), 1, start))
	}
	unsent := stored(t, stores[0], viewOnce(), 1, start)
	check(t, stores[0].Unsend(t.Context(), tenant, unsent.ID, start))
	var races []*addRace
	add := func(of string, blob uuid.UUID, n int, now time.Time, want error) {
		races = append(races, &addRace{tenant: of, blob: blob, ts: newTickets(blob, n, now), now: now, want: want})
	}
	for i := range few * 12 {
		add(tenant, blobs[i%few].ID, 1+i/few%3, start, nil)
	}
	for i, s := range blobs {
		if i >= few {
			add(tenant, s.ID, 2, start, nil)
		}
		switch i % 5 {
		case 0:
			add("stranger", s.ID, 1, start, tickets.ErrUnknownBlob)
		case 1:
			add(tenant, newID(), 1, start, tickets.ErrUnknownBlob)
		case 2:
			add(tenant, s.ID, 1, s.ExpiresAt, tickets.ErrExpired)
		case 3:
			add(tenant, s.ID, limit, start, tickets.ErrTooManyTickets)
		default:
			add(tenant, unsent.ID, 1, start, tickets.ErrErased)
		}
	}
	var all []func()
	for i, r := range races {
		all = append(all, func() {
			var b tickets.Blob
			b, r.err = stores[i%2].AddTickets(t.Context(), r.tenant, r.blob, r.ts, limit, r.now)
			if r.err == nil && (b.ID != r.blob || !b.PurgeAt.Equal(b.ExpiresAt)) {
				t.Errorf("blob %s came back as %s, purge at %v", r.blob, b.ID, b.PurgeAt)
			}
		})
	}
	together(all...)

	added := make(map[uuid.UUID][]tickets.Ticket)
	for _, r := range races {
		full := r.want == nil && errors.Is(r.err, tickets.ErrTooManyTickets)
		if !errors.Is(r.err, r.want) && !full {
			t.Errorf("%d tickets: %v, want %v", len(r.ts), r.err, r.want)
		}
		if r.err == nil {
			added[r.blob] = append(added[r.blob], r.ts...)
		}
	}
	for i, s := range append(blobs, unsent) {
		_, ts := look(t, stores[i%2], s.ID)
		want := append(s.tickets, added[s.ID]...)
		if len(ts) != len(want) || len(ts) > limit {
			t.Fatalf("blob %d has %d tickets, was told of %d", i, len(ts), len(want))
		}
		if i < few && len(ts) < limit-2 { // 24 are asked for, and one call brings three at the most
			t.Errorf("blob %d has %d tickets, with room for more", i, len(ts))
		}
		if s.ID == unsent.ID {
			continue
		}
		for j, ticket := range want { // each is there, and counted: only the last open lets go of the deadline
			if b, _ := look(t, stores[0], s.ID); !b.PurgeAt.Equal(s.ExpiresAt) {
				t.Fatalf("blob %d, %d of %d opened: purge at %v", i, j, len(want), b.PurgeAt)
			}
			spend(t, stores[j%2], ticket, start, true)
		}
		if b, _ := look(t, stores[0], s.ID); !b.PurgeAt.Equal(start.Add(72 * time.Hour)) {
			t.Fatalf("blob %d: purge at %v although no ticket is ready", i, b.PurgeAt)
		}
	}
}
