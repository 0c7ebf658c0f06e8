package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"mayfly/expiry"
	"mayfly/internal/metrics"
)

// The jobs by their names, in logs and metrics.
const (
	purgeJob  = "purge"
	sweepJob  = "sweep"
	policyJob = "policies"
)

// policySpec is when changes of policies are looked for that stored blobs have still to
// follow: there are any only after a server died, or if it takes longer than its caller waits.
const policySpec = "@every 1m"

// schedule is the jobs at their times, counted and logged.
func (s *service) schedule(purgeSpec, sweepSpec string) (*expiry.Schedule, error) {
	return expiry.NewSchedule(s.observe,
		expiry.Job{Name: purgeJob, Spec: purgeSpec, Run: s.runPurge},
		expiry.Job{Name: sweepJob, Spec: sweepSpec, Run: s.runSweep},
		expiry.Job{Name: policyJob, Spec: policySpec, Run: s.finishPolicies},
	)
}

func (s *service) runPurge(ctx context.Context) error {
	r, err := s.purge.Run(ctx)
	s.purged(r, err)
	return err
}

// purged counts and logs a pass, also one that the API was asked for.
func (s *service) purged(r expiry.PurgeResult, err error) {
	s.metrics.Purge(metrics.PurgePass{
		Erased: r.Reasons, Failed: r.Stages, Unsigned: r.Unsigned,
		Braked: errors.Is(err, expiry.ErrBrake), Stopped: errors.Is(err, expiry.ErrStopped),
	}, endOf(err))
	if r.Erased+r.Failed+r.Forgotten > 0 {
		s.log.Info("purge", "erased", r.Erased, "bytes", r.Bytes, "failed", r.Failed, "forgotten", r.Forgotten)
	}
	if r.Unsigned > 0 {
		s.log.Warn("blobs were erased without a receipt: their rows say what cannot be true", "blobs", r.Unsigned)
	}
	s.warn("purge", r.Failures)
}

// runSweep is this replica's, when it is its turn: one lists the store for all. The
// purge needs no such thing, as what is due is divided among all who ask for it.
func (s *service) runSweep(ctx context.Context) error {
	mine := false
	err := s.sweepTurn.Run(ctx, func(ctx context.Context) error {
		mine = true
		return s.sweepOnce(ctx)
	})
	if err == nil && !mine {
		s.metrics.SweptElsewhere()
	}
	return err
}

func (s *service) sweepOnce(ctx context.Context) error {
	sweep, err := newSweep(ctx, s.policies, s.db, s.blobs)
	if err != nil {
		return err
	}
	r, err := sweep.Run(ctx)
	s.metrics.Sweep(metrics.SweepPass{
		Orphans: r.Orphans, Stale: r.Stale, Missing: r.Missing - r.Damaged, Damaged: r.Damaged,
		Deleted: r.Deleted, Discarded: r.Discarded, Failed: r.Failed, Braked: r.Braked,
	}, endOf(err))
	if r.Orphans+r.Stale+r.Failed > 0 {
		s.log.Info("sweep", "listed", r.Listed, "orphans", r.Orphans, "stale", r.Stale,
			"deleted", r.Deleted, "discarded", r.Discarded, "failed", r.Failed)
	}
	for _, m := range r.MissingBlobs {
		s.log.Error("bytes are missing: a promise is broken (P1)", "blob", m.ID, "error", m.Err)
	}
	s.warn("sweep", r.Failures)
	return err
}

// finishPolicies lets stored blobs follow the changes that are not finished. Replicas
// need no turn at it: they take a page each.
func (s *service) finishPolicies(ctx context.Context) error {
	changes, err := s.policies.Finish(ctx)
	for _, c := range changes {
		s.log.Info("stored blobs follow a policy", "policy", c.Name, "blobs", c.Blobs, "bytes", c.Bytes, "finished", !c.FinishedAt.IsZero())
	}
	return err
}

func (s *service) warn(job string, failures []expiry.Failure) {
	for _, f := range failures {
		of := []any{"blob", f.ID}
		if f.Stage != "" {
			of = append(of, "stage", f.Stage)
		}
		s.log.Warn(job+" put off", append(of, "error", f.Err)...)
	}
}

// observe tells of a pass that failed as a whole.
func (s *service) observe(p expiry.Pass) {
	var caught *expiry.PanicError
	switch {
	case errors.As(p.Err, &caught):
		s.metrics.JobPanic(p.Job)
		s.log.Error("a background job panicked", "job", p.Job, "panic", caught.Value, "stack", string(caught.Stack))
	case p.Err != nil && !errors.Is(p.Err, context.Canceled):
		s.log.Error("a background job failed", "job", p.Job, "error", p.Err, "took", p.Took)
	}
	if p.Skipped > 0 {
		s.log.Warn("a background job takes longer than its interval", "job", p.Job, "took", p.Took, "skipped", p.Skipped)
	}
}

// endOf is when a pass ended, or the zero time if it failed.
func endOf(err error) time.Time {
	if err != nil {
		return time.Time{}
	}
	return time.Now()
}

// tellPlans says what the schedule's expressions mean.
func tellPlans(log *slog.Logger, s *expiry.Schedule) {
	for _, p := range s.Plans(time.Now().UTC()) {
		log.Info("schedule", "job", p.Job, "spec", p.Spec, "next", p.Next)
	}
}
