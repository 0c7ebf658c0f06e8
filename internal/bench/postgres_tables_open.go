package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"mayfly/blobstore"
	"mayfly/blobstore/checksum"
	"mayfly/blobstore/fsblob"
	"mayfly/internal/testenv/postgres"
)

// pgTablesOpen is pg-tables with the whole open, over HTTP: two Mayflies, each with a
// folder and a database of its own on one PostgreSQL, one with few tickets and one with
// many.
func pgTablesOpen(ctx context.Context, b *bench, r *report) error {
	return b.withPostgres(ctx, func(db *postgres.Server) error {
		all, err := b.tablesOpen(ctx, db)
		if err != nil {
			return err
		}
		few, many, young := all[0], all[1], all[2]
		// A rate of 1/1.3 is an open that costs 1.3 times as much.
		r.add(newFigure("pg-tables-open", fmt.Sprintf("4 KiB opens on PostgreSQL, 64 clients, of a table of %d tickets; in place of the plain server one of %d", b.scaled(manyTickets), fewTickets), opens, few, many, 1/1.3))
		r.add(newFigure("pg-tables-open", fmt.Sprintf("the same, of the %d tickets that were stored last", fewTickets), opens, few, young, 1/1.3))
		return nil
	})
}

// tablesOpen are the turns of the small table, of the large one, and of its youngest.
func (b *bench) tablesOpen(ctx context.Context, db *postgres.Server) (all [][]measurement, err error) {
	body, n := newTinyPayload(), b.scaled(opensOfTable)
	small, err := b.newTable(ctx, db, "small", body)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, small.close()) }()
	large, err := b.newTable(ctx, db, "large", body)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, large.close()) }()

	size := b.scaled(manyTickets)
	b.say("  %d tickets are loaded first, which takes minutes and, for ten millions, 8 GB", size)
	began := time.Now()
	if err := large.load(ctx, size); err != nil {
		return nil, err
	}
	if err := errors.Join(small.start(ctx), large.start(ctx)); err != nil {
		return nil, err
	}
	b.say("  which took %.0f s", time.Since(began).Seconds())

	var l latencies
	order := rand.Perm(size)[:n*(b.runs+1)]
	few := small.side(&l, n, func(ctx context.Context, _ int) ([]int, error) {
		return rand.Perm(fewTickets)[:n], small.reload(ctx, fewTickets)
	})
	many := large.side(&l, n, func(_ context.Context, run int) ([]int, error) {
		return order[run*n:][:n], nil
	})
	young := large.side(&l, n, func(ctx context.Context, _ int) ([]int, error) {
		these := rand.Perm(fewTickets)[:n]
		for i := range these {
			these[i] += large.n
		}
		return these, large.load(ctx, fewTickets)
	})
	large.plain = small.mayfly // it is in the place of the plain server
	err = large.use(ctx, func(s *servers) (err error) {
		all, err = s.takeTurns(ctx, &l, few, many, young)
		return err
	})
	return all, err
}

// openTable is a Mayfly on a database of its own, whose tickets are known by their number:
// a blob each.
type openTable struct {
	*servers
	rows  *loader
	files *fsblob.Store
	body  payload
	first time.Time // when number 0 was stored
	n     int       // so many are loaded
	turn  []created // what the turn opens
}

// newTable makes the database, with nothing in it. Mayfly is not started yet: a server's
// statements are planned for tables that are there.
func (b *bench) newTable(ctx context.Context, db *postgres.Server, name string, body payload) (t *openTable, err error) {
	t = &openTable{body: body}
	if t.servers, err = b.newServers(); err != nil {
		return nil, err
	}
	if t.database, err = newDatabase(ctx, db, name); err != nil {
		return nil, err
	}
	if err := t.createKey(ctx); err != nil {
		return nil, err
	}
	if t.files, err = fsblob.Open(filepath.Join(t.dir, "blobs")); err != nil {
		return nil, err
	}
	if t.rows, err = loadPostgres(t.database); err != nil {
		return nil, errors.Join(err, t.files.Close())
	}
	if t.rows.rows, err = storedLately(body); err != nil {
		return nil, errors.Join(err, t.close())
	}
	// All were stored by now, the last a minute ago.
	most := b.scaled(manyTickets) + fewTickets*(b.runs+1)
	t.first = time.Now().Add(-time.Minute - time.Duration(most)*loadStep).Truncate(time.Millisecond)
	return t, nil
}

