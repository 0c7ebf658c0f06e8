package monitoring

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.yaml.in/yaml/v3"

	"mayfly/internal/metrics"
)

// series is a metric name that Prometheus stores, with the labels that it can have.
type series struct {
	kind dto.MetricType
	// labels and all their values. nil instead of values: any.
	labels map[string][]string
}

// existing are the series of a Mayfly that was asked everything at least once, by name,
// with those that Prometheus itself makes.
func existing(t *testing.T) map[string]series {
	t.Helper()
	m := metrics.New()
	m.Backlog(func(context.Context) (int64, time.Time, error) { return 1, time.Now(), nil })
	m.PolicyChanges(func(context.Context) (int64, time.Time, error) { return 1, time.Now(), nil })
	m.Reports(func(context.Context) (metrics.ReportBacklog, error) { return metrics.ReportBacklog{}, nil })
	// Of routes and codes none is there beforehand.
	for _, route := range routes(t) {
		m.Route(route).Observe(200, time.Millisecond)
	}
	for status := 100; status < 600; status++ {
		m.Route("none").Observe(status, time.Millisecond)
	}
	families, err := m.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]series{"up": {kind: dto.MetricType_GAUGE, labels: ofTarget()}}
	for _, f := range families {
		s := series{kind: f.GetType(), labels: ofTarget()}
		for _, one := range f.GetMetric() {
			for _, l := range one.GetLabel() {
				if _, ok := ofTarget()[l.GetName()]; ok {
					t.Errorf("%s: Prometheus would rename the label %s, as it has one of its own", f.GetName(), l.GetName())
				}
				if !slices.Contains(s.labels[l.GetName()], l.GetValue()) {
					s.labels[l.GetName()] = append(s.labels[l.GetName()], l.GetValue())
				}
			}
		}
		if s.kind != dto.MetricType_HISTOGRAM {
			all[f.GetName()] = s
			continue
		}
		s.kind = dto.MetricType_COUNTER
		all[f.GetName()+"_sum"], all[f.GetName()+"_count"] = s, s
		bucket := series{kind: s.kind, labels: ofTarget()}
		for name, values := range s.labels {
			bucket.labels[name] = values
		}
		bucket.labels["le"] = nil
		all[f.GetName()+"_bucket"] = bucket
	}
	return all
}

// ofTarget are the labels that Prometheus adds to what it scrapes.
func ofTarget() map[string][]string { return map[string][]string{"job": nil, "instance": nil} }

// routes are the operations of the API, as package api calls them in metrics.
func routes(t *testing.T) []string {
	t.Helper()
	doc, err := os.ReadFile("../../../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var api struct {
		Paths map[string]map[string]any
	}
	if err := yaml.Unmarshal(doc, &api); err != nil {
		t.Fatal(err)
	}
	names := []string{"none"} // what is no route of ours
	for path, item := range api.Paths {
		for method := range item {
			switch method {
			case "get":
				names = append(names, "GET "+path, "HEAD "+path)
			case "put", "post", "delete", "head":
				names = append(names, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
