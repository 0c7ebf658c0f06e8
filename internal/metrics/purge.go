package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// PurgePass is what one pass of the purge did.
type PurgePass struct {
	// Erased blobs by reason.
	Erased map[string]int64
	// Failed counts those that were put off.
	Failed int64
	// Braked: it stopped itself before erasing too much. Stopped: an operator has
	// stopped all deletion.
	Braked, Stopped bool
}

type purge struct {
	erased          closed
	failures        prometheus.Counter
	success         prometheus.Gauge
	braked, stopped prometheus.Gauge
}

func (m *Metrics) newPurge() purge {
	return purge{
		erased:   m.closed("mayfly_purged_blobs_total", "Blobs purged.", "reason", purgeReasons),
		failures: m.counter("mayfly_purge_failures_total", "Blobs that could not be purged and were put off."),
		success:  m.gauge("mayfly_purge_last_success_timestamp_seconds", "When the last purge without a failure ended."),
		braked:   m.gauge("mayfly_purge_braked", "1 if the last purge stopped itself before erasing too much of everything."),
		stopped:  m.gauge("mayfly_deletion_stopped", "1 if an operator has stopped all deletion."),
	}
}

// Purge records a pass. done is when it ended, or the zero time if it failed as a whole.
func (m *Metrics) Purge(p PurgePass, done time.Time) {
	for reason, n := range p.Erased {
		m.purge.erased.add(reason, n)
	}
	m.purge.failures.Add(float64(p.Failed))
	m.purge.braked.Set(zeroOrOne(p.Braked))
	m.purge.stopped.Set(zeroOrOne(p.Stopped))
	if p.Failed == 0 && !done.IsZero() {
		m.purge.success.Set(seconds(done))
	}
}

func zeroOrOne(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