// storedLately are rows as uploads leave them, which no purge has looked at.
func storedLately(body payload) (loadedRows, error) {
	digest, err := blobstore.ParseDigest(body.digest)
	if err != nil {
		return loadedRows{}, err
	}
	sum := checksum.New()
	sum.Write(body.block)
	return loadedRows{size: body.size, look: reportWindow, sha256: digest[:], checksum: sum.Checksum().Reveal()}, nil
}

// newDatabase makes another database of the server.
func newDatabase(ctx context.Context, db *postgres.Server, name string) (url string, err error) {
	c, err := pgx.Connect(ctx, db.URL().String())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	if _, err := c.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", err
	}
	u := db.URL()
	u.Path = "/" + name
	return u.String(), nil
}

// start tidies up what was loaded, and starts Mayfly.
func (t *openTable) start(ctx context.Context) error {
	return errors.Join(t.rows.do(ctx, t.rows.tidy...), t.startMayfly(ctx))
}

func (t *openTable) close() error {
	t.stop()
	return errors.Join(t.rows.db.Close(), t.files.Close())
}

// load adds n.
func (t *openTable) load(ctx context.Context, n int) error {
	_, err := t.rows.load(ctx, n, 1, t.storedAt(t.n))
	t.n += n
	return err
}

// reload puts n in the place of all that is there, with the statistics that autovacuum
// would make in time.
func (t *openTable) reload(ctx context.Context, n int) error {
	if err := t.rows.do(ctx, "TRUNCATE blobs, tickets"); err != nil {
		return err
	}
	t.n = 0
	return errors.Join(t.load(ctx, n), t.rows.do(ctx, t.rows.tidy...))
}

func (t *openTable) storedAt(number int) time.Time {
	return t.first.Add(time.Duration(number) * loadStep)
}

// side opens n tickets in a turn: those whose numbers choose tells before it, and which
// are there then.
func (t *openTable) side(l *latencies, n int, choose func(ctx context.Context, run int) ([]int, error)) side {
	return side{
		server: t.mayfly,
		before: func(ctx context.Context, run int) error {
			numbers, err := choose(ctx, run)
			if err != nil {
				return err
			}
			return t.prepare(ctx, numbers)
		},
		do: l.each(manyClients, n, func(ctx context.Context, run, i int) error {
			return fetchOne(ctx, t.body, run, t.turn[i], t.fetch)
		}),
	}
}

// prepare stores the bytes of these blobs, reads them once, and leaves PostgreSQL as after a checkpoint:
// nobody writes what was loaded to the disk meanwhile, and the first change of each page
// is logged with the whole page.
func (t *openTable) prepare(ctx context.Context, numbers []int) error {
	t.turn = slices.Grow(t.turn[:0], len(numbers))
	keys := make([]blobstore.Key, len(numbers))
	for i, number := range numbers {
		at := t.storedAt(number)
		blob := created{Tickets: []issued{{loadedToken(at, 0)}}}
		blob.ID, keys[i] = loadedBlob(at)
		t.turn = append(t.turn, blob)
	}
	err := many(ctx, manyClients, len(keys), func(ctx context.Context, i int) error {
		// Those of the small table may be there from a turn before.
		if err := t.files.Put(ctx, keys[i], t.body.reader(), t.body.size); err != nil && !errors.Is(err, blobstore.ErrExists) {
			return err
		}
		f, _, err := t.files.Open(ctx, keys[i], 0)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, f)
		return errors.Join(err, f.Close())
	})
	return errors.Join(err, t.rows.do(ctx, "CHECKPOINT"))
}

func (t *openTable) fetch(ctx context.Context, blob created, w io.Writer) error {
	return t.open(ctx, blob.Tickets[0].Token, w)
}
