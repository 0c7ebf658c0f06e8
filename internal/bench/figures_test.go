package main

import (
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{1, 2}, 1.5},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestNoisy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   bool
	}{
		{[]float64{1}, false},
		{[]float64{1, 1.1, 1.05, 1.02, 1.03}, false},
		{[]float64{1, 1, 1, 1, 3}, false}, // one that stands out does not move a median
		{[]float64{0.5, 0.7, 1, 1.3, 1.5}, true},
		{[]float64{1, 2}, true},
	} {
		if got := noisy(c.values); got != c.want {
			t.Errorf("noisy(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func perSecond(values ...float64) []measurement {
	var runs []measurement
	for _, v := range values {
		runs = append(runs, measurement{PerSecond: v})
	}
	return runs
}

func TestFigureComparesRunsThatStoodSideBySide(t *testing.T) {
	t.Parallel()
	// The machine got slower from run to run, for both: the ratio is the same.
	f := newFigure("s", "w", opens, perSecond(400, 200, 100), perSecond(200, 100, 50), 0.5)
	if f.Ratio != 0.5 || f.Lowest != 0.5 || f.Highest != 0.5 || f.Plain != 200 || f.Mayfly != 100 {
		t.Errorf("got %+v", f)
	}
	if got := f.verdict(); got != "met" {
		t.Errorf("verdict = %q", got)
	}
	f = newFigure("s", "w", opens, perSecond(100, 100, 100), perSecond(40, 45, 49), 0.5)
	if got := f.verdict(); f.Met || !strings.HasPrefix(got, "missed") {
		t.Errorf("verdict = %q of %+v", got, f)
	}
}

func TestBound(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, c := range []struct {
		mayfly float64
		want   string
	}{{63.9 * mib, "met"}, {64 * mib, "missed"}} {
		f := newBound("memory", "w", bytesResident, []float64{20 * mib}, []float64{c.mayfly}, 64*mib)
		if got := f.verdict(); got != c.want {
			t.Errorf("%s: %q, want %q", f, got, c.want)
		}
	}
}

func TestAdded(t *testing.T) {
	t.Parallel()
	latency := func(values ...float64) []measurement {
		var runs []measurement
		for _, v := range values {
			runs = append(runs, measurement{P50: v})
		}
		return runs
	}
	f := newAdded("s", "w", latency(2, 4, 8), latency(3, 5.1, 9.11), func(m measurement) float64 { return m.P50 })
	if want := "  w: plain 4.0 ms, Mayfly 5.1 ms, added +1.1 ms (+1.0 to +1.1), target none"; f.String() != want {
		t.Errorf("got %q, want %q", f, want)
	}
}

func TestTargetText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		target target
		want   string
	}{
		{target{AtLeast: 0.9}, "at least 0.9"},
		{target{AtLeast: 0.85}, "at least 0.85"},
		{target{AtLeast: 3}, "at least 3.0"},
		{target{Below: 64 << 20}, "below 64.0 MiB"},
		{target{}, "none"},
	} {
		if got := (figure{Unit: bytesResident, Target: c.target}).target(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.target, got, c.want)
		}
	}
}

func TestLayersAddUp(t *testing.T) {
	t.Parallel()
	ls := layersOf([]float64{100, 130, 160, 200})
	var sum, share float64
	for _, l := range ls {
		sum, share = sum+l.Micros, share+l.Share
	}
	if sum != 200 || share < 0.999 || share > 1.001 || ls[3].Micros != 40 || ls[3].Share != 0.2 {
		t.Errorf("got %+v", ls)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	var out, progress strings.Builder
	r := report{Machine: machine{Cores: 2, Filesystem: "ext4"}, Runs: 3, progress: &progress}
	r.add(newFigure("small-open", "64 KiB opens", opens, perSecond(100, 100, 100), perSecond(49, 49, 49), 0.5))
	r.add(newBound("memory", "peak", bytesResident, []float64{20 << 20}, []float64{40 << 20}, 64<<20))
	r.Layers = layersOf([]float64{1, 2, 3, 4})
	if err := r.write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"0.49 (0.49 to 0.49)", "at least 0.5", "missed", "40.0 MiB", "below 64.0 MiB", "| met", "25 %"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if !strings.Contains(progress.String(), "49 opens/s") {
		t.Errorf("the runs are missing in\n%s", progress.String())
	}
}
