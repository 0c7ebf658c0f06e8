package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"mayfly/internal/testenv/postgres"
)

const (
	fewTickets   = 10_000
	manyTickets  = 10_000_000
	opensOfTable = 8_000 // of fewTickets, each of which opens once
)

// pgTables compares what the store's opens cost, a FindTicket and a Spend, in a small
// table and a large one. All turns are one process, which loads the large one once.
func pgTables(ctx context.Context, b *bench, r *report) error {
	binary, err := b.testBinary(ctx, "./internal/sqlstore")
	if err != nil {
		return err
	}
	large := b.scaled(manyTickets)
	b.say("  %d tickets are loaded first, which takes minutes and, for ten millions, 8 GB", large)
	return b.withPostgres(ctx, func(db *postgres.Server) error {
		all, err := b.goBenchFor(ctx, time.Hour, binary, "^BenchmarkPostgresTables$", fmt.Sprintf("%dx", opensOfTable),
			testServer(db), fmt.Sprintf("TABLE_TICKETS=%d,%d", fewTickets, large), fmt.Sprintf("TABLE_ROUNDS=%d", b.runs+1))
		if err != nil {
			return err
		}
		few, errFew := roundsOf(all, "PostgresTables/"+strconv.Itoa(fewTickets), b.runs)
		many, errMany := roundsOf(all, "PostgresTables/"+strconv.Itoa(large), b.runs)
		young, errYoung := roundsOf(all, "PostgresTables/young", b.runs)
		if err := errors.Join(errFew, errMany, errYoung); err != nil {
			return err
		}
		// A rate of 1/1.3 is an open that costs 1.3 times as much.
		r.add(newFigure("pg-tables", fmt.Sprintf("opens at the store of a table of %d tickets; in place of the plain server one of %d", large, fewTickets), opens, few, many, 1/1.3))
		r.add(newFigure("pg-tables", fmt.Sprintf("the same, of the %d tickets that were stored last", fewTickets), opens, few, young, 1/1.3))
		return nil
	})
}

// roundsOf are the turns of a sub-benchmark that was run again and again, without the
// first: the second is called NAME#01, and so on.
func roundsOf(all map[string]metrics, name string, runs int) (ms []measurement, err error) {
	for run := range runs {
		m, ok := all[fmt.Sprintf("%s#%02d", name, run+1)]
		if !ok || m["opens/s"] == 0 {
			return nil, fmt.Errorf("no benchmark %s#%02d", name, run+1)
		}
		ms = append(ms, measurement{PerSecond: m["opens/s"], Seconds: opensOfTable / m["opens/s"]})
	}
	return ms, nil
}
