package sqlstore

import (
	"context"

	"github.com/google/uuid"

	"mayfly/tickets"
)

// lookup is one caller's FindTicket.
type lookup struct {
	id    uuid.UUID
	hash  tickets.Hash
	t     tickets.Ticket
	b     tickets.Blob
	found bool
}

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

// spending is one caller's Spend.
type spending struct {
	tickets.Spend
	won bool
}

// spendTickets decides (P2). It locks the blobs first, in the order of their ids, so
// that no two of these wait for each other in a circle, and so that all that it says
// of a blob holds: a purge or an unsend of it is over, or waits. (The blob's state is
// asked later, or a planner without statistics takes the index of what is due for the
// way to the blobs.) Of several opens of
// one ticket among the rows UPDATE takes one, and RETURNING says which.
//
// What it does to a blob is what keepOpened does, for all its opened tickets at once.
const spendTickets = `WITH i AS (
		SELECT * FROM unnest(CAST($1 AS BIGINT[]), CAST($2 AS UUID[]), CAST($3 AS UUID[]), CAST($4 AS BYTEA[]), CAST($5 AS BYTEA[]), CAST($6 AS BIGINT[]))
			AS i(n, id, blob_id, hash, claim, now)
	), b AS (
		SELECT id, state, expires_at FROM blobs WHERE id = ANY(CAST($3 AS UUID[])) AND evidence = 0 ORDER BY id FOR UPDATE
	), spent AS (
		UPDATE tickets t SET state = 'opened', claim = i.claim, opened_at = i.now
		FROM i JOIN b ON b.id = i.blob_id AND b.state = 'stored' AND b.expires_at > i.now
		WHERE t.id = i.id AND t.token_hash = i.hash AND t.blob_id = i.blob_id AND t.state = 'ready'
		RETURNING i.n, i.blob_id, i.now
	), opened AS (
		SELECT blob_id, COUNT(*) AS n, MAX(now) AS now FROM spent GROUP BY blob_id
	), kept AS (
		UPDATE blobs SET ready = ready - o.n, keep_until = ` + keptSince + `, purge_at = ` + purgeOpened + `, look_at = LEAST(look_at, ` + purgeOpened + `)
		FROM opened o WHERE blobs.id = o.blob_id
	)
	SELECT n FROM spent`

// keptSince passes over a keep_until that is NULL, as GREATEST does. That look_at is
// mostly the same as before is what keeps PostgreSQL from writing index entries.
const (
	keptSince   = `GREATEST(keep_until, o.now + keep)`
	purgeOpened = `CASE WHEN ready > o.n OR unlimited = 1 THEN GREATEST(expires_at, ` + keptSince + `) ELSE ` + keptSince + ` END`
)

// reopenTickets is openAgain, for many.
const reopenTickets = `WITH i AS (
		SELECT * FROM unnest(CAST($1 AS BIGINT[]), CAST($2 AS UUID[]), CAST($3 AS UUID[]), CAST($4 AS BYTEA[]), CAST($5 AS BIGINT[]))
			AS i(n, id, blob_id, hash, now)
	), b AS (
		SELECT id, state, expires_at FROM blobs WHERE id = ANY(CAST($3 AS UUID[])) AND unlimited = 1 ORDER BY id FOR UPDATE
	), again AS (
		SELECT i.n, i.blob_id, i.now FROM i JOIN b ON b.id = i.blob_id AND b.state = 'stored' AND b.expires_at > i.now
		JOIN tickets t ON t.id = i.id AND t.token_hash = i.hash AND t.blob_id = i.blob_id AND t.state IN ('opened', 'delivered')
		FOR SHARE OF t
	), opened AS (
		SELECT blob_id, MAX(now) AS now FROM again GROUP BY blob_id
	), kept AS (
		UPDATE blobs SET keep_until = ` + keptSince + `,
			purge_at = GREATEST(expires_at, ` + keptSince + `)
		FROM opened o WHERE blobs.id = o.blob_id
	)
	SELECT n FROM again`

func (s *postgresDatabase) spend(ctx context.Context, sp tickets.Spend) (bool, error) {
	c := &spending{Spend: sp}
	err := s.spends.do(ctx, c)
	return c.won, err
}

func (s *postgresDatabase) spendAll(batch []*spending) []error {
	n, id, blob, hash := make(places, len(batch)), make(ids, len(batch)), make(ids, len(batch)), make(hashes, len(batch))
	claim, now := make(hashes, len(batch)), make(places, len(batch))
	for i, c := range batch {
		n[i], id[i], blob[i], hash[i] = int64(i), c.Ticket, c.Blob, c.Hash[:]
		claim[i], now[i] = c.Claim[:], micros(c.Now)
	}
	won, err := together(s.writes, false, spendTickets, []any{n, id, blob, hash, claim, now}, (*row).int)
	if err != nil {
		return alone(batch, err, s.spendAll)
	}
	for _, i := range won {
		batch[i].won = true
	}
	lost := 0
	// Who lost may hold an unlimited ticket that was opened before.
	for i, c := range batch {
		if !c.won {
			n[lost], id[lost], blob[lost], hash[lost], now[lost] = n[i], id[i], blob[i], hash[i], now[i]
			lost++
		}
	}
	errs := make([]error, len(batch))
	if lost == 0 {
		return errs
	}
	won, err = together(s.writes, false, reopenTickets, []any{n[:lost], id[:lost], blob[:lost], hash[:lost], now[:lost]}, (*row).int)
	for _, i := range won {
		batch[i].won = true
	}
	if err != nil {
		for _, i := range n[:lost] {
			errs[i] = err
		}
	}
	return errs
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
