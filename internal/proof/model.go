package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"
)

// holder is who a ticket can be spent by: the holder of a claim key, by its opener's
// number, or a single call without one. 0 is nobody.
type holder uint32

// strictHolder is the first number of those without a claim key.
const strictHolder holder = 1 << 16

func (h holder) String() string {
	switch {
	case h == 0:
		return "nobody"
	case h == spy:
		return "the spy"
	case h >= strictHolder:
		return fmt.Sprintf("call %d, without a key", h-strictHolder)
	}
	return fmt.Sprintf("opener %d", h)
}

// asked is what the model is told of a call.
type asked struct {
	verb verb
	by   holder
}

// ticket is the model's state of one ticket.
type ticket struct {
	// spent by whom; 0 is not yet. It never changes again.
	spent holder
	// looks are the GETs that have found it unspent so far.
	looks int
}

// foresight is what is known of a history before it is searched for an order. It
// only ever forbids a step, and so makes no history legal that is not. What it forbids
// are steps after which the history could not end well: without it the search would
// try, for each call that may have spent the ticket and did not, every order of all that
// ran beside it.
type foresight struct {
	// winner is who must have spent the ticket.
	winner holder
	// looks are the GETs that find it unspent: all of them come before the spend.
	looks int
}

// modelOf is the promise that a ticket is served once (P2, P3, P7), as a sequential
// specification. With f it is the same for this one history, and faster.
func modelOf(f *foresight) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return ticket{} },
		Step: func(state, input, output any) (bool, any) {
			next, ok := step(f, state.(ticket), input.(asked), output.(answer))
			return ok, next
		},
		Hash: func(state any) uint64 {
			t := state.(ticket)
			return uint64(t.spent)<<32 | uint64(t.looks)
		},
		DescribeOperation: func(input, output any) string {
			return fmt.Sprintf("%s by %s: %s", input.(asked).verb, input.(asked).by, output.(answer))
		},
		DescribeState: func(state any) string {
			return "spent by " + state.(ticket).spent.String()
		},
	}
}

func step(f *foresight, t ticket, q asked, a answer) (ticket, bool) {
	switch {
	case a == unspent:
		return t, true // and if the ticket was spent nevertheless, somebody is refused for no reason
	case q.verb == resuming:
		return t.resume(q, a)
	case t.spent == 0 && a == refused:
		return t, false
	case t.spent == 0 && a == unknown && f != nil && q.by != f.winner:
		return t, true // it came to nothing, or was late
	case t.spent == 0:
		if f != nil && (q.by != f.winner || t.looks != f.looks) {
			return t, false
		}
		return ticket{spent: q.by}, true
	case a == served:
		return t, t.spent == q.by // the same open once more (design §5), nobody else's
	case a == refused:
		return t, t.spent != q.by
	}
	return t, a == unknown
}

// resume is a GET: it changes nothing (P7).
func (t ticket) resume(q asked, a answer) (ticket, bool) {
	switch a {
	case served:
		return t, t.spent == q.by
	case refused:
		return t, t.spent != 0 && t.spent != q.by
	case notOpened:
		legal := t.spent == 0
		if legal {
			t.looks++
		}
		return t, legal
	}
	return t, a == unknown
}

// foresee finds what must hold in any order of the history. If there is none, whatever
// it returns does no harm.
func foresee(ops []porcupine.Operation) *foresight {
	var f foresight
	refusedTo := make(map[holder]bool)
	anyRefused := false
	for _, op := range ops {
		q := op.Input.(asked)
		switch op.Output.(answer) {
		case served:
			if f.winner == 0 {
				f.winner = q.by
			}
		case refused:
			anyRefused, refusedTo[q.by] = true, true
		case notOpened:
			f.looks++
		}
	}
	if f.winner != 0 || !anyRefused {
		return &f
	}
	// Somebody was refused and nobody served: one of the unknown calls won. Of those
	// that can have, the first to be made can have won whenever another one can.
	for _, op := range ops { // in order of the call
		q := op.Input.(asked)
		if q.verb == opening && op.Output.(answer) == unknown && !refusedTo[q.by] {
			f.winner = q.by
			break
		}
	}
	return &f
}

// operationsOf is a ticket's history as porcupine takes it, in order of the call.
func operationsOf(ops []operation) []porcupine.Operation {
	slices.SortFunc(ops, func(a, b operation) int { return cmp.Compare(a.call, b.call) })
	history := make([]porcupine.Operation, len(ops))
	for i, op := range ops {
		by := holder(op.opener)
		if op.strict {
			by = strictHolder + holder(i)
		}
		returned := op.answered
		if op.answer == unknown {
			returned = forever
		}
		history[i] = porcupine.Operation{
			ClientId: i,
			Input:    asked{op.verb, by}, Call: op.call,
			Output: op.answer, Return: returned,
			Metadata: op.String(),
		}
	}
	return history
}

func (op operation) String() string {
	who := fmt.Sprintf("opener %d", op.opener)
	if op.opener == spy {
		who = "spy"
	}
	if op.strict {
		who += ", no claim key"
	}
	until := fmt.Sprintf("to %.6f", float64(op.answered)/1e9)
	if op.answer == unknown {
		until = "and open  "
	}
	s := fmt.Sprintf("%.6f %s s: %s to replica %d by %s: %s", float64(op.call)/1e9, until, op.verb, op.replica, who, op.answer)
	if op.cause != noCause {
		s += " (" + op.cause.String() + ")"
	}
	return s
}
