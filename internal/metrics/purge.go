package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// PurgePass is what one pass of the purge did.
type PurgePass struct {
	// Erased blobs by reason.
	Erased map[string]int64
	// Failed are those that have to come again, by the stage that failed.
	Failed map[string]int64
	// Unsigned of the erased have no receipt although there is a key to sign with.
	Unsigned int64
	// Braked: it stopped itself before erasing too much. Stopped: an operator has
	// stopped all deletion.
	Braked, Stopped bool
}

type purge struct {
	erased          closed
	failures        closed
	unsigned        prometheus.Counter
	success         prometheus.Gauge
	braked, stopped prometheus.Gauge
}

func (m *Metrics) newPurge() purge {
	return purge{
		erased:   m.closed("mayfly_purged_blobs_total", "Blobs purged.", "reason", purgeReasons),
		failures: m.closed("mayfly_purge_failures_total", "Blobs that could not be purged and come again, by what failed. delete: the store refused, verify: it does not show that they are gone, unfinished: an unfinished upload remains, record: they are gone, but not on record.", "stage", purgeStages),
		unsigned: m.counter("mayfly_purge_unsigned_total", "Blobs purged without a receipt although there is a key to sign with."),
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
	for stage, n := range p.Failed {
		m.purge.failures.add(stage, n)
	}
	m.purge.unsigned.Add(float64(p.Unsigned))
	m.purge.braked.Set(zeroOrOne(p.Braked))
	m.purge.stopped.Set(zeroOrOne(p.Stopped))
	if len(p.Failed) == 0 && !done.IsZero() {
		m.purge.success.Set(seconds(done))
	}
}

func zeroOrOne(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
