package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// turn is one run of one side: it does its work and says how much it was, in
// bytes or operations. The warm-up is turn 0.
type turn func(ctx context.Context, run int) (amount float64, err error)

// comparison is two sides that do the same work.
type comparison struct {
	plain, mayfly turn
	// before is called before each turn, and not measured; it may be nil.
	before func(ctx context.Context, run int) error
	// after is called after each turn, and not measured; it may be nil.
	after func(ctx context.Context) error
	// latencies are filled by the turns, if they want to.
	latencies *latencies
}

// measurement is one run of one side.
type measurement struct {
	// PerSecond is the work done in a second.
	PerSecond float64 `json:"per_second"`
	Seconds   float64 `json:"seconds"`
	// ServerCPU and Others are the seconds of processor time that the server took,
	// and that everything took that is no part of the bench.
	ServerCPU float64 `json:"server_cpu_seconds"`
	Others    float64 `json:"others_cpu_seconds"`
	// P50 and P99 are latencies in milliseconds, 0 if there was only one operation.
	P50 float64 `json:"p50_ms,omitempty"`
	P99 float64 `json:"p99_ms,omitempty"`
}

// compare lets the two sides take turns.
func (s *servers) compare(ctx context.Context, c comparison) (plain, mayfly []measurement, err error) {
	all, err := s.takeTurns(ctx, c.latencies,
		side{server: s.plain, do: c.plain, before: c.before, after: c.after},
		side{server: s.mayfly, do: c.mayfly, before: c.before, after: c.after})
	if err != nil {
		return nil, nil, err
	}
	return all[0], all[1], nil
}

// side is one of those that take turns.
type side struct {
	server *process // whose processor time is told; nil for none
	do     turn
	// before and after are called around each of its turns, and not measured; they may
	// be nil.
	before func(ctx context.Context, run int) error
	after  func(ctx context.Context) error
}

// takeTurns lets each side take its turn: once to warm up, and then as often as was
// asked for. Who begins changes. l, if it is not nil, is filled by the turns.
func (s *servers) takeTurns(ctx context.Context, l *latencies, sides ...side) ([][]measurement, error) {
	if l == nil {
		l = new(latencies)
	}
	all := make([][]measurement, len(sides))
	for run := range s.b.runs + 1 {
		for i := range sides {
			at := (run + 1 + i) % len(sides)
			m, err := s.measure(ctx, l, sides[at], run)
			if err != nil {
				return nil, err
			}
			if run > 0 {
				all[at] = append(all[at], m)
			}
		}
	}
	return all, nil
}

func (s *servers) measure(ctx context.Context, l *latencies, who side, run int) (measurement, error) {
	if who.before != nil {
		if err := who.before(ctx, run); err != nil {
			return measurement{}, err
		}
	}
	if err := settle(ctx); err != nil {
		return measurement{}, err
	}
	l.reset()
	before, err := s.readCPU(who.server)
	if err != nil {
		return measurement{}, err
	}
	start := time.Now()
	amount, err := who.do(ctx, run)
	took := time.Since(start).Seconds()
	if err != nil {
		return measurement{}, err
	}
	after, err := s.readCPU(who.server)
	if err != nil {
		return measurement{}, err
	}
	m := measurement{
		PerSecond: amount / took,
		Seconds:   took,
		ServerCPU: after.server - before.server,
		Others:    max(after.others-before.others, 0),
	}
	m.P50, m.P99 = l.quantiles()
	if who.after != nil {
		err = who.after(ctx)
	}
	return m, errors.Join(ctx.Err(), err)
}

// latencies are how long the operations of a turn took.
type latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *latencies) reset() { l.all = l.all[:0] }

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d)
}

// timed is do, with its duration noted.
func (l *latencies) timed(do func() error) error {
	start := time.Now()
	err := do()
	l.add(time.Since(start))
	return err
}

// each is a turn of n operations by as many clients, each of them timed.
func (l *latencies) each(clients, n int, do func(ctx context.Context, run, i int) error) turn {
	return func(ctx context.Context, run int) (float64, error) {
		return float64(n), many(ctx, clients, n, func(ctx context.Context, i int) error {
			return l.timed(func() error { return do(ctx, run, i) })
		})
	}
}

// quantiles are the median and the 99th percentile in milliseconds.
func (l *latencies) quantiles() (p50, p99 float64) {
	if len(l.all) < 2 {
		return 0, 0
	}
	slices.Sort(l.all)
	at := func(q float64) float64 { return l.all[int(q*float64(len(l.all)-1))].Seconds() * 1e3 }
	return at(0.5), at(0.99)
}
