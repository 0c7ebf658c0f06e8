package sqlstore

import (
	"bytes"
	"context"
	"slices"

	"github.com/google/uuid"

	"mayfly/tickets"
)

// spending is one caller's Spend.
type spending struct {
	tickets.Spend
	won bool
	err error
}

// sparedSpend is for a batch in which every caller is thought to win: no two want the same
// ticket, and all were ready when they were looked up. The change of the blobs, in the order
// of their ids, is their lock as well; what is asked of them and of the tickets is asked of
// the rows as they are under the lock. Should one have changed meanwhile the statement divides
// by zero, nothing of it holds, and spendTickets decides. The counts are the caller's: one of
// each blob's tickets in the batch.
const sparedSpend = `WITH b AS (
		UPDATE blobs SET ready = ready - o.n, keep_until = ` + keptSince + `, purge_at = ` + purgeOpened + `, look_at = LEAST(look_at, ` + purgeOpened + `)
		FROM unnest(CAST($6 AS UUID[]), CAST($7 AS BIGINT[]), CAST($8 AS BIGINT[])) AS o(blob_id, n, now)
		WHERE blobs.id = o.blob_id AND COALESCE(state, '') = 'stored' AND expires_at > o.now AND evidence = 0 AND ready >= o.n
		RETURNING blobs.id
	), spent AS (
		UPDATE tickets t SET state = 'opened', claim = i.claim, opened_at = i.now
		FROM unnest(CAST($1 AS UUID[]), CAST($2 AS UUID[]), CAST($3 AS BYTEA[]), CAST($4 AS BYTEA[]), CAST($5 AS BIGINT[])) AS i(id, blob_id, hash, claim, now)
		JOIN b ON b.id = i.blob_id
		WHERE t.id = i.id AND t.token_hash = i.hash AND ` + itsBlob + ` AND t.state = 'ready'
		RETURNING 1
	)
	SELECT CAST(COUNT(*) / (CASE WHEN COUNT(*) = cardinality(CAST($1 AS UUID[])) THEN 1 ELSE 0 END) AS BIGINT) FROM spent`

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
		WHERE t.id = i.id AND t.token_hash = i.hash AND ` + itsBlob + ` AND t.state = 'ready'
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

// itsBlob hides from a planner that there is an index of a blob's tickets: where most blobs have
// one ticket it would take that for as good a way to a ticket as its id, and of a blob with a
// thousand read up to all for each.
const itsBlob = `COALESCE(t.blob_id, i.blob_id) = i.blob_id`

