package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"mayfly/blobstore/fsblob"
	"mayfly/internal/sqlstore"
	"mayfly/internal/testenv/postgres"
)

const (
	purgeOpensTarget = 0.7
	// opensOfBlob is how often a turn opens each blob: a turn is to last for many batches
	// of the purge.
	opensOfBlob = 3
)

// purgeOpens compares opens while nothing is purged with opens while the same server
// purges all the time, on each database, with blobs in a folder.
func purgeOpens(ctx context.Context, b *bench, r *report) error {
	// Only what is asked for is purged.
	quiet := []string{"MAYFLY_PURGE_SCHEDULE=0 0 29 2 *"}
	if slices.Contains(b.purge.PurgeOn, "sqlite") {
		s, err := b.newServers()
		if err != nil {
			return err
		}
		s.env = quiet
		if err := s.startMayfly(ctx); err != nil {
			s.stop()
			return err
		}
		if err := s.use(ctx, func(s *servers) error { return s.purgeOpens(ctx, r, "SQLite") }); err != nil {
			return err
		}
	}
	if !slices.Contains(b.purge.PurgeOn, "postgres") {
		return nil
	}
	return b.withPostgres(ctx, func(db *postgres.Server) error {
		s, err := b.startOnPostgres(ctx, db)
		if err != nil {
			return err
		}
		return s.use(ctx, func(s *servers) error {
			s.env = quiet
			if err := s.restartMayfly(ctx); err != nil {
				return err
			}
			return s.purgeOpens(ctx, r, "PostgreSQL")
		})
	})
}

func (s *servers) purgeOpens(ctx context.Context, r *report, database string) (err error) {
	body, n := newSmallPayload(), s.b.scaled(opensOfRun)
	// The same blobs in every turn, with tickets of their own: more would only be uploads.
	s.b.say("  %d blobs are uploaded first", n)
	blobs := make([]created, n)
	err = many(ctx, manyClients, n, func(ctx context.Context, i int) error {
		return s.upload(ctx, body, 2*(s.b.runs+1)*opensOfBlob, &blobs[i])
	})
	if err != nil {
		return err
	}
	p, err := s.newPurging(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	var l latencies
	each := func(side int) turn {
		return l.each(manyClients, opensOfBlob*n, func(ctx context.Context, run, i int) error {
			return fetchOne(ctx, body, run, blobs[i%n], func(ctx context.Context, blob created, w io.Writer) error {
				return s.open(ctx, blob.Tickets[(2*run+side)*opensOfBlob+i/n].Token, w)
			})
		})
	}
	without, with, err := s.compare(ctx, comparison{
		latencies: &l,
		before:    func(ctx context.Context, _ int) error { return p.fill(ctx) },
		plain:     each(0),
		mayfly:    p.during(each(1)),
		after:     func(ctx context.Context) error { return p.stop(ctx) },
	})
	if err != nil {
		return err
	}
	what := fmt.Sprintf("64 KiB opens on %s and a folder, 64 clients, during a purge; in place of the plain server without one", database)
	r.add(newFigure("purge-opens", what, opens, without, with, purgeOpensTarget))
	r.add(newAdded("purge-opens", what+": 99 % are within", without, with, func(m measurement) float64 { return m.P99 }))
	return nil
}

// purging lets the server purge, by calls of the operator.
type purging struct {
	s    *servers
	h    house
	key  string
	body payload
	n    int
	due  int64 // by Backlog, before the turn
	stop func(ctx context.Context) error
	end  func() error
}

func (s *servers) newPurging(ctx context.Context) (*purging, error) {
	create := exec.CommandContext(ctx, s.b.binary, "key", "create", "--role", "ops", "--tenant", "*", "--database", s.database)
	create.Env = environment()
	key, err := create.Output()
	if err != nil {
		return nil, fmt.Errorf("mayfly key create: %w", err)
	}
	db, err := sqlstore.Open(ctx, sqlstore.Config{URL: s.database})
	if err != nil {
		return nil, err
	}
	blobs, err := fsblob.Open(filepath.Join(s.dir, "blobs"))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &purging{
		s: s, h: house{db, blobs}, key: strings.TrimSpace(string(key)), body: newTinyPayload(), n: s.b.scaled(s.b.purge.PurgeObjects),
		stop: func(context.Context) error { return nil },
		end:  func() error { return errors.Join(blobs.Close(), db.Close()) },
	}, nil
}

func (p *purging) close() error { return errors.Join(p.stop(context.Background()), p.end()) }

// fill makes as many blobs due as there should be. The batch that a stopped purge was
// at waits for the end of its lease, and is not among them.
func (p *purging) fill(ctx context.Context) error {
	due, err := p.h.db.Preview(ctx, time.Now().UTC())
	if err != nil {
		return err
	}
	missing := p.n
	for _, d := range due {
		missing -= int(d.Blobs)
	}
	if err := p.h.fill(ctx, p.body, max(missing, 0)); err != nil {
		return err
	}
	backlog, err := p.h.db.Backlog(ctx, time.Now().UTC())
	p.due = backlog.Due
	return err
}

// during is a turn while the server purges. It fails if there was not enough to purge.
func (p *purging) during(do turn) turn {
	return func(ctx context.Context, run int) (float64, error) {
		working, cancel := context.WithCancel(ctx)
		var erased atomic.Int64
		done := make(chan error, 1)
		began := time.Now()
		go func() { done <- p.run(working, &erased) }()
		p.stop = func(ctx context.Context) error {
			p.stop = func(context.Context) error { return nil }
			defer p.tell(ctx, began)
			cancel()
			err := <-done
			if errors.Is(err, context.Canceled) {
				err = nil
			}
			return err
		}
		amount, err := do(ctx, run)
		if err != nil {
			return 0, err
		}
		select {
		case err := <-done:
			done <- nil
			if err == nil {
				err = fmt.Errorf("%d blobs were purged, and then nothing was due while opens went on: give more with --purge-objects", erased.Load())
			}
			return 0, err
		default:
		}
		return amount, nil
	}
}

// tell tells how much was purged. Of the batch that was cut off nothing counts.
func (p *purging) tell(ctx context.Context, began time.Time) {
	took := time.Since(began).Seconds()
	if backlog, err := p.h.db.Backlog(ctx, time.Now().UTC()); err == nil {
		p.s.b.say("  beside opens %d blobs were purged in %.2f s", p.due-backlog.Due, took)
	}
}

// run purges, call after call, until nothing is due.
func (p *purging) run(ctx context.Context, erased *atomic.Int64) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.s.mayflyURL+"/v1/purge?force=true", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+p.key)
		var text bytes.Buffer
		if err := p.s.do(req, http.StatusOK, &text); err != nil {
			return err
		}
		var answer struct {
			Erased, Failed int64
			More           bool
		}
		if err := json.Unmarshal(text.Bytes(), &answer); err != nil {
			return err
		}
		erased.Add(answer.Erased)
		if answer.Failed > 0 {
			return fmt.Errorf("the purge put off %d blobs", answer.Failed)
		}
		if !answer.More {
			return nil
		}
	}
}
