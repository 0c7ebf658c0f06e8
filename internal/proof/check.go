package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
)

// patience is how long porcupine may search one ticket's history. A good one of
// 1000 calls takes some milliseconds; what takes this long is Unknown, and that fails.
const patience = 20 * time.Second

// maxOffences is how many offending tickets are kept.
const maxOffences = 100

// offence is a ticket whose history porcupine did not find legal.
type offence struct {
	ticket int
	result porcupine.CheckResult
}

// verdict is porcupine's, over all tickets of a shape.
type verdict struct {
	legal, illegal, unknown int
	// offences are the first that were found, in order of the ticket.
	offences []offence
}

func (v verdict) String() string {
	if v.illegal+v.unknown == 0 {
		return "Ok"
	}
	return fmt.Sprintf("%d Illegal, %d Unknown", v.illegal, v.unknown)
}

// check has porcupine judge each ticket for itself: they have nothing to do with each
// other.
func (h *history) check(ctx context.Context) (verdict, error) {
	var v verdict
	var mu sync.Mutex
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(h.tickets) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				result := judge(h.tickets[i].ops)
				mu.Lock()
				v.count(i, result)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.SortFunc(v.offences, func(a, b offence) int { return a.ticket - b.ticket })
	return v, ctx.Err()
}

func (v *verdict) count(ticket int, result porcupine.CheckResult) {
	switch result {
	case porcupine.Ok:
		v.legal++
		return
	case porcupine.Illegal:
		v.illegal++
	default:
		v.unknown++
	}
	if len(v.offences) < maxOffences {
		v.offences = append(v.offences, offence{ticket, result})
	}
}

// judge is porcupine's verdict on one ticket.
func judge(ops []operation) porcupine.CheckResult {
	history := operationsOf(ops)
	// That there is no order shows only when all have been tried, which among many calls
	// takes for ever: so first among those few that it hangs on.
	few := crucial(history)
	if result := porcupine.CheckOperationsTimeout(modelOf(foresee(few)), few, patience); result == porcupine.Illegal {
		return result
	}
	return porcupine.CheckOperationsTimeout(modelOf(foresee(history)), history, patience)
}

// crucial are the calls without which nothing can be illegal. Of a legal history they are
// legal too, for what is left out changes nothing in it: calls that only look, and
// unknown ones that did not win (see foresee).
func crucial(history []porcupine.Operation) []porcupine.Operation {
	winner := foresee(history).winner
	firstRefused, lastLook := -1, -1
	for i, op := range history {
		switch op.Output.(answer) {
		case refused:
			if firstRefused < 0 || op.Return < history[firstRefused].Return {
				firstRefused = i
			}
		case notOpened:
			lastLook = i
		}
	}
	var few []porcupine.Operation
	for i, op := range history {
		q, a := op.Input.(asked), op.Output.(answer)
		if a == served || i == firstRefused || i == lastLook || q.by == winner && (a == refused || a == unknown) {
			few = append(few, op)
		}
	}
	return few
}

// print writes the history of a ticket, for people.
func (h *history) print(w io.Writer, o offence) {
	ops := h.tickets[o.ticket].ops
	few := make(map[int]bool)
	for _, op := range crucial(operationsOf(ops)) { // which puts them in order
		few[op.ClientId] = true
	}
	fmt.Fprintf(w, "ticket %d is %s. Its %d calls, in seconds since the beginning; it hangs on those with a star:\n", o.ticket, o.result, len(ops))
	for i, op := range ops {
		star := ' '
		if few[i] {
			star = '*'
		}
		fmt.Fprintf(w, "%c %3d  %s\n", star, i, op)
	}
	for _, k := range h.kills {
		fmt.Fprintf(w, "  replica %d was killed at %.6f s, and back at %.6f s\n", k.replica, float64(k.from)/1e9, float64(k.to)/1e9)
	}
	for _, out := range h.outages {
		fmt.Fprintf(w, "  the database was down from %.6f to %.6f s\n", float64(out.from)/1e9, float64(out.to)/1e9)
	}
}

// pictured is how many calls fit into a picture.
const pictured = 40

// visualize writes porcupine's picture of the ticket's history into a file of HTML; of
// a long one, of what it hangs on.
func (h *history) visualize(path string, o offence) error {
	history := operationsOf(h.tickets[o.ticket].ops)
	if len(history) > pictured {
		history = crucial(history)
	}
	model := modelOf(foresee(history))
	_, info := porcupine.CheckOperationsVerbose(model, history, patience)
	return porcupine.VisualizePath(model, info, path)
}
