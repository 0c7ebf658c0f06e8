package crashes

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"mayfly/blobstore"
	"mayfly/blobstore/apart"
	"mayfly/expiry"
	"mayfly/internal/sqlstore"
	"mayfly/internal/world"
	"mayfly/reports"
	"mayfly/tickets"
)

const tenant = "acme"

// terms are of the one policy here: a blob lives for two weeks, and its tombstone for
// a day.
var terms = tickets.Terms{
	Policy: "view-once", UnopenedTTL: 14 * day, ReportWindow: 72 * time.Hour, ResumeWindow: 15 * minute,
	UploadTTL: day, TombstoneTTL: day, MaxSize: 1 << 20,
}

func policies(context.Context, string, string) (tickets.Terms, bool, error) { return terms, true, nil }

// life is what happens at a site from the first blob to the last: servers start and
// die, clients remember what they were told.
type life struct {
	*testing.T            // of this run
	whole      *testing.T // of all runs at the site
	site       site
	clock      *clock
	known      []*blob
	reported   []*report
	log        log
	server
}

// server is one process with all that it runs.
type server struct {
	*process
	*tickets.Service
	ctx   context.Context // ends with the process, and with it what it still reads
	desk  *reports.Service
	purge purge
	sweep *expiry.Sweep
	db    *sqlstore.Store // past the steps
	bytes *apart.Store
	end   func()
}

func newLife(t *testing.T, s site, direct bool) *life {
	l := &life{T: t, whole: t, site: s, clock: newClock()}
	l.server = start(t, s, l.clock, direct)
	t.Cleanup(func() { l.end() })
	return l
}

// again begins a new life at the same site, which the one before has left empty, and at
// the server that it has left: to start one takes longer than all else.
func (l *life) again(t *testing.T) {
	l.T, l.known, l.reported, l.clock.now = t, nil, nil, newClock().now
	l.log.begin()
}

// start starts a server on a site.
func start(t *testing.T, at site, c *clock, direct bool) server {
	t.Helper()
	s := server{process: new(process), db: at.openRows(t), bytes: at.openBytes(t)}
	s.cutOff = func(key blobstore.Key) {
		if err := at.placeOf(key).cutOff(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	rows, blobs := rows{s.process, s.db}, at.bytes.seenBy(s.process, s.bytes)
	s.Service = &tickets.Service{Store: rows, Blobs: blobs, Policies: policies, Direct: direct, Now: c.Now}
	s.desk = &reports.Service{Store: rows, Blobs: blobs, Recipients: recipients, Terms: evidenceTerms, Now: c.Now}
	// One entry at a time, and one in each pass: entries of a batch are verified side by side,
	// and tombstones are written while the next batch is claimed, so that the number of a
	// step would be chance.
	s.purge = purge{&expiry.Purge{Queue: rows, Blobs: blobs, Now: c.Now, Receipts: signer(), Batch: 1, MaxBatches: 1}}
	s.sweep = &expiry.Sweep{Queue: rows, Blobs: blobs, Now: c.Now, MinAge: 2 * day}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s.ctx, s.end = ctx, func() {
		s.kill()
		cancel()
		if err := errors.Join(s.db.Close(), s.bytes.Close()); err != nil {
			t.Error(err)
		}
	}
	return s
}

// purge makes passes as long as there is more.
type purge struct{ *expiry.Purge }

func (p purge) Run(ctx context.Context) (all expiry.PurgeResult, err error) {
	for {
		r, err := p.Purge.Run(ctx)
		all.Erased += r.Erased
		all.Failed += r.Failed
		all.Unsigned += r.Unsigned
		if err != nil || !r.More {
			return all, err
		}
	}
}

// restart starts the next server, and ends the one before: as the database and the
// folder are open meanwhile, nobody tidies up behind it.
func (l *life) restart() (steps []string, met int) {
	l.Helper()
	steps, met = l.kill()
	before := l.server
	l.server = start(l.whole, l.site, l.clock, before.Direct)
	before.end()
	return steps, met
}

// check holds all promises against what there is, past the server.
func (l *life) check() {
	l.Helper()
	err := errors.Join(world.Check(l.Context(), l.db, l.bytes), world.CheckPins(l.Context(), l.db, l.bytes, tenant, l.clock.Now()))
	if err != nil {
		l.Error(err)
	}
	l.audit()
}

// finish lets everything become due, purges once and sweeps once. After that nothing
// may be left but tombstones (P5).
func (l *life) finish() {
	l.Helper()
	l.clock.move(3 * 7 * day)
	if r, err := l.purge.Run(l.ctx); err != nil || r.Failed+r.Unsigned > 0 || r.More {
		l.Errorf("purge: %+v, %v", r, err)
	}
	if r, err := l.sweep.Run(l.ctx); err != nil || r.Failed+r.Missing > 0 || r.More {
		l.Errorf("sweep: %+v, %v", r, err)
	}
	if err := l.empty(); err != nil {
		l.Error(err)
	}
	l.forgotten()
}

// empty says what is left: bytes, as the store and as whoever looks past it sees them,
// and rows that are more than a tombstone.
func (l *life) empty() error {
	ctx := l.Context()
	errs := []error{world.Empty(ctx, l.bytes)}
	remains, err := l.site.remains(ctx)
	errs = append(errs, err)
	for _, what := range remains {
		errs = append(errs, fmt.Errorf("%s remains (P5)", what))
	}
	now := l.clock.Now()
	share, err := l.db.Share(ctx, now, -1, 2)
	if err == nil && share.All > 0 {
		err = fmt.Errorf("%d rows are pending or stored (P5)", share.All)
	}
	errs = append(errs, err)
	// Of what is purging, or an upload attempt, a preview from far ahead tells.
	due, err := l.db.Preview(ctx, now.Add(100*day))
	if len(due) > 0 {
		err = fmt.Errorf("rows without bytes remain: %+v (P5)", due)
	}
	return errors.Join(append(errs, err)...)
}
