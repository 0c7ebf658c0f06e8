package sqlstore

import (
	"context"

	"github.com/google/uuid"

	"mayfly/tickets"
)

const findTickets = `SELECT i.n, ` + heldColumns + `
	FROM unnest(CAST($1 AS BIGINT[]), CAST($2 AS UUID[]), CAST($3 AS BYTEA[])) AS i(n, id, hash)
	JOIN tickets t ON t.id = i.id AND t.token_hash = i.hash
	JOIN blobs b ON b.id = t.blob_id`

func (s *postgresDatabase) findTicket(ctx context.Context, id uuid.UUID, h tickets.Hash) (tickets.Ticket, tickets.Blob, bool, error) {
	l := &lookup{id: id, hash: h}
	err := s.lookups.do(ctx, l)
	return l.t, l.b, l.found && err == nil, err
}

func (s *postgresDatabase) lookUp(batch []*lookup) []error {
	n, id, hash := make(places, len(batch)), make(ids, len(batch)), make(hashes, len(batch))
	for i, l := range batch {
		n[i], id[i], hash[i] = int64(i), l.id, l.hash[:]
	}
	found, err := together(s.reads, true, findTickets, []any{n, id, hash}, func(r *row) int64 {
		i := r.int()
		l := batch[i]
		l.t, l.b = readHeld(r, l.id, l.hash)
		return i
	})
	for _, i := range found {
		batch[i].found = true
	}
	return fill(make([]error, len(batch)), err)
}

// acknowledging is one caller's Acknowledge.
type acknowledging struct {
	acknowledgement
	changed bool
}

const acknowledgeTickets = `UPDATE tickets t SET state = 'delivered', delivered_at = i.now
	FROM unnest(CAST($1 AS BIGINT[]), CAST($2 AS UUID[]), CAST($3 AS BYTEA[]), CAST($4 AS BYTEA[]), CAST($5 AS BIGINT[])) AS i(n, id, hash, claim, now)
	WHERE t.id = ANY(CAST($2 AS UUID[])) AND t.id = i.id AND t.token_hash = i.hash AND t.state = 'opened'
	AND (t.claim = i.claim OR EXISTS (SELECT 1 FROM blobs b WHERE b.id = t.blob_id AND b.unlimited = 1))
	RETURNING i.n`

func (s *postgresDatabase) acknowledge(ctx context.Context, a acknowledgement) (bool, error) {
	c := &acknowledging{acknowledgement: a}
	err := s.acks.do(ctx, c)
	return c.changed, err
}

func (s *postgresDatabase) acknowledgeAll(batch []*acknowledging) []error {
	n, id, hash := make(places, len(batch)), make(ids, len(batch)), make(hashes, len(batch))
	claim, now := make(hashes, len(batch)), make(places, len(batch))
	for i, c := range batch {
		n[i], id[i], hash[i], claim[i], now[i] = int64(i), c.ticket, c.hash[:], c.claim[:], micros(c.now)
	}
	changed, err := together(s.writes, false, acknowledgeTickets, []any{n, id, hash, claim, now}, (*row).int)
	if err != nil {
		return alone(batch, err, s.acknowledgeAll)
	}
	for _, i := range changed {
		batch[i].changed = true
	}
	return make([]error, len(batch))
}
