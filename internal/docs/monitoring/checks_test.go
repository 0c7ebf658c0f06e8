package monitoring

import (
	"maps"
	"strings"
	"testing"
)

// TestChecksCanFail proves that each check refuses what it is there to refuse.
func TestChecksCanFail(t *testing.T) {
	t.Parallel()
	known := existing(t)
	for expr, fault := range map[string]string{
		`max by (job) (mayfly_due_blobs) > 1`:                       "",
		`mayfly_due_blobs >`:                                        "unexpected end of input",
		`mayfly_due_things > 1`:                                     "no metric",
		`mayfly_sweep_found{sort="missing"}`:                        "no label",
		`mayfly_sweep_found{kind="mising"}`:                         "never",
		`mayfly_sweep_found{kind!="mising"}`:                        "never",
		`mayfly_sweep_found{kind=~"missing|damagd"}`:                "never",
		`mayfly_sweep_found{kind=~"x.+"}`:                           "like",
		`mayfly_due_blobs{job="any", instance="any"}`:               "",
		`rate(mayfly_http_requests_total{code="600"}[5m])`:          "never",
		`rate(mayfly_http_requests_total{route="GET /health"}[5m])`: "never",
		`sum by (stages) (rate(mayfly_purge_failures_total[5m]))`:   "nothing in it has a label",
		`mayfly_due_blobs > on (kind) mayfly_purge_braked`:          "nothing in it has a label",
		`rate(mayfly_due_blobs[5m])`:                                "for counters",
		`mayfly_purge_failures_total > 0`:                           "for counters",
	} {
		got := check(known, expr).String()
		if (fault == "") != (got == "") || !strings.Contains(got, fault) {
			t.Errorf("%s: %q, want %q", expr, got, fault)
		}
	}
	for text, labels := range map[string][]string{
		"{{ $labels.stage }}":            {"job"},
		"{{ $value | humanizeSeconds }}": nil,
		"{{ $value ":                     nil,
	} {
		if got, err := annotation(text, labels); err == nil {
			t.Errorf("%s became %q", text, got)
		}
	}
}

// TestRenamedMetric takes each metric away that the rules read: as if it had another name.
func TestRenamedMetric(t *testing.T) {
	t.Parallel()
	known := existing(t)
	for name, r := range readRules(t) {
		for _, metric := range check(known, r.Expr).metrics {
			without := maps.Clone(known)
			delete(without, metric)
			if check(without, r.Expr).faults == nil {
				t.Errorf("%s: nobody notices that %s is not there", name, metric)
			}
		}
	}
}
