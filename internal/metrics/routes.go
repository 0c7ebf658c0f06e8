package metrics

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Route counts the requests of one route.
type Route struct {
	name     string
	requests *prometheus.CounterVec
	duration prometheus.Observer
	// codes are the counters of the answers that were given at least once, so that
	// what never happens makes no series, and what happens looks up no labels.
	codes [600]atomic.Pointer[prometheus.Counter]
}

// Route is the counter of a route: its method and pattern, never a path.
func (m *Metrics) Route(name string) *Route {
	return &Route{name: name, requests: m.requests, duration: m.durations.WithLabelValues(name)}
}

// Observe counts an answer. A status that HTTP does not have counts as 500.
func (r *Route) Observe(status int, took time.Duration) {
	if status < 100 || status >= len(r.codes) {
		status = 500
	}
	r.duration.Observe(took.Seconds())
	if c := r.codes[status].Load(); c != nil {
		(*c).Inc()
		return
	}
	c := r.requests.WithLabelValues(r.name, strconv.Itoa(status))
	r.codes[status].Store(&c)
	c.Inc()
}
