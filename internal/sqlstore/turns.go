package sqlstore

import (
	"context"
	"time"

	"github.com/google/uuid"

	"mayfly/expiry"
)

var _ expiry.Turns = (*Store)(nil)

// farAhead is more than any turn lasts: one that ends later was taken by a clock that
// was wrong.
const farAhead = 24 * time.Hour

const (
	takeTurn = `INSERT INTO turns (job, holder, until, done) VALUES ($1, $2, $3, 0)
		ON CONFLICT (job) DO UPDATE SET holder = excluded.holder, until = excluded.until, done = 0
		WHERE turns.until <= $4 OR turns.until > $5 OR turns.holder = excluded.holder`

	endTurn = `UPDATE turns SET until = $3, done = 1 WHERE job = $1 AND holder = $2`
)

// TakeTurn implements expiry.Turns.
func (s *Store) TakeTurn(ctx context.Context, job string, holder uuid.UUID, now, until time.Time) (taken bool, held expiry.HeldTurn, err error) {
	err = s.write(ctx, 1, func(c *conn) error {
		n, err := c.exec(takeTurn, job, holder[:], micros(until), micros(now), micros(now.Add(farAhead)))
		taken, held = n == 1, expiry.HeldTurn{}
		if err != nil || taken {
			return err
		}
		_, err = c.first(`SELECT until, done FROM turns WHERE job = $1`, []any{job}, func(r *row) {
			held = expiry.HeldTurn{Until: r.time(), Done: r.bool()}
		})
		return err
	})
	return taken && err == nil, held, err
}

// EndTurn implements expiry.Turns.
func (s *Store) EndTurn(ctx context.Context, job string, holder uuid.UUID, until time.Time) error {
	return s.write(ctx, 1, func(c *conn) error {
		_, err := c.exec(endTurn, job, holder[:], micros(until))
		return err
	})
}
