package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/apart"
	"mayfly/expiry"
	"mayfly/internal/api"
	"mayfly/internal/metrics"
	"mayfly/internal/sqlstore"
	"mayfly/reports"
	"mayfly/tickets"
)

// service is Mayfly's parts, put together: what serve runs and demo shows.
type service struct {
	db       *sqlstore.Store
	blobs    *apart.Store
	tickets  *tickets.Service
	reports  *reports.Service
	policies *expiry.Policies
	purge    *expiry.Purge
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
	blobs, err := stores.openStores(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := &service{db: db, blobs: blobs, metrics: metrics.New(), log: log}
	if err := blobs.Check(ctx); err != nil {
		evidence, _ := stores.evidenceURL()
		return nil, errors.Join(fmt.Errorf("--blobs %s, --evidence %s: %w", redactedURL(stores.Blobs), redactedURL(evidence), err), s.close())
	}
	for _, w := range db.Warnings() {
		log.Warn("database: " + w)
	}
	s.policies = &expiry.Policies{Store: db, Now: now}
	s.tickets = &tickets.Service{Store: db, Blobs: blobs, Policies: s.termsOf, Now: now}
	s.reports = &reports.Service{Store: db, Blobs: blobs, Recipients: (*moderators)(nil).recipients, Terms: s.evidenceTerms, Cut: s.tickets.Cut, Now: now}
	s.purge = newPurge(db, blobs, now)
	s.purge.Busy = s.tickets.Serving
	s.sweepTurn = &expiry.Turn{Turns: db, Job: sweepJob, Holder: uuid.New(), Now: now}
	s.api = &api.Server{Tickets: s.tickets, Policies: s.policies, Keys: db, Ready: s.ready, Log: log, Metrics: s.metrics}
	s.api.Purge, s.api.Purged = s.purge, s.purged
	s.api.Reports.Service = s.reports
	s.metrics.Backlog(s.backlog)
	s.metrics.PolicyChanges(s.policies.Unfinished)
	s.metrics.Reports(s.reportBacklog)
	return s, nil
}

func newPurge(db *sqlstore.Store, blobs blobstore.Store, now func() time.Time) *expiry.Purge {
	return &expiry.Purge{Queue: db, Blobs: blobs, Now: now}
}

// newSweep is for one pass: the next one may be after a policy that has changed.
func newSweep(ctx context.Context, policies *expiry.Policies, db *sqlstore.Store, blobs blobstore.Store) (*expiry.Sweep, error) {
	age, err := policies.SweepAge(ctx)
	return &expiry.Sweep{Queue: db, Blobs: blobs, Now: policies.Now, MinAge: age}, err
}

func (s *service) close() error {
	return errors.Join(s.blobs.Close(), s.db.Close())
}

// termsOf are the terms of a policy that a tenant's sender may name.
func (s *service) termsOf(ctx context.Context, tenant, name string) (tickets.Terms, bool, error) {
	p, ok, err := s.policies.ForSender(ctx, tenant, name)
	return tickets.Terms{
		Policy: p.Name, Unlimited: p.Unlimited, SharedTicket: p.SharedTicket,
		UnopenedTTL: p.UnopenedTTL, ReportWindow: p.ReportWindow, ResumeWindow: p.ResumeWindow,
		UploadTTL: p.UploadTTL, TombstoneTTL: p.TombstoneTTL, MaxSize: p.MaxSize,
	}, ok, err
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
	// Not the evidence: without it reports wait, and media goes on.
	if err := s.blobs.Media.Check(ctx); err != nil {
		return err
	}
	s.checked = time.Now()
	return nil
}

// reportBacklog is what the metrics tell of reports.
func (s *service) reportBacklog(ctx context.Context) (metrics.ReportBacklog, error) {
	b, err := s.db.ReportBacklog(ctx, time.Now())
	return metrics.ReportBacklog{Copying: b.Copying, Awaiting: b.Awaiting, Open: b.Open, OldestOpen: b.OldestOpen, Held: b.Held}, err
}

// copied counts and logs what a pass over the reports has copied.
func (s *service) copied(r reports.Copied, err error) {
	s.metrics.Copied(r.Copied, r.Awaiting, r.Failed)
	if err != nil {
		s.log.Error("evidence could not be copied", "error", err)
	}
	for _, f := range r.Failures {
		s.log.Warn("evidence is not copied", "report", f.Report, "error", f.Err)
	}
}

func (s *service) backlog(ctx context.Context) (due int64, oldest time.Time, err error) {
	b, err := s.db.Backlog(ctx, time.Now())
	return b.Due, b.OldestDueAt, err
}
