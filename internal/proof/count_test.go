package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCount(t *testing.T) {
	t.Parallel()
	why := func(op operation, c cause) operation { op.cause = c; return op }
	for _, c := range []struct {
		name  string
		calls []operation
		want  counts
	}{
		{"served, repeated, refused", []operation{
			by(1, opening, served, 0, 1), by(1, opening, served, 2, 3), by(1, resuming, served, 4, 5), by(2, opening, refused, 6, 7), by(2, opening, unspent, 8, 9),
		}, counts{posts: 4, gets: 1, served: 1, repeats: 2, refused: 1, unavailable: 1}},
		{"served to two", []operation{by(1, opening, served, 0, 1), by(2, opening, served, 2, 3)},
			counts{posts: 2, served: 1, doubles: 1}},
		{"served to a spy", []operation{by(1, opening, served, 0, 1), by(spy, resuming, served, 2, 3)},
			counts{posts: 1, gets: 1, served: 1, doubles: 1}},
		{"served twice without a claim key", []operation{strict(by(1, opening, served, 0, 1)), strict(by(1, opening, served, 2, 3))},
			counts{posts: 2, served: 1, doubles: 1}},
		{"spent by one who gave up", []operation{why(by(1, opening, unknown, 0), aborted), by(2, opening, refused, 2, 3)},
			counts{posts: 2, refused: 1, unknown: [causes]int{aborted: 1}, lost: [causes]int{aborted: 1}}},
		{"spent by nobody", []operation{why(by(1, resuming, unknown, 0), broken), by(2, opening, refused, 2, 3)},
			counts{posts: 1, gets: 1, refused: 1, unknown: [causes]int{broken: 1}, wasted: 1}},
		{"no answer", []operation{by(1, opening, unspent, 0, 1), by(2, resuming, notOpened, 2, 3)},
			counts{posts: 1, gets: 1, unavailable: 1, notOpened: 1, unasked: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got counts
			got.add(c.calls)
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(counts{})); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// TestSettle: a 503 is held to its promise, unless the database was down meanwhile, and
// a connection breaks only if its replica was killed.
func TestSettle(t *testing.T) {
	t.Parallel()
	h := newHistory(shape{Tickets: 1, Openers: 5})
	h.outages = []interval{{100, 200}}
	for _, op := range []operation{
		by(1, opening, unspent, 0, 99), by(2, opening, unspent, 0, 100), by(3, opening, unspent, 150, 160),
		by(4, resuming, unspent, 150, 160), by(5, opening, unspent, 201, 210), by(5, opening, refused, 150, 160),
	} {
		h.record(0, op)
	}
	h.kills = []kill{{interval{300, 400}, 1}}
	for _, op := range []operation{
		{call: 250, answered: 310, replica: 1, cause: broken}, {call: 250, answered: 310, replica: 0, cause: broken},
		{call: 250, answered: 299, replica: 1, cause: broken}, {call: 401, answered: 410, replica: 1, cause: broken},
	} {
		h.record(0, op)
	}
	h.settle()
	want := []answer{unspent, unknown, unknown, unspent, unspent, refused}
	why := []cause{noCause, outage, outage, noCause, noCause, noCause, broken, forNoReason, forNoReason, forNoReason}
	for i, op := range h.tickets[0].ops {
		if i < len(want) && op.answer != want[i] {
			t.Errorf("%s: want %s", op, want[i])
		}
		if op.cause != why[i] {
			t.Errorf("%s: want %q", op, why[i])
		}
	}
}

func TestPlanDisasters(t *testing.T) {
	t.Parallel()
	plan := planDisasters(rand.New(rand.NewPCG(1, 1)), 1000, 7, 3, 2)
	crashes, before := 0, 100
	for _, d := range plan {
		if d.at < before || d.at > 900 {
			t.Errorf("a disaster after %d of 1000 opens, the one before after %d", d.at, before)
		}
		before = d.at
		if d.replica < 0 {
			crashes++
		}
	}
	if len(plan) != 10 || crashes != 3 {
		t.Errorf("%d disasters with %d crashes, want 10 with 3", len(plan), crashes)
	}
}

// TestFailures: each kind of failure fails the proof.
func TestFailures(t *testing.T) {
	t.Parallel()
	good := func() *figures {
		f := &figures{trial: trial{shape: shape{Tickets: 3, Openers: 1}, kills: 1, crashes: 1}, kills: 1, crashes: 1}
		f.verdict.legal, f.unknown[broken] = 3, 1
		return f
	}
	if failures := good().failures(); failures != nil {
		t.Errorf("a good one fails: %v", errors.Join(failures...))
	}
	for name, spoil := range map[string]func(f *figures){
		"illegal":             func(f *figures) { f.verdict.legal, f.verdict.illegal = 2, 1 },
		"unknown":             func(f *figures) { f.verdict.legal, f.verdict.unknown = 2, 1 },
		"not judged":          func(f *figures) { f.verdict.legal = 2 },
		"double":              func(f *figures) { f.doubles = 1 },
		"wasted":              func(f *figures) { f.wasted = 1 },
		"unasked":             func(f *figures) { f.unasked = 1 },
		"broke for no reason": func(f *figures) { f.unknown[forNoReason] = 1 },
		"fault":               func(f *figures) { f.faultCount = 1 },
		"no kill":             func(f *figures) { f.kills = 0 },
		"no crash":            func(f *figures) { f.crashes = 0 },
		"nothing was broken":  func(f *figures) { f.unknown[broken] = 0 },
	} {
		f := good()
		spoil(f)
		if n := len(f.failures()); n != 1 {
			t.Errorf("%s: %d failures, want 1", name, n)
		}
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--full", "--short"}, {"--full", "--tickets", "5"}, {"--openers", "0"}, {"--replicas", "0"},
		{"--database", "sqlite", "--crashes", "1"}, {"--plants"}, {"--plant", "another"},
	} {
		if code := run(context.Background(), t.Output(), t.Output(), args); code != 2 {
			t.Errorf("%q: exit code %d, want 2", args, code)
		}
	}
}
