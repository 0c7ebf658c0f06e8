package monitoring

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is what Grafana imports, as far as dashboard.json has it: what is not here
// is a fault.
type dashboard struct {
	UID           string
	Title         string
	Description   string
	Tags          []string
	SchemaVersion int
	Version       int
	Editable      bool
	Refresh       string
	Time          struct{ From, To string }
	Templating    struct{ List []variable }
	Panels        []panel
}

type variable struct {
	Name, Label, Type, Query string
	Datasource               source
	Refresh                  int
	IncludeAll               bool
	AllValue                 string
	Current                  struct{ Text, Value string }
}

type source struct{ Type, UID string }

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               source
	GridPos                  struct{ X, Y, W, H int }
	FieldConfig              struct {
		Defaults struct {
			Unit       string
			Thresholds struct {
				Mode  string
				Steps []struct {
					Color string
					Value *float64
				}
			}
		}
	}
	Targets []struct{ RefID, Expr, LegendFormat string }
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	f, err := os.Open("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var board dashboard
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(&board); err != nil {
		t.Fatal(err)
	}
	if d.More() {
		t.Error("dashboard.json goes on after its object")
	}
	return board
}

func TestDashboard(t *testing.T) {
	t.Parallel()
	board := readDashboard(t)
	if board.UID == "" || board.Title == "" || board.SchemaVersion == 0 {
		t.Errorf("uid %q, title %q, schema %d", board.UID, board.Title, board.SchemaVersion)
	}
	if len(board.Templating.List) == 0 || board.Templating.List[0].Type != "datasource" || board.Templating.List[0].Query != "prometheus" {
		t.Error("whoever imports it cannot choose a data source first")
	}
	var ids []int
	var titles []string
	for i, p := range board.Panels {
		if p.ID <= 0 || p.Title == "" || slices.Contains(ids, p.ID) || slices.Contains(titles, p.Title) {
			t.Errorf("panel %d, %q: id and title must be there and its own", p.ID, p.Title)
		}
		ids, titles = append(ids, p.ID), append(titles, p.Title)
		if p.Datasource != (source{"prometheus", "${datasource}"}) {
			t.Errorf("%s: its data source is %v, not the chosen one", p.Title, p.Datasource)
		}
		if p.Type != "stat" && p.Type != "timeseries" {
			t.Errorf("%s: %q is no type of panel that is used here", p.Title, p.Type)
		}
		if g := p.GridPos; g.X < 0 || g.Y < 0 || g.W < 1 || g.H < 1 || g.X+g.W > 24 {
			t.Errorf("%s does not fit into Grafana's 24 columns: %v", p.Title, g)
		}
		for _, other := range board.Panels[:i] {
			a, b := p.GridPos, other.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%s lies over %s", p.Title, other.Title)
			}
		}
	}
}

// inUse finds Grafana's variables in an expression, and the labels in a legend.
var (
	inUse  = regexp.MustCompile(`\$\{?(\w+)\}?`)
	legend = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)
)

func TestDashboardExpressions(t *testing.T) {
	t.Parallel()
	known := existing(t)
	board := readDashboard(t)
	values := map[string]string{"__rate_interval": "5m"} // Grafana's own
	for _, v := range board.Templating.List {
		values[v.Name] = "anything"
		if inside, ok := strings.CutPrefix(v.Query, "label_values("); ok {
			metric, label, _ := strings.Cut(strings.TrimSuffix(inside, ")"), ", ")
			if _, ok := known[metric].labels[label]; !ok {
				t.Errorf("variable %s: %s has no label %q", v.Name, metric, label)
			}
		}
	}
	var read []string
	for _, p := range board.Panels {
		var refs []string
		for _, target := range p.Targets {
			if target.RefID == "" || slices.Contains(refs, target.RefID) {
				t.Errorf("%s: refId %q must be there and its own", p.Title, target.RefID)
			}
			refs = append(refs, target.RefID)
			text := inUse.ReplaceAllStringFunc(target.Expr, func(v string) string {
				value, ok := values[inUse.FindStringSubmatch(v)[1]]
				if !ok {
					t.Errorf("%s: nothing says what %s is", p.Title, v)
				}
				return value
			})
			e := check(known, text)
			if len(e.faults) > 0 {
				t.Errorf("%s: %s", p.Title, e)
			}
			for _, l := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !slices.Contains(e.labels, l[1]) {
					t.Errorf("%s: the result has no label %q for its legend, but %q", p.Title, l[1], e.labels)
				}
			}
			read = append(read, e.metrics...)
		}
		if len(refs) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
	}
	for _, r := range readRules(t) {
		read = append(read, check(known, r.Expr).metrics...)
	}
	for name := range known {
		ours := strings.HasPrefix(name, "mayfly_") && !strings.HasSuffix(name, "_sum") && !strings.HasSuffix(name, "_count")
		if ours && !slices.Contains(read, name) {
			t.Errorf("%s is in no panel and in no alert: nobody sees it", name)
		}
	}
}
