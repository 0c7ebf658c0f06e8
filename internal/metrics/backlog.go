package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// backlogTimeout bounds what a scrape waits for the database.
const backlogTimeout = 5 * time.Second

// Backlog makes each scrape ask read how many blobs are due and since when the
// oldest of them is (the zero time if none is). It is called once. If read fails,
// or takes longer than five seconds, the two series are absent from that scrape
// and the failure is counted: an alarm on them has to watch for absence too.
func (m *Metrics) Backlog(read func(context.Context) (due int64, oldest time.Time, err error)) {
	m.registry.MustRegister(&backlog{
		read:     read,
		waiting:  prometheus.NewDesc("mayfly_due_blobs", "Blobs that are due and not purged yet.", nil, nil),
		oldest:   prometheus.NewDesc("mayfly_oldest_overdue_seconds", "How long the oldest due blob has been due; 0 if none is. Alarm on more than a few purge intervals.", nil, nil),
		failures: m.counter("mayfly_backlog_read_failures_total", "Scrapes that could not read what is due."),
	})
}

// PolicyChanges is Backlog for the changes of policies that stored blobs have still to
// follow, and when the oldest of them was made.
func (m *Metrics) PolicyChanges(read func(context.Context) (unfinished int64, oldest time.Time, err error)) {
	m.registry.MustRegister(&backlog{
		read:     read,
		waiting:  prometheus.NewDesc("mayfly_unfinished_policy_changes", "Changes of policies that stored blobs have still to follow.", nil, nil),
		oldest:   prometheus.NewDesc("mayfly_oldest_unfinished_policy_change_seconds", "How long ago the oldest change was made that stored blobs have still to follow; 0 if there is none.", nil, nil),
		failures: m.counter("mayfly_policy_read_failures_total", "Scrapes that could not read which changes of policies are unfinished."),
	})
}

// backlog is how much waits, and for how long.
type backlog struct {
	read            func(context.Context) (int64, time.Time, error)
	waiting, oldest *prometheus.Desc
	failures        prometheus.Counter
}

func (b *backlog) Describe(ch chan<- *prometheus.Desc) {
	ch <- b.waiting
	ch <- b.oldest
}

func (b *backlog) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), backlogTimeout)
	defer cancel()
	n, since, err := b.read(ctx)
	if err != nil {
		b.failures.Inc()
		return
	}
	var age time.Duration
	if !since.IsZero() {
		age = max(0, time.Since(since))
	}
	ch <- prometheus.MustNewConstMetric(b.waiting, prometheus.GaugeValue, float64(n))
	ch <- prometheus.MustNewConstMetric(b.oldest, prometheus.GaugeValue, age.Seconds())
}
