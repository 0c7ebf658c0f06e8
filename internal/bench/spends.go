package main

import (
	"context"
	"fmt"
	"slices"
)

const (
	sharedSpends = "SpendShared"
	singleSpends = "SpendSingle"
)

// spends compares at the database alone, with its own benchmarks, what 64 callers
// get done when commits are shared and when each has its own.
func spends(ctx context.Context, b *bench, r *report) error {
	binary, err := b.testBinary(ctx, "./internal/sqlstore")
	if err != nil {
		return err
	}
	benchtime := "2s"
	if b.quick {
		benchtime = "200ms"
	}
	single, shared, err := b.inTurn(
		func() (measurement, error) { return b.spendRate(ctx, binary, singleSpends, benchtime) },
		func() (measurement, error) { return b.spendRate(ctx, binary, sharedSpends, benchtime) })
	if err != nil {
		return err
	}
	r.add(newFigure("spends", "64 callers; in place of the plain server one commit each", spent, single, shared, 3))
	return nil
}

// inTurn lets two sides take turns that are no servers of ours: once to warm up, and
// then as often as was asked for. Who begins changes.
func (b *bench) inTurn(plain, mayfly func() (measurement, error)) (plains, mayflys []measurement, err error) {
	for run := range b.runs + 1 {
		var p, m measurement
		sides := []func() error{
			func() (err error) { p, err = plain(); return err },
			func() (err error) { m, err = mayfly(); return err },
		}
		if run%2 == 0 {
			slices.Reverse(sides)
		}
		for _, side := range sides {
			if err := side(); err != nil {
				return nil, nil, err
			}
		}
		if run > 0 {
			plains, mayflys = append(plains, p), append(mayflys, m)
		}
	}
	return plains, mayflys, nil
}

// spendRate runs one benchmark, of which an operation is a spend.
func (b *bench) spendRate(ctx context.Context, binary, name, benchtime string, env ...string) (measurement, error) {
	if err := settle(ctx); err != nil {
		return measurement{}, err
	}
	all, err := b.goBench(ctx, binary, "^Benchmark"+name+"$", benchtime, env...)
	if err != nil {
		return measurement{}, err
	}
	perOp := all[name]["ns/op"]
	if perOp == 0 {
		return measurement{}, fmt.Errorf("internal/sqlstore has no benchmark %s", name)
	}
	return measurement{PerSecond: 1e9 / perOp}, nil
}