// reopenTickets is openAgain, for many.
const reopenTickets = `WITH i AS (
		SELECT * FROM unnest(CAST($1 AS BIGINT[]), CAST($2 AS UUID[]), CAST($3 AS UUID[]), CAST($4 AS BYTEA[]), CAST($5 AS BIGINT[]))
			AS i(n, id, blob_id, hash, now)
	), b AS (
		SELECT id, state, expires_at FROM blobs WHERE id = ANY(CAST($3 AS UUID[])) AND unlimited = 1 ORDER BY id FOR UPDATE
	), again AS (
		SELECT i.n, i.blob_id, i.now FROM i JOIN b ON b.id = i.blob_id AND b.state = 'stored' AND b.expires_at > i.now
		JOIN tickets t ON t.id = i.id AND t.token_hash = i.hash AND ` + itsBlob + ` AND t.state IN ('opened', 'delivered')
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

// spendAll decides for a batch: first for those that are likely to win, then for who wants
// the same ticket as one of them that did not, and then for who has lost, or said so at once:
// they may hold an unlimited ticket that was opened before.
func (s *postgresDatabase) spendAll(batch []*spending) []error {
	first, same, again := divide(batch)
	lost := again
	try := func(some []*spending, spend func([]*spending) []error) {
		for i, err := range spend(some) {
			if some[i].err = err; err == nil && !some[i].won {
				lost = append(lost, some[i])
			}
		}
	}
	try(first, s.spendLikely)
	taken := make(map[uuid.UUID]bool, len(first))
	for _, c := range first {
		taken[c.Ticket] = c.won
	}
	var late []*spending
	for _, c := range same {
		if taken[c.Ticket] {
			lost = append(lost, c)
		} else {
			late = append(late, c)
		}
	}
	try(late, s.spendCarefully)
	for i, err := range s.spendAgain(lost) {
		lost[i].err = err
	}
	errs := make([]error, len(batch))
	for i, c := range batch {
		errs[i] = c.err
	}
	return errs
}

// divide finds the first who want each ticket, in the order of their blobs, those who want
// the same ones, and those whose tickets were opened before.
func divide(batch []*spending) (first, same, again []*spending) {
	first = make([]*spending, 0, len(batch))
	wanted := make(map[uuid.UUID]bool, len(batch))
	for _, c := range batch {
		switch {
		case c.Again:
			again = append(again, c)
		case wanted[c.Ticket]:
			same = append(same, c)
		default:
			wanted[c.Ticket] = true
			first = append(first, c)
		}
	}
	slices.SortFunc(first, func(a, b *spending) int { return bytes.Compare(a.Blob[:], b.Blob[:]) })
	return first, same, again
}

func (s *postgresDatabase) spendLikely(batch []*spending) []error {
	if len(batch) == 0 {
		return nil
	}
	id, of, hash := make(ids, len(batch)), make(ids, len(batch)), make(hashes, len(batch))
	claim, now := make(hashes, len(batch)), make(places, len(batch))
	var blob ids
	var spent, last places // of each blob
	for i, c := range batch {
		id[i], of[i], hash[i], claim[i], now[i] = c.Ticket, c.Blob, c.Hash[:], c.Claim[:], micros(c.Now)
		if n := len(blob) - 1; n >= 0 && blob[n] == of[i] {
			spent[n]++
			last[n] = max(last[n], now[i])
			continue
		}
		blob, spent, last = append(blob, of[i]), append(spent, 1), append(last, now[i])
	}
	_, err := together(s.writes, false, sparedSpend, []any{id, of, hash, claim, now, blob, spent, last}, (*row).int)
	if code(err) == divisionByZero {
		return s.spendCarefully(batch)
	}
	if err != nil {
		return alone(batch, err, s.spendCarefully)
	}
	for _, c := range batch {
		c.won = true
	}
	return make([]error, len(batch))
}

func (s *postgresDatabase) spendCarefully(batch []*spending) []error {
	if len(batch) == 0 {
		return nil
	}
	n, id, blob, hash := make(places, len(batch)), make(ids, len(batch)), make(ids, len(batch)), make(hashes, len(batch))
	claim, now := make(hashes, len(batch)), make(places, len(batch))
	for i, c := range batch {
		n[i], id[i], blob[i], hash[i] = int64(i), c.Ticket, c.Blob, c.Hash[:]
		claim[i], now[i] = c.Claim[:], micros(c.Now)
	}
	won, err := together(s.writes, false, spendTickets, []any{n, id, blob, hash, claim, now}, (*row).int)
	if err != nil {
		return alone(batch, err, s.spendCarefully)
	}
	for _, i := range won {
		batch[i].won = true
	}
	return make([]error, len(batch))
}

func (s *postgresDatabase) spendAgain(batch []*spending) []error {
	if len(batch) == 0 {
		return nil
	}
	n, id, blob := make(places, len(batch)), make(ids, len(batch)), make(ids, len(batch))
	hash, now := make(hashes, len(batch)), make(places, len(batch))
	for i, c := range batch {
		n[i], id[i], blob[i], hash[i], now[i] = int64(i), c.Ticket, c.Blob, c.Hash[:], micros(c.Now)
	}
	won, err := together(s.writes, false, reopenTickets, []any{n, id, blob, hash, now}, (*row).int)
	for _, i := range won {
		batch[i].won = true
	}
	return fill(make([]error, len(batch)), err)
}
