package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ReportBacklog is what waits of the reports.
type ReportBacklog struct {
	Copying, Awaiting, Open int64
	// OldestOpen is when the oldest undecided report was filed; zero if there is none.
	OldestOpen time.Time
	// Held counts the holds that keep evidence.
	Held int64
}

var copyOutcomes = []string{"copied", "awaiting_media", "failed"}

// Copied counts what became of copies of evidence.
func (m *Metrics) Copied(copied, awaiting, failed int64) {
	m.copies.add("copied", copied)
	m.copies.add("awaiting_media", awaiting)
	m.copies.add("failed", failed)
}

// Reports makes each scrape ask read what waits. It is called once. If read fails, or
// takes longer than five seconds, the series are absent from that scrape and the failure
// is counted.
func (m *Metrics) Reports(read func(context.Context) (ReportBacklog, error)) {
	m.registry.MustRegister(&reportBacklog{
		read:     read,
		waiting:  prometheus.NewDesc("mayfly_reports_waiting", "Reports that are not decided: copying, awaiting_media or open.", []string{"state"}, nil),
		oldest:   prometheus.NewDesc("mayfly_oldest_open_report_seconds", "How long the oldest open report has been waiting; 0 if none is.", nil, nil),
		held:     prometheus.NewDesc("mayfly_holds", "Holds that keep evidence from being deleted.", nil, nil),
		failures: m.counter("mayfly_report_read_failures_total", "Scrapes that could not read what waits of the reports."),
	})
}

type reportBacklog struct {
	read                  func(context.Context) (ReportBacklog, error)
	waiting, oldest, held *prometheus.Desc
	failures              prometheus.Counter
}

func (b *reportBacklog) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{b.waiting, b.oldest, b.held} {
		ch <- d
	}
}

func (b *reportBacklog) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), backlogTimeout)
	defer cancel()
	now, err := b.read(ctx)
	if err != nil {
		b.failures.Inc()
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(b.waiting, float64(now.Copying), "copying")
	gauge(b.waiting, float64(now.Awaiting), "awaiting_media")
	gauge(b.waiting, float64(now.Open), "open")
	var oldest time.Duration
	if !now.OldestOpen.IsZero() {
		oldest = max(0, time.Since(now.OldestOpen))
	}
	gauge(b.oldest, oldest.Seconds())
	gauge(b.held, float64(now.Held))
}
