package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"mayfly/tickets"
)

// issuing is one caller's AddTickets.
type issuing struct {
	moreTickets
	stored  tickets.Blob
	refusal error
}

// All who wait share a transaction, whose statements are over arrays. They are three and not
// one: a statement counts what was there when it began, and another replica may have added
// tickets while it waited for the blob's lock.
const (
	lockForMore = `SELECT b.id, ` + blobColumns + ` FROM blobs b WHERE b.id = ANY(CAST($1 AS UUID[])) AND b.tenant = ANY(CAST($2 AS TEXT[])) AND b.evidence = 0
		ORDER BY b.id FOR UPDATE`

	countEach = `SELECT blob_id, COUNT(*) FROM tickets WHERE blob_id = ANY(CAST($1 AS UUID[])) GROUP BY blob_id`

	issueMore = `WITH issued AS (
			INSERT INTO tickets (id, blob_id, token_hash, recipient, state, created_at)
			SELECT t.id, t.blob_id, t.hash, t.recipient, 'ready', t.created_at
			FROM unnest(CAST($1 AS UUID[]), CAST($2 AS UUID[]), CAST($3 AS BYTEA[]), CAST($4 AS TEXT[]), CAST($5 AS BIGINT[]))
				AS t(id, blob_id, hash, recipient, created_at)
		)
		UPDATE blobs SET ready = ready + m.n, purge_at = ` + keptForMore + `
		FROM unnest(CAST($6 AS UUID[]), CAST($7 AS BIGINT[])) AS m(blob_id, n)
		WHERE blobs.id = m.blob_id
		RETURNING blobs.id, purge_at`

	findIssued = `SELECT 1 FROM tickets WHERE id = $1 AND token_hash = $2`
)

func (s *postgresDatabase) addTickets(ctx context.Context, m moreTickets) (tickets.Blob, error) {
	c := &issuing{moreTickets: m}
	err := s.issues.do(ctx, c)
	if err == nil {
		err = c.refusal
	}
	return c.stored, err
}

func (s *postgresDatabase) issueAll(batch []*issuing) []error {
	err := s.inTransaction(func(c *conn) error { return issueTo(c, batch) })
	if unanswered(err) {
		// Never alone behind this: what may have happened is not done once more.
		return fill(make([]error, len(batch)), s.settled(batch, err))
	}
	if err != nil {
		return alone(batch, err, s.issueAll)
	}
	return make([]error, len(batch))
}

// settled is nil if the batch whose commit failed so is committed after all.
func (s *postgresDatabase) settled(batch []*issuing, err error) error {
	switch done, readErr := s.issued(batch); {
	case readErr != nil:
		return fmt.Errorf("%w; asked what came of it: %v", err, readErr) // what that error is says nothing of the commit
	case done:
		return nil
	default:
		return err
	}
}

// inTransaction is write for a batch, which none of its callers can end.
func (s *postgresDatabase) inTransaction(do func(*conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTime)
	defer cancel()
	_, err := retry(ctx, func() (struct{}, error) { return struct{}{}, s.transaction(ctx, do) })
	return err
}

// issueTo decides call by call, in the order in which they came: who is refused changes
// nothing, for nobody.
func issueTo(c *conn, batch []*issuing) error {
	of, tenants := make(ids, len(batch)), make(texts, len(batch)) // nobody locks a stranger's blobs
	for i, m := range batch {
		of[i], tenants[i] = m.blob, &m.tenant
	}
	blobs, have := make(map[uuid.UUID]tickets.Blob, len(batch)), make(map[uuid.UUID]int64, len(batch))
	if err := c.query(context.Background(), lockForMore, []any{of, tenants}, func(r *row) {
		id := r.id()
		blobs[id] = readBlob(r, id)
	}); err != nil {
		return err
	}
	if err := c.query(context.Background(), countEach, []any{of}, func(r *row) {
		id := r.id()
		have[id] = r.int()
	}); err != nil {
		return err
	}
	var all ticketArrays
	more := make(map[uuid.UUID]int64, len(batch))
	for _, m := range batch {
		b, ok := blobs[m.blob]
		if !ok || b.Tenant != m.tenant {
			m.refusal = tickets.ErrUnknownBlob
			continue
		}
		if m.refusal = m.check(b, have[m.blob]+more[m.blob]); m.refusal != nil {
			continue
		}
		more[m.blob] += int64(len(m.tickets))
		for _, t := range m.tickets {
			all.add(t, m.blob)
		}
	}
	if len(more) == 0 {
		return nil
	}
	var to ids
	var n places
	for id, added := range more {
		to, n = append(to, id), append(n, added)
	}
	changed := make(map[uuid.UUID]tickets.Blob, len(more))
	err := c.query(context.Background(), issueMore, append(all.arguments(), to, n), func(r *row) {
		id := r.id()
		b := blobs[id]
		b.PurgeAt = r.time()
		changed[id] = b
	})
	for _, m := range batch {
		if m.refusal == nil {
			m.stored = changed[m.blob]
		}
	}
	return err
}

// unanswered: a commit's answer was lost, or does not say whether it happened.
func unanswered(err error) bool {
	return errors.Is(err, errCommit) && !errors.Is(err, errAgain) && !ofOneRow(code(err))
}

// issued reads whether a batch without an answer is committed: one of its tickets tells. The
// blob's lock is had once that transaction is over, one way or the other.
func (s *postgresDatabase) issued(batch []*issuing) (done bool, err error) {
	i := slices.IndexFunc(batch, func(m *issuing) bool { return m.refusal == nil && len(m.tickets) > 0 })
	if i < 0 {
		return true, nil // there was nothing to commit
	}
	m := batch[i]
	err = s.inTransaction(func(c *conn) (err error) {
		if err := c.hold(`SELECT 1 FROM blobs WHERE id = $1`, m.blob[:]); err != nil {
			return err
		}
		done, err = c.first(findIssued, []any{m.tickets[0].ID[:], m.tickets[0].Hash[:]}, func(*row) {})
		return err
	})
	return done, err
}
