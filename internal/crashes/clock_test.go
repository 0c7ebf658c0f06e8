package crashes

import (
	"sync"
	"time"
)

const (
	minute = time.Minute
	day    = 24 * time.Hour
	month  = 30 * day
)

// clock is what a process takes for now.
type clock struct {
	mu  sync.Mutex
	now time.Time
	in  *time.Location // that its times are told in; UTC if nil
}

// newClock begins now, since the blob stores have clocks of their own: what they hold
// is old when this one went forward.
func newClock() *clock { return &clock{now: time.Now().Truncate(time.Microsecond)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.in != nil {
		return c.now.In(c.in)
	}
	return c.now.UTC()
}

// move lets the clock jump, forward or back.
func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
