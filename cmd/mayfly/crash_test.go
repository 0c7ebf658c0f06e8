package main

import (
	"errors"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"mayfly/expiry"
	"mayfly/internal/world"
)

// TestKill9 kills the real process at random instants while clients upload, open and
// unsend and the purge erases, looks at the stores as they lie there, and starts it
// again: what was acknowledged is there (P1), what was spent stays spent (P2), and
// after one purge and one sweep nothing remains (P5).
func TestKill9(t *testing.T) {
	t.Parallel()
	c := &crash{site: localSite(t), replicas: 1, clients: 8, rounds: 12}
	c.run(t)
}

// TestKill9OfReplicas is TestKill9 of one of several replicas, over one database and one
// bucket: its clients go to the others, which know nothing of it.
func TestKill9OfReplicas(t *testing.T) {
	t.Parallel()
	c := &crash{site: sharedSite(t), replicas: 2, clients: 3, rounds: 5}
	c.run(t)
	c.site.checkBucketIsEmpty(t)
}

// crash is a Mayfly whose processes are killed, and what its clients know of it.
type crash struct {
	site     site
	replicas int
	clients  int
	rounds   int

	purges int // passes that erased something, by the logs

	mu      sync.Mutex
	serving []*server
	sent    []*sentBlob
}

func (c *crash) run(t *testing.T) {
	t.Helper()
	for round := range c.rounds {
		c.round(t)
		c.checkWorld(t, round)
	}
	uploads, opens, unsent := c.happened()
	for range c.replicas {
		c.start(t)
	}
	c.openTheRest(t)
	c.stop(t)
	c.checkWorld(t, c.rounds)
	c.checkNothingRemains(t)
	if uploads < c.rounds || opens == 0 || opens == uploads || unsent == 0 || c.purges == 0 {
		t.Errorf("too little happened to prove anything: %d uploads, %d opens, %d unsent, %d purges", uploads, opens, unsent, c.purges)
	}
	t.Logf("%d rounds: %d acknowledged uploads, %d opened and %d unsent before the end, %d purges",
		c.rounds, uploads, opens, unsent, c.purges)
}

// round starts the replicas, each beside those that serve already, kills one in the
// midst of the work, and lets the others go on with it. In the end all have stopped,
// since a purge that is under way is no fault in the world.
func (c *crash) round(t *testing.T) {
	t.Helper()
	c.start(t)
	work := c.startClients(t)
	defer work.stop()
	for range c.replicas - 1 {
		c.start(t)
	}
	// From before the first request is answered to well into the work.
	<-time.After(time.Duration(10+mathrand.IntN(400)) * time.Millisecond)
	c.killOne(t)
	if c.replicas > 1 {
		work.goesOn(t)
	}
	work.stop()
	c.stop(t)
}

func (c *crash) start(t *testing.T) {
	t.Helper()
	s := c.site.start(t, "--admin", "off", "--purge-schedule", "@every 1s")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving = append(c.serving, s)
}

// killOne kills a random replica. Clients are told before, so that an error of one
// that serves is always a failure.
func (c *crash) killOne(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	i := mathrand.IntN(len(c.serving))
	s := c.serving[i]
	c.serving = slices.Delete(c.serving, i, i+1)
	c.mu.Unlock()
	s.kill(t)
	c.ended(s)
}

// stop ends the replicas that are left. There are no clients any more.
func (c *crash) stop(t *testing.T) {
	t.Helper()
	for _, s := range c.serving {
		s.stop(t)
		c.ended(s)
	}
	c.serving = nil
}

func (c *crash) ended(s *server) {
	c.purges += strings.Count(s.log.String(), `"msg":"purge"`)
}

// any is a replica that serves, nil if there is none.
func (c *crash) any() *server {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.serving) == 0 {
		return nil
	}
	return c.serving[mathrand.IntN(len(c.serving))]
}

func (c *crash) serves(s *server) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.serving, s)
}

func (c *crash) happened() (uploads, opens, unsent int) {
	for _, b := range c.sent {
		if b.served > 0 {
			opens++
		}
		if b.unsent {
			unsent++
		}
	}
	return len(c.sent), opens, unsent
}

// checkWorld looks at the stores without a server, as the crash left them.
func (c *crash) checkWorld(t *testing.T, round int) {
	t.Helper()
	db, blobs := c.site.open(t)
	defer db.Close()
	defer blobs.Close()
	if err := world.Check(t.Context(), db, blobs); err != nil {
		t.Errorf("round %d: %v", round, err)
	}
	for _, b := range c.sent {
		// P2: a strict ticket is served once, over all crashes and restarts.
		if b.claim == "" && b.served > 1 {
			t.Errorf("round %d: a ticket was served %d times", round, b.served)
		}
	}
}

// openTheRest opens every ticket once more: those that nobody asked for must open
// (P1), those that were served must not, unless by their claim key (P2, P3).
func (c *crash) openTheRest(t *testing.T) {
	t.Helper()
	var all errgroup.Group
	all.SetLimit(c.clients)
	for _, b := range c.sent {
		all.Go(func() error { return b.openAgain(t.Context(), c.any()) })
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
}

// checkNothingRemains lets a month go by, for one purge and one sweep (P5).
func (c *crash) checkNothingRemains(t *testing.T) {
	t.Helper()
	db, blobs := c.site.open(t)
	later := func() time.Time { return time.Now().Add(30 * 24 * time.Hour) }
	purge := &expiry.Purge{Queue: db, Blobs: blobs, Now: later}
	if r, err := purge.Run(t.Context()); err != nil || r.Failed > 0 {
		t.Errorf("purge: %+v, %v", r, err)
	}
	sweep := &expiry.Sweep{Queue: db, Blobs: blobs, Now: later}
	if r, err := sweep.Run(t.Context()); err != nil || r.Failed > 0 || r.Orphans > 0 {
		t.Errorf("sweep: %+v, %v", r, err)
	}
	if err := world.Empty(t.Context(), blobs); err != nil {
		t.Error(err)
	}
}

// clients are at work until they are stopped, or no replica serves.
type clients struct {
	n        int
	stopping chan struct{}
	once     sync.Once
	all      sync.WaitGroup
	done     chan struct{} // one for each turn, while somebody listens
	ended    chan struct{} // closed when all have ended
}

func (c *crash) startClients(t *testing.T) *clients {
	work := &clients{n: c.clients, stopping: make(chan struct{}), done: make(chan struct{}), ended: make(chan struct{})}
	for range c.clients {
		work.all.Go(func() { c.client(t, work) })
	}
	go func() {
		defer close(work.ended)
		work.all.Wait()
	}()
	return work
}

// client takes turn after turn, each at a random replica: an error of one that was
// killed meanwhile is no news, and the next turn is at another.
func (c *crash) client(t *testing.T, work *clients) {
	for {
		select {
		case <-work.stopping:
			return
		default:
		}
		s := c.any()
		if s == nil {
			return
		}
		switch err := c.turn(t.Context(), s); {
		case err == nil:
			select {
			case work.done <- struct{}{}:
			default:
			}
		case errors.Is(err, errOther) || c.serves(s):
			t.Error(err)
			return
		}
	}
}

// stop returns when the turns under way have ended.
func (w *clients) stop() {
	w.once.Do(func() { close(w.stopping) })
	<-w.ended
}

// goesOn returns when more turns ended well than were under way.
func (w *clients) goesOn(t *testing.T) {
	t.Helper()
	for range w.n + 1 {
		select {
		case <-w.done:
		case <-w.ended:
			t.Fatal("no client is left")
		}
	}
}
