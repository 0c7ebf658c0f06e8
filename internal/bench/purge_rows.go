package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"mayfly/internal/sqlstore"
	"mayfly/internal/testenv/postgres"
)

const (
	purgeTarget = 20_000 // blobs in a second, on PostgreSQL
	// purgeLinear is how much of the small pass's rate the large ones keep: a blob
	// costs 1.25 times as much at the most.
	purgeLinear = 0.8
	// purgeGrowth is what the peak of memory may gain behind the first tenth of a pass.
	purgeGrowth = 8 << 20
	idlePass    = 10 // milliseconds
)

// purgeStart is when the first blob was stored.
var purgeStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// purgeSizes are what is due in the passes, in percent of --purge-rows.
var purgeSizes = []int{10, 30, 100}

// purgeRows measures the metadata side of a purge in a large table: without receipts,
// and then with them, passes of growing size, each by a fresh process and with a blob
// store that deletes at once. Each is one run: they are long.
func purgeRows(ctx context.Context, b *bench, r *report) error {
	for _, on := range b.purge.PurgeOn {
		run := b.purgeRowsSQLite
		if on == "postgres" {
			run = b.purgeRowsPostgres
		}
		if err := run(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", on, err)
		}
	}
	return nil
}

func (b *bench) purgeRowsSQLite(ctx context.Context, r *report) (err error) {
	dir, err := os.MkdirTemp(b.dir, "purge-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }() // gigabytes, which PostgreSQL may need
	path := filepath.Join(dir, "mayfly.db")
	url := "sqlite://" + path
	if _, _, err := sqlstore.Migrate(ctx, sqlstore.Config{URL: url}); err != nil {
		return err
	}
	l, err := loadSQLite(path)
	if err != nil {
		return err
	}
	return b.purgeTable(ctx, r, "SQLite", 0, url, l)
}

func (b *bench) purgeRowsPostgres(ctx context.Context, r *report) error {
	return b.withPostgres(ctx, func(s *postgres.Server) error {
		url := s.URL().String()
		if _, _, err := sqlstore.Migrate(ctx, sqlstore.Config{URL: url}); err != nil {
			return err
		}
		l, err := loadPostgres(url)
		if err != nil {
			return err
		}
		return b.purgeTable(ctx, r, "PostgreSQL", purgeTarget, url, l)
	})
}

// duePass is a pass that is to come: so many are due at now.
type duePass struct {
	due    int
	signed bool
	now    time.Time
}

// loadPasses fills the table: what each pass is to erase, the oldest first and a week
// from one to the next, so that the clock can run during one, and then all the rest.
func (b *bench) loadPasses(ctx context.Context, l *loader) (passes []duePass, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, l.db.Close())
		}
	}()
	due, left := b.scaled(b.purge.PurgeRows), b.scaled(b.purge.PurgeAll)
	b.say("  %d blobs with %d tickets each are loaded first", left, b.purge.PurgeTickets)
	const gap = 7 * 24 * time.Hour
	at := purgeStart
	for _, signed := range []bool{false, true} {
		for _, percent := range purgeSizes {
			p := duePass{due: due * percent / 100, signed: signed}
			last, err := l.load(ctx, p.due, b.purge.PurgeTickets, at)
			if err != nil {
				return nil, err
			}
			p.now = last.Add(time.Second)
			passes = append(passes, p)
			at, left = last.Add(gap-unopenedTTL), left-p.due
		}
	}
	if _, err := l.load(ctx, left, b.purge.PurgeTickets, at); err != nil {
		return nil, err
	}
	return passes, l.finish(ctx)
}

func (b *bench) purgeTable(ctx context.Context, r *report, database string, atLeast float64, url string, l *loader) error {
	began := time.Now()
	passes, err := b.loadPasses(ctx, l)
	if err != nil {
		return err
	}
	b.say("  which took %.0f s", time.Since(began).Seconds())
	idle := purgeStart
	var results []passResult
	for _, p := range passes {
		if err := settle(ctx); err != nil {
			return err
		}
		spec := passSpec{Database: url, Idle: idle, Now: p.now, Due: int64(p.due), Signed: p.signed}
		if b.purge.PurgeProfile != "" {
			spec.Profile = filepath.Join(b.purge.PurgeProfile, fmt.Sprintf("%s, %d due%s.pprof", database, p.due, withReceipts(p.signed)))
		}
		result, err := b.pass(ctx, spec)
		if err != nil {
			return err
		}
		b.say("  %s", result.tell(p))
		results = append(results, result)
		idle = p.now
	}
	for n := len(purgeSizes); len(passes) > 0; passes, results = passes[n:], results[n:] {
		b.addPasses(r, database, atLeast, passes[:n], results[:n])
	}
	return nil
}

func (r passResult) tell(p duePass) string {
	mib := func(n int64) string { return bytesResident.format(float64(n)) }
	return fmt.Sprintf("%d due%s: %.2f s, %.2f s of it until the first batch was done; resident %s at the beginning, %s at the peak of the first tenth, %s of the rest (of its own %s, %s, %s; live heap %s, %s, %s); nothing due: %.1f ms",
		p.due, withReceipts(p.signed), r.Seconds, r.First, mib(r.Begin.Resident), mib(r.Tenth.Peak), mib(r.Whole.Peak),
		mib(r.Begin.Anon), mib(r.Tenth.Anon), mib(r.Whole.Anon), mib(r.Begin.Live), mib(r.Tenth.Live), mib(r.Whole.Live), median(r.Empty))
}

func withReceipts(signed bool) string {
	if signed {
		return ", with receipts"
	}
	return ", without receipts"
}

// addPasses adds the figures of passes of purgeSizes.
func (b *bench) addPasses(r *report, database string, atLeast float64, passes []duePass, results []passResult) {
	largest := len(passes) - 1
	on := fmt.Sprintf(" among %d on %s%s", b.scaled(b.purge.PurgeAll), database, withReceipts(passes[largest].signed))
	var rates []measurement
	for i, p := range passes {
		rates = append(rates, measurement{PerSecond: float64(p.due) / results[i].Seconds, Seconds: results[i].Seconds})
	}
	large, result := passes[largest], results[largest]
	r.add(newLeast("purge-rows", fmt.Sprintf("%d due%s", large.due, on), erasures, rates[largest].PerSecond, atLeast))
	for i, p := range passes[1:] {
		r.add(newFigure("purge-rows", fmt.Sprintf("%d due%s; in place of the plain server %d due", p.due, on, passes[0].due),
			erasures, rates[:1], rates[i+1:i+2], purgeLinear))
	}
	peak := max(result.Tenth.Peak, result.Whole.Peak)
	r.add(newBound("purge-rows", fmt.Sprintf("resident at the peak of a pass with %d due%s; in place of the plain server before it", large.due, on), bytesResident,
		[]float64{float64(result.Begin.Resident)}, []float64{float64(peak)}, memoryBound))
	r.add(newBound("purge-rows", fmt.Sprintf("what that peak is above the one of the pass's first tenth, %d due%s", large.due, on), bytesResident,
		nil, []float64{float64(result.Whole.Peak - result.Tenth.Peak)}, purgeGrowth))
	r.add(newBound("purge-rows", fmt.Sprintf("a pass with nothing due, right behind one of %d%s", large.due, on), milliseconds, nil, result.Empty, idlePass))
}
