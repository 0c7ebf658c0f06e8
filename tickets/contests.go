package tickets

import (
	"context"
	"sync"

	"github.com/google/uuid"
)

// maxContested bounds how many tickets' contests wait in memory. Beyond it
// further tickets are not counted: a count is a hint to the sender's backend.
const maxContested = 10_000

// contests counts attempts to open spent tickets. They are gathered in memory and
// written by FlushContests: a refused open never waits for a write (design §5).
type contests struct {
	mu     sync.Mutex
	counts map[uuid.UUID]int64
}

func (c *contests) add(id uuid.UUID, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = make(map[uuid.UUID]int64)
	}
	if _, known := c.counts[id]; known || len(c.counts) < maxContested {
		c.counts[id] += n
	}
}

func (c *contests) take() map[uuid.UUID]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := c.counts
	c.counts = nil
	return counts
}

// FlushContests writes the contests counted since the last flush. If that fails
// they are kept for the next one. The server calls it every second or so, and
// when it stops.
func (s *Service) FlushContests(ctx context.Context) error {
	counts := s.contests.take()
	if len(counts) == 0 {
		return nil
	}
	if err := s.Store.Contest(ctx, counts); err != nil {
		for id, n := range counts {
			s.contests.add(id, n)
		}
		return &StoreError{"count contests", err}
	}
	return nil
}
