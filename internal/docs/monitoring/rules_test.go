package monitoring

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// ruleFile is what Prometheus reads (its model/rulefmt), as far as rules.yaml has it:
// what is not here is a fault.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []rule
	}
}

type rule struct {
	Alert, Expr         string
	For                 string
	Labels, Annotations map[string]string
}

// readRules are the rules by the names of their alerts.
func readRules(t *testing.T) map[string]rule {
	t.Helper()
	content, err := os.ReadFile("rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var f ruleFile
	d := yaml.NewDecoder(bytes.NewReader(content))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil {
		t.Fatal(err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Errorf("rules.yaml goes on after its document: %v", err)
	}
	rules := map[string]rule{}
	var groups []string
	for _, g := range f.Groups {
		if g.Name == "" || slices.Contains(groups, g.Name) || len(g.Rules) == 0 {
			t.Errorf("group %q: its name must be there and its own, and it must have rules", g.Name)
		}
		groups = append(groups, g.Name)
		for _, r := range g.Rules {
			if _, ok := rules[r.Alert]; ok || !model.LabelValue(r.Alert).IsValid() || !strings.HasPrefix(r.Alert, "Mayfly") {
				t.Errorf("alert %q: its name must be its own and begin with Mayfly", r.Alert)
			}
			rules[r.Alert] = r
		}
	}
	return rules
}

func TestRules(t *testing.T) {
	t.Parallel()
	known := existing(t)
	for name, r := range readRules(t) {
		e := check(known, r.Expr)
		if len(e.faults) > 0 {
			t.Errorf("%s: %s", name, e)
		}
		if r.For != "" {
			if _, err := model.ParseDuration(r.For); err != nil {
				t.Errorf("%s: for: %v", name, err)
			}
		}
		if severity := r.Labels["severity"]; len(r.Labels) != 1 || severity != "critical" && severity != "warning" {
			t.Errorf("%s: labels are %v, not a severity that README.md explains", name, r.Labels)
		}
		if len(r.Annotations) != 2 {
			t.Errorf("%s: annotations are summary and description", name)
		}
		for _, field := range []string{"summary", "description"} {
			if text, err := annotation(r.Annotations[field], e.labels); err != nil || text == "" {
				t.Errorf("%s: %s %q: %v", name, field, text, err)
			}
		}
	}
}

// annotation is the text of an annotation of an alert with these labels, as Prometheus
// would make it, with as many of its functions as are used.
func annotation(text string, labels []string) (string, error) {
	functions := template.FuncMap{}
	for _, name := range []string{"humanize", "humanizeDuration", "humanizePercentage"} {
		functions[name] = func(v float64) string { return fmt.Sprint(v) }
	}
	t, err := template.New("").Funcs(functions).Option("missingkey=error").
		Parse("{{$labels := .Labels}}{{$value := .Value}}" + text)
	if err != nil {
		return "", err
	}
	data := struct {
		Labels map[string]string
		Value  float64
	}{map[string]string{}, 1}
	for _, l := range labels {
		data.Labels[l] = l
	}
	var out strings.Builder
	err = t.Execute(&out, data)
	return out.String(), err
}

// TestEveryAlarmIsThere: what an operator must be told of is in an alert.
func TestEveryAlarmIsThere(t *testing.T) {
	t.Parallel()
	known := existing(t)
	var read []string
	for _, r := range readRules(t) {
		read = append(read, check(known, r.Expr).metrics...)
	}
	for _, name := range []string{
		"mayfly_oldest_overdue_seconds", "mayfly_due_blobs",
		"mayfly_purge_last_success_timestamp_seconds", "mayfly_purge_failures_total", "mayfly_purge_unsigned_total",
		"mayfly_purge_braked", "mayfly_deletion_stopped", "mayfly_oldest_unfinished_policy_change_seconds",
		"mayfly_sweep_found", "mayfly_sweep_braked", "mayfly_sweep_last_success_timestamp_seconds",
		"mayfly_http_requests_total", "mayfly_opens_total", "mayfly_job_panics_total", "up",
	} {
		if !slices.Contains(read, name) {
			t.Errorf("no alert reads %s", name)
		}
	}
}

// TestREADMEHasEachAlert holds the table of README.md against the rules.
func TestREADMEHasEachAlert(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := readRules(t)
	rows := regexp.MustCompile(`(?m)^\| (Mayfly\w+) \| (\w+) \| .+ \|$`).FindAllStringSubmatch(string(readme), -1)
	for _, row := range rows {
		if r, ok := rules[row[1]]; !ok || r.Labels["severity"] != row[2] {
			t.Errorf("README.md has %s, %s; rules.yaml has %q", row[1], row[2], r.Labels["severity"])
		}
	}
	if len(rows) != len(rules) {
		t.Errorf("README.md has %d alerts, rules.yaml %d", len(rows), len(rules))
	}
}
