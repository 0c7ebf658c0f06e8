package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// figure is one line of the result.
type figure struct {
	Scenario string `json:"scenario"`
	What     string `json:"what"`
	Unit     unit   `json:"unit"`
	// Plain and Mayfly are medians of the runs below.
	Plain  float64 `json:"plain"`
	Mayfly float64 `json:"mayfly"`
	// Ratio is the median of Mayfly's runs over the plain ones beside them, with
	// the Lowest and the Highest. All are 0 where the target is no ratio.
	Ratio float64 `json:"ratio,omitempty"`
	// Added is, in place of the ratio, by how much Mayfly's runs are more than the
	// plain ones beside them.
	Added   float64 `json:"added,omitempty"`
	Lowest  float64 `json:"lowest,omitempty"`
	Highest float64 `json:"highest,omitempty"`
	Target  target  `json:"target"`
	Met     bool    `json:"met"`
	Noisy   bool    `json:"noisy"`

	PlainRuns  []measurement `json:"plain_runs,omitempty"`
	MayflyRuns []measurement `json:"mayfly_runs,omitempty"`
}

// target is what a figure should be: a ratio of at least AtLeast or, if that is 0,
// a value below Below. Where both are 0 there is none, and it is met.
type target struct {
	AtLeast float64 `json:"at_least,omitempty"`
	Below   float64 `json:"below,omitempty"`
}

// unit says how a value is written.
type unit string

const (
	bytesPerSecond unit = "B/s"
	bytesResident  unit = "B"
	opens          unit = "opens/s"
	uploads        unit = "uploads/s"
	spent          unit = "spends/s"
	milliseconds   unit = "ms"
	connections    unit = "connections"
)

func (u unit) format(v float64) string {
	switch u {
	case bytesPerSecond:
		return fmt.Sprintf("%.0f MiB/s", v/(1<<20))
	case bytesResident:
		return fmt.Sprintf("%.1f MiB", v/(1<<20))
	case milliseconds:
		return fmt.Sprintf("%.1f ms", v)
	}
	return fmt.Sprintf("%.0f %s", v, u)
}

// newFigure makes a figure of runs that stood side by side.
func newFigure(scenario, what string, u unit, plain, mayfly []measurement, atLeast float64) figure {
	f := figure{
		Scenario: scenario, What: what, Unit: u, Target: target{AtLeast: atLeast},
		PlainRuns: plain, MayflyRuns: mayfly,
	}
	var ps, ms, ratios []float64
	for i := range plain {
		ps, ms = append(ps, plain[i].PerSecond), append(ms, mayfly[i].PerSecond)
		ratios = append(ratios, ms[i]/ps[i])
	}
	f.Plain, f.Mayfly, f.Ratio = median(ps), median(ms), median(ratios)
	f.Lowest, f.Highest = slices.Min(ratios), slices.Max(ratios)
	f.Met = f.Ratio >= atLeast
	f.Noisy = noisy(ratios)
	return f
}

// newAdded makes a figure of latencies of runs that stood side by side: what Mayfly
// adds to them. It has no target.
func newAdded(scenario, what string, plain, mayfly []measurement, of func(measurement) float64) figure {
	var ps, ms, added []float64
	for i := range plain {
		ps, ms = append(ps, of(plain[i])), append(ms, of(mayfly[i]))
		added = append(added, ms[i]-ps[i])
	}
	return figure{
		Scenario: scenario, What: what, Unit: milliseconds, Met: true,
		Plain: median(ps), Mayfly: median(ms),
		Added: median(added), Lowest: slices.Min(added), Highest: slices.Max(added),
		Noisy: noisy(added),
	}
}

// newBound makes a figure of values that should stay below a bound. There may be no
// plain ones.
func newBound(scenario, what string, u unit, plain, mayfly []float64, below float64) figure {
	f := figure{Scenario: scenario, What: what, Unit: u, Target: target{Below: below}, Mayfly: median(mayfly)}
	if len(plain) > 0 {
		f.Plain = median(plain)
	}
	f.Met = f.Mayfly < below
	f.Noisy = noisy(mayfly)
	return f
}

// median of at least one value; of an even number the mean of the two in the middle.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// noisy reports whether the middle half of the values lies further apart than
// 15 % of their median: then the median may be off by as much.
func noisy(values []float64) bool {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	return s[n-1-n/4]-s[n/4] > 0.15*median(s)
}

// plain is empty where only Mayfly was measured.
func (f figure) plain() string {
	if f.Plain == 0 {
		return ""
	}
	return f.Unit.format(f.Plain)
}

// ratio is also what was added; it is empty if there is neither.
func (f figure) ratio() string {
	switch {
	case f.Added != 0:
		return fmt.Sprintf("%+.1f ms (%+.1f to %+.1f)", f.Added, f.Lowest, f.Highest)
	case f.Ratio != 0:
		return fmt.Sprintf("%.2f (%.2f to %.2f)", f.Ratio, f.Lowest, f.Highest)
	}
	return ""
}

func (f figure) target() string {
	switch {
	case f.Target.AtLeast > 0 && math.Mod(10*f.Target.AtLeast, 1) == 0:
		return fmt.Sprintf("at least %.1f", f.Target.AtLeast)
	case f.Target.AtLeast > 0:
		return fmt.Sprintf("at least %.2f", f.Target.AtLeast)
	case f.Target.Below > 0:
		return "below " + f.Unit.format(f.Target.Below)
	}
	return "none"
}

// verdict is said plainly: a missed target is missed.
func (f figure) verdict() string {
	var s []string
	switch {
	case f.Target == target{}:
	case f.Met:
		s = append(s, "met")
	default:
		s = append(s, "missed")
	}
	if f.Noisy {
		s = append(s, "noisy")
	}
	return strings.Join(s, ", ")
}

// String tells the figure and its runs, for a person who watches.
func (f figure) String() string {
	var s strings.Builder
	for _, side := range []struct {
		name string
		runs []measurement
	}{{"plain ", f.PlainRuns}, {"mayfly", f.MayflyRuns}} {
		for i, m := range side.runs {
			fmt.Fprintf(&s, "  %s %d  %s in %.2f s", side.name, i+1, f.Unit.format(m.PerSecond), m.Seconds)
			if m.ServerCPU > 0 {
				fmt.Fprintf(&s, ", its processor time %.2f s", m.ServerCPU)
			}
			if m.Others > 0 {
				fmt.Fprintf(&s, ", others' %.2f s", m.Others)
			}
			if m.P99 > 0 {
				fmt.Fprintf(&s, ", half within %.1f ms, 99 %% within %.1f ms", m.P50, m.P99)
			}
			s.WriteByte('\n')
		}
	}
	fmt.Fprintf(&s, "  %s: ", f.What)
	if plain := f.plain(); plain != "" {
		fmt.Fprintf(&s, "plain %s, ", plain)
	}
	fmt.Fprintf(&s, "Mayfly %s", f.Unit.format(f.Mayfly))
	switch {
	case f.Added != 0:
		s.WriteString(", added " + f.ratio())
	case f.Ratio != 0:
		s.WriteString(", ratio " + f.ratio())
	}
	fmt.Fprintf(&s, ", target %s", f.target())
	if verdict := f.verdict(); verdict != "" {
		s.WriteString(": " + verdict)
	}
	return s.String()
}
