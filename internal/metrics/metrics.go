package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// The outcomes of a transfer beside the codes of the API's problems.
const (
	OutcomeSent        = "sent"         // every byte went out
	OutcomeClientGone  = "client_gone"  // the client broke the connection
	OutcomeTooSlow     = "too_slow"     // cut: slower than the least rate, or too long
	OutcomeUnsent      = "unsent"       // cut: the sender took the blob back
	OutcomeStoreFailed = "store_failed" // cut: the blob store broke off
	OutcomeStored      = "stored"       // an upload that is durable
)

// other stands for every label value that is in no list.
const other = "other"

var (
	openOutcomes = []string{
		OutcomeSent, OutcomeClientGone, OutcomeTooSlow, OutcomeUnsent, OutcomeStoreFailed,
		"not_uploaded", "opened", "expired", "revoked", "erased", "unknown_ticket", "unavailable", "internal",
	}
	uploadOutcomes = []string{
		OutcomeStored, OutcomeClientGone,
		"invalid_request", "unknown_grant", "already_stored", "not_uploaded", "too_late", "too_large", "size_mismatch",
		"digest_mismatch", "body_timeout", "unavailable", "insufficient_storage", "internal",
	}
	purgeReasons = []string{"unopened", "opened", "unsent", "not_uploaded", "retention", "withdrawn"}
	purgeStages  = []string{"delete", "verify", "unfinished", "record"}
	jobs         = []string{"purge", "sweep", "policies"}
)

// Metrics counts what Mayfly does. Make it with New. All methods may be called at
// the same time.
type Metrics struct {
	registry *prometheus.Registry

	opens, uploads     closed
	received, sent     prometheus.Counter
	receiving, sending prometheus.Gauge
	requests           *prometheus.CounterVec
	durations          *prometheus.HistogramVec

	purge  purge
	sweep  sweep
	copies closed
	panics closed
}

// New makes the metrics, with those of the Go runtime and the process.
func New() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.opens = m.closed("mayfly_opens_total", "Attempts to open a blob.", "outcome", openOutcomes)
	m.uploads = m.closed("mayfly_uploads_total", "Attempts to upload the bytes of a blob.", "outcome", uploadOutcomes)

	bytes := m.counterVec("mayfly_blob_bytes_total", "Bytes of blobs, in: from uploading clients, out: to opening ones.", "direction")
	m.received, m.sent = bytes.WithLabelValues("in"), bytes.WithLabelValues("out")
	inFlight := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "mayfly_transfers_in_flight", Help: "Transfers of blobs under way.",
	}, []string{"direction"})
	m.registry.MustRegister(inFlight)
	m.receiving, m.sending = inFlight.WithLabelValues("in"), inFlight.WithLabelValues("out")

	m.requests = m.counterVec("mayfly_http_requests_total", "Answered requests. Code 499: the client had gone.", "route", "code")
	m.durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "mayfly_http_request_duration_seconds",
		Help: "Time from a request's header to the end of its answer, transfers included.",
		// From a read of the embedded database to a long video over a slow line.
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 120, 600, 3600},
	}, []string{"route"})
	m.registry.MustRegister(m.durations)

	m.purge = m.newPurge()
	m.sweep = m.newSweep()
	m.copies = m.closed("mayfly_evidence_copies_total", "Copies of reported blobs. awaiting_media: the bytes were not to be had.", "outcome", copyOutcomes)
	// Prometheus has a label "job" of its own, and would rename ours.
	m.panics = m.closed("mayfly_job_panics_total", "Panics of background jobs that were caught.", "name", jobs)
	return m
}

// Gatherer is what a scrape reads.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// Open counts an attempt to open a blob.
func (m *Metrics) Open(outcome string) { m.opens.add(outcome, 1) }

// Upload counts an attempt to upload the bytes of a blob.
func (m *Metrics) Upload(outcome string) { m.uploads.add(outcome, 1) }

// Receiving says that the bytes of a blob begin to come in; Received that it is
// over, after n of them.
func (m *Metrics) Receiving() { m.receiving.Inc() }

// Received ends what Receiving began.
func (m *Metrics) Received(n int64) {
	m.receiving.Dec()
	m.received.Add(float64(n))
}

// Sending says that the bytes of a blob begin to go out; Sent that it is over,
// after n of them.
func (m *Metrics) Sending() { m.sending.Inc() }

// Sent ends what Sending began.
func (m *Metrics) Sent(n int64) {
	m.sending.Dec()
	m.sent.Add(float64(n))
}

// JobPanic counts a panic of a background job.
func (m *Metrics) JobPanic(job string) { m.panics.add(job, 1) }

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1e3 }

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	m.registry.MustRegister(g)
	return g
}

func (m *Metrics) counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

// closed is a counter with one label whose values are all known beforehand: they
// are there from the start, as 0, and no others can come in.
type closed map[string]prometheus.Counter

func (m *Metrics) closed(name, help, label string, values []string) closed {
	vec := m.counterVec(name, help, label)
	c := closed{other: vec.WithLabelValues(other)}
	for _, v := range values {
		c[v] = vec.WithLabelValues(v)
	}
	return c
}

func (c closed) add(value string, n int64) {
	counter, ok := c[value]
	if !ok {
		counter = c[other]
	}
	counter.Add(float64(n))
}
