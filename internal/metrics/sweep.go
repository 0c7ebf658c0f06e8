package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// SweepPass is what one pass of the sweep found and did.
type SweepPass struct {
	// What it found: Orphans are bytes without a row, Stale unfinished uploads, Missing
	// rows without bytes, Damaged rows whose bytes are not of their size.
	Orphans, Stale, Missing, Damaged int64
	// Deleted orphans and Discarded unfinished uploads.
	Deleted, Discarded int64
	// Failed counts what could not be removed.
	Failed int64
	// Braked: it stopped itself before deleting too much.
	Braked bool
}

type sweep struct {
	orphans, stale, missing, damaged prometheus.Gauge
	deleted, discarded               prometheus.Counter
	failures                         prometheus.Counter
	braked, success                  prometheus.Gauge
}

func (m *Metrics) newSweep() sweep {
	found := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "mayfly_sweep_found",
		Help: "What the last sweep found; 0 if another replica made it. orphan: bytes without a row, stale: unfinished uploads, missing: rows without bytes, damaged: rows whose bytes are not of their size (both break promise P1).",
	}, []string{"kind"})
	m.registry.MustRegister(found)
	removed := m.counterVec("mayfly_sweep_removed_total", "What sweeps removed.", "kind")
	return sweep{
		orphans: found.WithLabelValues("orphan"), stale: found.WithLabelValues("stale"),
		missing: found.WithLabelValues("missing"), damaged: found.WithLabelValues("damaged"),
		deleted: removed.WithLabelValues("orphan"), discarded: removed.WithLabelValues("stale"),
		failures: m.counter("mayfly_sweep_failures_total", "What sweeps could not remove."),
		braked:   m.gauge("mayfly_sweep_braked", "1 if the last sweep stopped itself before deleting too much."),
		success:  m.gauge("mayfly_sweep_last_success_timestamp_seconds", "When the last sweep without a failure ended."),
	}
}

// Sweep records a pass. done is when it ended, or the zero time if it failed as a
// whole: then what it found is not all there is, and the gauges stay, unless it was
// its own brake that ended it.
func (m *Metrics) Sweep(p SweepPass, done time.Time) {
	s := m.sweep
	s.deleted.Add(float64(p.Deleted))
	s.discarded.Add(float64(p.Discarded))
	s.failures.Add(float64(p.Failed))
	s.braked.Set(zeroOrOne(p.Braked))
	if done.IsZero() && !p.Braked {
		return
	}
	s.orphans.Set(float64(p.Orphans))
	s.stale.Set(float64(p.Stale))
	s.missing.Set(float64(p.Missing))
	s.damaged.Set(float64(p.Damaged))
	if p.Failed == 0 && !done.IsZero() {
		s.success.Set(seconds(done))
	}
}

// SweptElsewhere says that another replica made the last sweep: what this one found in
// an earlier one must not stand beside what that one tells.
func (m *Metrics) SweptElsewhere() {
	for _, g := range []prometheus.Gauge{m.sweep.orphans, m.sweep.stale, m.sweep.missing, m.sweep.damaged, m.sweep.braked} {
		g.Set(0)
	}
}
