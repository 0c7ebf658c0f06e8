package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"mayfly/expiry"
	"mayfly/internal/api"
	"mayfly/internal/metrics"
	"mayfly/internal/sqlstore"
	"mayfly/tickets"
)

// service is Mayfly's parts, put together: what serve runs and demo shows.
type service struct {
	db      *sqlstore.Store
	blobs   closingStore
	tickets *tickets.Service
	purge   *expiry.Purge
	sweep   *expiry.Sweep
	// sweepTurn divides the sweeps among replicas.
	sweepTurn *expiry.Turn
	metrics   *metrics.Metrics
	api       *api.Server
	log       *slog.Logger

	checking sync.Mutex
	checked  time.Time // when the blob store was last found good
}

// openService opens the stores, refuses those that cannot keep the promises, and
// builds the services on them. now is the clock, time.Now if nil.
func openService(ctx context.Context, stores storeFlags, log *slog.Logger, now func() time.Time) (*service, error) {
	db, err := openDatabase(ctx, stores.Database)
	if err != nil {
		return nil, err
	}
	blobs, err := openBlobs(ctx, stores.Blobs)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := &service{db: db, blobs: blobs, metrics: metrics.New(), log: log}
	if err := blobs.Check(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("--blobs %s: %w", redactedURL(stores.Blobs), err), s.close())
	}
	for _, w := range db.Warnings() {
		log.Warn("database: " + w)
	}
	s.tickets = &tickets.Service{Store: db, Blobs: blobs, Policies: builtinPolicies, Now: now}
	s.purge, s.sweep = newPurge(db, blobs, now), newSweep(db, blobs, now)
	s.sweepTurn = &expiry.Turn{Turns: db, Job: sweepJob, Holder: uuid.New(), Now: now}
	s.api = &api.Server{Tickets: s.tickets, Keys: db, Ready: s.ready, Log: log, Metrics: s.metrics}
	s.metrics.Backlog(s.backlog)
	return s, nil
}

func newPurge(db *sqlstore.Store, blobs closingStore, now func() time.Time) *expiry.Purge {
	return &expiry.Purge{Queue: db, Blobs: blobs, Now: now}
}

func newSweep(db *sqlstore.Store, blobs closingStore, now func() time.Time) *expiry.Sweep {
	return &expiry.Sweep{Queue: db, Blobs: blobs, Now: now, MinAge: expiry.SweepAge(expiry.Builtin())}
}

func (s *service) close() error {
	return errors.Join(s.blobs.Close(), s.db.Close())
}

// builtinPolicies are the terms of the policies that a sender may name.
func builtinPolicies(_ context.Context, _, name string) (tickets.Terms, bool, error) {
	p, ok := expiry.ForSender(expiry.Builtin(), name)
	return tickets.Terms{
		Policy: p.Name, Unlimited: p.Unlimited, SharedTicket: p.SharedTicket,
		UnopenedTTL: p.UnopenedTTL, ReportWindow: p.ReportWindow, ResumeWindow: p.ResumeWindow,
		UploadTTL: p.UploadTTL, TombstoneTTL: p.TombstoneTTL, MaxSize: p.MaxSize,
	}, ok, nil
}

// ready says why the service cannot do its work now.
func (s *service) ready(ctx context.Context) error {
	if err := s.db.Ping(ctx); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if err := s.checkBlobs(ctx); err != nil {
		return fmt.Errorf("blob store: %w", err)
	}
	return nil
}

// checkFor is how long a blob store that was found good is not asked again: a check
// of a bucket is a dozen requests.
const checkFor = 10 * time.Second

func (s *service) checkBlobs(ctx context.Context) error {
	s.checking.Lock()
	defer s.checking.Unlock()
	if time.Since(s.checked) < checkFor {
		return nil
	}
	if err := s.blobs.Check(ctx); err != nil {
		return err
	}
	s.checked = time.Now()
	return nil
}

func (s *service) backlog(ctx context.Context) (due int64, oldest time.Time, err error) {
	b, err := s.db.Backlog(ctx, time.Now())
	return b.Due, b.OldestDueAt, err
}
