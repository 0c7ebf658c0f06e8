package main

import (
	"math"
	"slices"
	"sync"
	"time"
)

// verb is what a client asks with a ticket.
type verb uint8

const (
	opening  verb = iota // POST /v1/download: spends
	resuming             // GET /v1/download: never spends (P7)
)

func (v verb) String() string {
	return [...]string{"POST", "GET"}[v]
}

// answer is what the client learned.
type answer uint8

const (
	// unknown: no answer came, or one that tells nothing. The call may have taken
	// effect at any moment since, or may still do so.
	unknown   answer = iota
	served           // 200 or 206: the header is enough, bytes may have gone out
	refused          // 410 opened
	unspent          // 503 and its Retry-After, by which Mayfly says: not spent (P3)
	notOpened        // 409 not_opened, to a GET
)

func (a answer) String() string {
	return [...]string{"unknown", "served", "refused", "unavailable", "not opened"}[a]
}

// cause is why an answer is unknown.
type cause uint8

const (
	noCause     cause = iota
	aborted           // the client gave up on purpose
	broken            // the connection broke: the replica was killed
	outage            // a 503 while the database was down
	forNoReason       // the connection broke, or no answer came, and nobody killed the replica
	unexpected        // an answer that the API does not have
	causes
)

func (c cause) String() string {
	return [...]string{"", "client aborted", "connection broke", "503 in an outage", "connection broke for no reason", "unexpected answer"}[c]
}

// forever is when an operation returns whose outcome is unknown: it stays open to the
// end of the history.
const forever = math.MaxInt64

// spy is the opener whose claim key opens nothing: it only tries to resume what
// others opened.
const spy = math.MaxUint16

// operation is one call. A run has a million of them, so it is small.
type operation struct {
	// call and answered are nanoseconds since the history began. Where the outcome is
	// unknown, answered is when the client gave up, and says nothing of the server.
	call, answered int64
	// opener says whose claim key was sent, by its number within the ticket, from 1.
	opener uint16
	// strict: none was sent. Each such call is an open of its own.
	strict  bool
	verb    verb
	answer  answer
	cause   cause
	replica uint8
}

// history is all operations of a shape, by ticket.
type history struct {
	start   time.Time
	tickets []timeline

	mu sync.Mutex
	// outages are from before the database was killed to when it answered again, and
	// kills the same of replicas.
	outages []interval
	kills   []kill
}

type kill struct {
	interval
	replica int
}

type timeline struct {
	mu  sync.Mutex
	ops []operation
}

type interval struct{ from, to int64 }

func newHistory(s shape) *history {
	h := &history{start: time.Now(), tickets: make([]timeline, s.Tickets)}
	for i := range h.tickets {
		h.tickets[i].ops = make([]operation, 0, s.Openers+s.Openers/8+2)
	}
	return h
}

// now is the one clock of the history. It is monotonic.
func (h *history) now() int64 { return int64(time.Since(h.start)) }

func (h *history) record(ticket int, op operation) {
	t := &h.tickets[ticket]
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ops = append(t.ops, op)
}

// outage calls do, during which the database is not there.
func (h *history) outage(do func() error) error {
	i, err := h.during(do)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.outages = append(h.outages, i)
	return err
}

// kill calls do, during which the replica is not there.
func (h *history) kill(replica int, do func() error) error {
	i, err := h.during(do)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kills = append(h.kills, kill{i, replica})
	return err
}

func (h *history) during(do func() error) (interval, error) {
	from := h.now()
	err := do()
	return interval{from, h.now()}, err
}

func (i interval) touches(op operation) bool {
	return op.call <= i.to && i.from <= op.answered
}

// settle ends the history, when nothing is recorded any more.
//
// An open that was answered with 503 and that an outage touched is of unknown outcome:
// when the connection broke during the COMMIT, and the read that was to find out about it
// failed too, or came while the server was still finishing what it had begun, no program
// can know. Any other 503 is held to the promise: not spent.
//
// A connection that broke must have had a kill to break it.
func (h *history) settle() {
	for i := range h.tickets {
		for j := range h.tickets[i].ops {
			op := &h.tickets[i].ops[j]
			switch {
			case op.verb == opening && op.answer == unspent && h.wasOut(*op):
				op.answer, op.cause = unknown, outage
			case op.cause == broken && !h.wasKilled(*op):
				op.cause = forNoReason
			}
		}
	}
}

func (h *history) wasOut(op operation) bool {
	return slices.ContainsFunc(h.outages, func(i interval) bool { return i.touches(op) })
}

func (h *history) wasKilled(op operation) bool {
	return slices.ContainsFunc(h.kills, func(k kill) bool { return k.replica == int(op.replica) && k.touches(op) })
}
