package monitoring

import (
	"fmt"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// expression is one that is checked: what it reads, and what is wrong with it.
type expression struct {
	metrics []string // by name, in order of appearance
	labels  []string // that its result may have
	faults  []string
}

func (e *expression) fault(format string, args ...any) {
	e.faults = append(e.faults, fmt.Sprintf(format, args...))
}

// check parses an expression of PromQL and holds each metric, label and value in it
// against what exists.
func check(existing map[string]series, text string) *expression {
	e := new(expression)
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		e.fault("%v", err)
		return e
	}
	parser.Inspect(parsed, func(node parser.Node, path []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			e.selector(existing, n, path)
		case *parser.AggregateExpr:
			e.names(existing, n, n.Grouping)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				e.names(existing, n, append(slices.Clone(n.VectorMatching.MatchingLabels), n.VectorMatching.Include...))
			}
		}
		return nil
	})
	e.labels = labelsOf(existing, parsed)
	return e
}

// selector checks one selection of series, and whether it is treated as what it is: a
// counter by its increase, a gauge by its value.
func (e *expression) selector(existing map[string]series, s *parser.VectorSelector, path []parser.Node) {
	e.metrics = append(e.metrics, s.Name)
	known, ok := existing[s.Name]
	if !ok {
		e.fault("there is no metric %q", s.Name)
		return
	}
	for _, m := range s.LabelMatchers {
		if m.Name != model.MetricNameLabel {
			e.matcher(s.Name, known, m)
		}
	}
	counted := slices.ContainsFunc(path, func(n parser.Node) bool {
		call, ok := n.(*parser.Call)
		return ok && slices.Contains([]string{"rate", "increase", "irate"}, call.Func.Name)
	})
	if isCounter := known.kind == dto.MetricType_COUNTER; counted != isCounter {
		e.fault("%s is a %s: rate() and increase() are for counters, and counters for them", s.Name, known.kind)
	}
}

// matcher checks that a label exists and that each value which it names does.
func (e *expression) matcher(metric string, known series, m *labels.Matcher) {
	values, ok := known.labels[m.Name]
	switch {
	case !ok:
		e.fault("%s has no label %q", metric, m.Name)
	case values == nil:
	case m.Type == labels.MatchEqual || m.Type == labels.MatchNotEqual:
		if !slices.Contains(values, m.Value) {
			e.fault("%s is never %s=%q", metric, m.Name, m.Value)
		}
	default:
		named := m.SetMatches() // of "a|b": a, b
		for _, v := range named {
			if !slices.Contains(values, v) {
				e.fault("%s is never %s=%q", metric, m.Name, v)
			}
		}
		positive := labels.MustNewMatcher(labels.MatchRegexp, m.Name, m.Value)
		if len(named) == 0 && !slices.ContainsFunc(values, positive.Matches) {
			e.fault("%s has no %s like %q", metric, m.Name, m.Value)
		}
	}
}

// names checks that the labels by which something is grouped or joined are there.
func (e *expression) names(existing map[string]series, node parser.Node, names []string) {
	for _, name := range names {
		if !slices.Contains(allLabels(existing, node), name) {
			e.fault("%s: nothing in it has a label %q", node, name)
		}
	}
}

// labelsOf are the labels of an expression's result: those that it is grouped by, or all.
func labelsOf(existing map[string]series, node parser.Expr) []string {
	switch n := node.(type) {
	case *parser.AggregateExpr:
		if !n.Without {
			return n.Grouping
		}
	case *parser.BinaryExpr:
		if n.LHS.Type() == parser.ValueTypeScalar {
			return labelsOf(existing, n.RHS)
		}
		return labelsOf(existing, n.LHS)
	case *parser.ParenExpr:
		return labelsOf(existing, n.Expr)
	case *parser.Call:
		if n.Func.Name == "absent" {
			return nil
		}
		for _, arg := range n.Args {
			if arg.Type() != parser.ValueTypeScalar {
				return labelsOf(existing, arg)
			}
		}
	}
	return allLabels(existing, node)
}

// allLabels are the labels of all series that are read anywhere below a node.
func allLabels(existing map[string]series, node parser.Node) (all []string) {
	parser.Inspect(node, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			for name := range existing[s.Name].labels {
				all = append(all, name)
			}
		}
		return nil
	})
	return all
}

func (e *expression) String() string { return strings.Join(e.faults, "\n") }
