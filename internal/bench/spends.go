package main

import (
	"context"
	"fmt"
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
	var single, shared []measurement
	for run := range b.runs + 1 {
		names := []string{singleSpends, sharedSpends}
		if run%2 == 0 {
			names[0], names[1] = names[1], names[0]
		}
		for _, name := range names {
			m, err := b.spendRate(ctx, binary, name, benchtime)
			switch {
			case err != nil:
				return err
			case run == 0:
			case name == singleSpends:
				single = append(single, m)
			default:
				shared = append(shared, m)
			}
		}
	}
	r.add(newFigure("spends", "64 callers; in place of the plain server one commit each", spent, single, shared, 3))
	return nil
}

// spendRate runs one benchmark, of which an operation is a spend.
func (b *bench) spendRate(ctx context.Context, binary, name, benchtime string) (measurement, error) {
	if err := settle(ctx); err != nil {
		return measurement{}, err
	}
	all, err := b.goBench(ctx, binary, "^Benchmark"+name+"$", benchtime)
	if err != nil {
		return measurement{}, err
	}
	perOp := all[name]["ns/op"]
	if perOp == 0 {
		return measurement{}, fmt.Errorf("internal/sqlstore has no benchmark %s", name)
	}
	return measurement{PerSecond: 1e9 / perOp}, nil
}
