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
		due:      prometheus.NewDesc("mayfly_due_blobs", "Blobs that are due and not purged yet.", nil, nil),
		overdue:  prometheus.NewDesc("mayfly_oldest_overdue_seconds", "How long the oldest due blob has been due; 0 if none is. Alarm on more than a few purge intervals.", nil, nil),
		failures: m.counter("mayfly_backlog_read_failures_total", "Scrapes that could not read what is due."),
	})
}

type backlog struct {
	read         func(context.Context) (int64, time.Time, error)
	due, overdue *prometheus.Desc
	failures     prometheus.Counter
}

func (b *backlog) Describe(ch chan<- *prometheus.Desc) {
	ch <- b.due
	ch <- b.overdue
}

func (b *backlog) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), backlogTimeout)
	defer cancel()
	due, oldest, err := b.read(ctx)
	if err != nil {
		b.failures.Inc()
		return
	}
	var overdue time.Duration
	if !oldest.IsZero() {
		overdue = max(0, time.Since(oldest))
	}
	ch <- prometheus.MustNewConstMetric(b.due, prometheus.GaugeValue, float64(due))
	ch <- prometheus.MustNewConstMetric(b.overdue, prometheus.GaugeValue, overdue.Seconds())
}
