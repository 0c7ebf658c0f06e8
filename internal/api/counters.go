package api

import (
	"hash/maphash"
	"sync"
	"time"
)

// slots of a window of counters: 256 KiB.
const slots = 1 << 16

// counters is an httprate.LimitCounter in fixed memory, whoever calls from however
// many addresses: a key counts in the slot that its hash chooses. Two keys that
// share a slot share a limit; the limits are generous enough for that, and the hash
// is seeded, so that nobody can choose whom to meet.
type counters struct {
	seed   maphash.Seed
	length time.Duration

	mu      sync.Mutex
	window  time.Time
	current *[slots]uint32
	before  *[slots]uint32
}

func newCounters() *counters {
	return &counters{seed: maphash.MakeSeed(), current: new([slots]uint32), before: new([slots]uint32)}
}

// Config is called by httprate, once.
func (c *counters) Config(_ int, window time.Duration) { c.length = window }

// Increment counts one.
func (c *counters) Increment(key string, window time.Time) error {
	return c.IncrementBy(key, window, 1)
}

// IncrementBy counts n in the window that begins at window.
func (c *counters) IncrementBy(key string, window time.Time, n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.roll(window)
	c.current[c.slot(key)] += uint32(n)
	return nil
}

// Get is what was counted in the window and in the one before it.
func (c *counters) Get(key string, window, before time.Time) (int, int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.roll(window)
	i := c.slot(key)
	return int(c.current[i]), int(c.before[i]), nil
}

// roll begins the window. One that lies behind, from a call that read the clock
// just before another one rolled, counts in the present one.
func (c *counters) roll(window time.Time) {
	switch {
	case !window.After(c.window):
		return
	case window.Equal(c.window.Add(c.length)):
		c.current, c.before = c.before, c.current
	default:
		clear(c.before[:])
	}
	clear(c.current[:])
	c.window = window
}

func (c *counters) slot(key string) uint64 { return maphash.String(c.seed, key) % slots }
