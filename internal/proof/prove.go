package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"time"
)

// trial is how one shape is put to the test.
type trial struct {
	shape
	seed           uint64
	connections    int
	kills, crashes int
	apart          bool // see load
}

// figures are what came of a trial.
type figures struct {
	trial
	counts
	faults         []string // the first of them
	faultCount     int
	kills, crashes int
	took, checked  time.Duration
	verdict        verdict
	history        *history
}

// prove lets the openers of a shape loose on the site, and judges what they saw.
func (s *site) prove(ctx context.Context, t trial) (*figures, error) {
	tokens, blob, err := s.issue(ctx, t.seed, t.Tickets)
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(t.seed, 1))
	c := &chaos{
		plan:   planDisasters(random, t.opens()-t.Tickets, t.kills, t.crashes, len(s.replicas.processes)),
		coming: make(chan disaster),
	}
	client := newHTTPClient(t.connections)
	defer client.CloseIdleConnections()
	l := &load{
		shape: t.shape, seed: t.seed, connections: t.connections, apart: t.apart,
		replicas: s.replicas, client: client, history: newHistory(t.shape),
		tokens: tokens, blob: blob, reached: c.reached,
	}
	f := &figures{trial: t, history: l.history}
	err = l.run(ctx, func(ctx context.Context) error {
		return c.run(ctx, func(replica int) error {
			return l.history.kill(replica, func() error { return s.replicas.restart(ctx, replica) })
		}, func() error {
			return l.outage(func() error { return s.database.crash(ctx) })
		})
	})
	if err != nil {
		return nil, err
	}
	f.took = time.Since(l.history.start)
	f.kills, f.crashes = c.kills, c.crashes
	f.faults, f.faultCount = l.faults.first, l.faults.n

	l.history.settle()
	began := time.Now()
	f.verdict, err = l.history.check(ctx)
	f.checked = time.Since(began)
	f.counts = l.history.count()
	return f, err
}

// failures says what does not hold.
func (f *figures) failures() (all []error) {
	fail := func(failed bool, format string, args ...any) {
		if failed {
			all = append(all, fmt.Errorf(format, args...))
		}
	}
	fail(f.verdict.illegal > 0, "porcupine: %d tickets have an Illegal history", f.verdict.illegal)
	fail(f.verdict.unknown > 0, "porcupine: the histories of %d tickets are Unknown, which proves nothing", f.verdict.unknown)
	fail(f.doubles > 0, "%d tickets were served twice", f.doubles)
	fail(f.wasted > 0, "%d tickets were spent without serving anybody, and nobody's call explains it", f.wasted)
	fail(f.unasked > 0, "%d tickets got no answer but failures", f.unasked)
	fail(f.faultCount > 0, "%d answers must not be", f.faultCount)
	fail(f.unknown[forNoReason] > 0, "%d connections broke, or got no answer, and nobody killed the replica", f.unknown[forNoReason])
	fail(f.verdict.legal+f.verdict.illegal+f.verdict.unknown != f.Tickets, "not every ticket was judged")
	fail(f.kills != f.trial.kills || f.crashes != f.trial.crashes, "%d kills and %d crashes of the database were planned", f.trial.kills, f.trial.crashes)
	fail(f.trial.kills > 0 && f.unknown[broken] == 0, "no kill broke a connection: it proves nothing")
	return all
}

// report writes what an offending ticket went through, and porcupine's picture of it to
// a file in dir.
func (f *figures) report(w io.Writer, dir string) error {
	for _, text := range f.faults {
		fmt.Fprintln(w, text)
	}
	if len(f.verdict.offences) == 0 {
		return nil
	}
	// The shortest history says the most.
	o := f.verdict.offences[0]
	for _, other := range f.verdict.offences {
		if len(f.history.tickets[other.ticket].ops) < len(f.history.tickets[o.ticket].ops) {
			o = other
		}
	}
	f.history.print(w, o)
	path := filepath.Join(dir, fmt.Sprintf("mayfly-proof-%dx%d-ticket-%d.html", f.Tickets, f.Openers, o.ticket))
	if err := f.history.visualize(path, o); err != nil {
		return errors.Join(errors.New("porcupine's picture"), err)
	}
	fmt.Fprintf(w, "porcupine's picture of it: %s\n", path)
	return nil
}
