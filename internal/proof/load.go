package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// How the openers are, in percent.
const (
	withoutKey = 15 // send no claim key
	impatient  = 5  // give up at a random moment
	cutOff     = 3  // see the header and leave
	hasty      = 3  // ask twice at once with the same claim key
	spied      = 3  // have a spy beside them
	again      = 25 // of those who were served: ask once more
)

const (
	// tries is how often an opener asks who gets no answer, or a 503.
	tries = 8
	// longestWait is how long an impatient client waits at the most; half of them
	// less than a tenth of the time.
	longestWait = 50 * time.Millisecond
)

// shape is how many tickets there are, and how many ask for each.
type shape struct{ Tickets, Openers int }

func (s shape) opens() int     { return s.Tickets * s.Openers }
func (s shape) String() string { return fmt.Sprintf("%d × %d", s.Tickets, s.Openers) }

// load is the openers of a shape.
type load struct {
	shape
	seed        uint64
	connections int
	replicas    *replicas
	client      *http.Client
	history     *history
	tokens      []string // of the tickets
	blob        func(ticket int) []byte
	// apart has all openers of a ticket but the last ask the same replica, if it is up.
	apart bool
	// reached is told how many openers have begun, before the next one does.
	reached func(ctx context.Context, opens int) error

	faults faults

	mu   sync.Mutex
	gate chan struct{} // closed: the database is up
}

// opener is one who asks for a ticket.
type opener struct {
	ticket int
	number uint16
	random *rand.Rand
	strict bool
	prefer int // a replica, or -1
}

// run lets all openers ask. Those of one ticket ask at about the same time, but for
// the last: he comes when everything is over, and whoever was served before must have
// remained so through every crash.
func (l *load) run(ctx context.Context, chaos func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var disasters sync.WaitGroup
	disasters.Go(func() {
		if err := chaos(ctx); err != nil {
			cancel(err)
		}
	})
	meeting := l.Openers
	if l.Openers > 1 {
		meeting--
	}
	if err := l.meet(ctx, cancel, meeting); err != nil {
		return err
	}
	disasters.Wait()
	if ctx.Err() == nil && meeting < l.Openers {
		l.each(ctx, func(give func(unit) bool) {
			for t := 0; t < l.Tickets && give(unit{t, l.Openers}); t++ {
			}
		})
	}
	return context.Cause(ctx)
}

// unit is an opener whose turn it is.
type unit struct{ ticket, number int }

// meet has the first openers of each ticket ask: as many tickets at a time as keep
// all connections busy, in random order.
func (l *load) meet(ctx context.Context, cancel context.CancelCauseFunc, openers int) error {
	random := rand.New(rand.NewPCG(l.seed, 0))
	together := max(1, l.connections/openers)
	begun := 0
	l.each(ctx, func(give func(unit) bool) {
		for first := 0; first < l.Tickets; first += together {
			n := min(together, l.Tickets-first) * openers
			for _, i := range random.Perm(n) {
				if err := l.reached(ctx, begun); err != nil {
					cancel(err)
					return
				}
				if !give(unit{first + i/openers, 1 + i%openers}) {
					return
				}
				begun++
			}
		}
	})
	return context.Cause(ctx)
}

// each has as many openers ask at a time as there are connections.
func (l *load) each(ctx context.Context, produce func(give func(unit) bool)) {
	units := make(chan unit)
	var clients sync.WaitGroup
	for range l.connections {
		clients.Go(func() {
			for u := range units {
				l.ask(ctx, l.opener(u))
			}
		})
	}
	produce(func(u unit) bool {
		select {
		case units <- u:
			return true
		case <-ctx.Done():
			return false
		}
	})
	close(units)
	clients.Wait()
}

func (l *load) opener(u unit) opener {
	o := opener{ticket: u.ticket, number: uint16(u.number), prefer: -1}
	o.random = rand.New(rand.NewPCG(l.seed, uint64(u.ticket)<<16|uint64(u.number)))
	o.strict = o.percent(withoutKey)
	if l.apart && u.number < l.Openers {
		o.prefer = u.ticket % len(l.replicas.processes)
	}
	return o
}

func (o opener) percent(p int) bool { return o.random.IntN(100) < p }

// ask is all that an opener does.
func (l *load) ask(ctx context.Context, o opener) {
	var beside sync.WaitGroup
	defer beside.Wait()
	if o.percent(hasty) {
		twin := o
		twin.random = rand.New(rand.NewPCG(o.random.Uint64(), 0))
		beside.Go(func() { l.call(ctx, twin, opening, patient) })
	}
	if o.percent(spied) {
		s := opener{ticket: o.ticket, number: spy, prefer: -1, random: rand.New(rand.NewPCG(o.random.Uint64(), 0))}
		beside.Go(func() { l.call(ctx, s, resuming, patient) })
	}
	m := patient
	// The last one waits for his answer: it tells what became of the ticket.
	if int(o.number) < l.Openers || l.Openers == 1 {
		switch n := o.random.IntN(100); {
		case n < impatient:
			m = givesUp
		case n < impatient+cutOff:
			m = leaves
		}
	}
	verb := opening
	for try := range tries {
		op := l.call(ctx, o, verb, m)
		switch {
		case ctx.Err() != nil || op.answer == refused:
			return
		case op.answer == served:
			if o.percent(again) {
				l.call(ctx, o, verb.other(o.percent(50)), patient)
			}
			return
		case op.answer == unknown && (o.strict || op.cause == aborted && o.percent(50)):
			return // there is no second chance, or he does not want one
		}
		// He comes back, mostly to another replica.
		m = patient
		verb = opening.other(op.answer == unknown && o.percent(50))
		l.wait(ctx, o, try)
	}
}

// other is the other verb, if that is wanted.
func (v verb) other(wanted bool) verb {
	if wanted {
		return opening + resuming - v
	}
	return v
}

// wait is a client's, before he tries again: until the database is back, and a
// moment that gets longer with each try.
func (l *load) wait(ctx context.Context, o opener, try int) {
	l.mu.Lock()
	gate := l.gate
	l.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
		}
	}
	select {
	case <-time.After(time.Duration(o.random.Int64N(int64(5*time.Millisecond) << try))):
	case <-ctx.Done():
	}
}

// outage calls do, without which nothing can be opened.
func (l *load) outage(do func() error) error {
	gate := make(chan struct{})
	l.mu.Lock()
	l.gate = gate
	l.mu.Unlock()
	defer close(gate)
	return l.history.outage(do)
}

// claimKey is the opener's own.
func (l *load) claimKey(o opener) string {
	var who [18]byte
	binary.BigEndian.PutUint64(who[:], l.seed)
	binary.BigEndian.PutUint64(who[8:], uint64(o.ticket))
	binary.BigEndian.PutUint16(who[16:], o.number)
	key := sha256.Sum256(who[:])
	return base64.RawURLEncoding.EncodeToString(key[:])
}
