package crashes

import (
	"slices"
	"testing"
)

// scenario is what the steps are taken of.
type scenario struct {
	name string
	// bucket: only where clients can bring bytes to the place themselves.
	bucket bool
	// single: one thing goes wrong in a run. The ways that lead on from there are those of
	// another scenario.
	single bool
	// before brings a life to where the steps begin. Nothing goes wrong in it.
	before func(l *life)
	// run is what is stopped, at each of its steps.
	run func(l *life)
	// after is what a clean server does before the promises are checked, if anything.
	after func(l *life)
	// steps must be met, so that the matrix cannot become smaller unseen.
	steps []string
}

func TestMatrix(t *testing.T) {
	for _, c := range combinations {
		t.Run(c.name, func(t *testing.T) {
			for _, s := range slices.Concat(scenarios, reportScenarios) {
				if s.bucket && !c.direct {
					continue
				}
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					newMatrix(t, c, s).run()
				})
			}
		})
	}
}

// matrix is a scenario with all that can go wrong at one kind of site.
type matrix struct {
	*testing.T
	scenario
	at   combination
	life *life // of the next run
	runs int
	met  map[string]bool // steps, by name
}

func newMatrix(t *testing.T, at combination, s scenario) *matrix {
	return &matrix{T: t, scenario: s, at: at, life: newLife(t, at.site(t), s.bucket), met: make(map[string]bool)}
}

// run stops the scenario at each of its steps, and where it then goes another way, at
// each step of that too.
func (m *matrix) run() {
	plain := m.stopped(nil)
	for i, name := range plain {
		for _, mode := range modesOf(name) {
			first := stop{i + 1, name, mode}
			steps := m.stopped(plan{first})
			if m.single || !mode.goesOn() || len(steps) <= i {
				continue
			}
			begin, end := detour(plain[i+1:], steps[i+1:])
			for j := i + 1 + begin; j < i+1+end; j++ {
				for _, mode := range modesOf(steps[j]) {
					m.stopped(plan{first, {j + 1, steps[j], mode}})
				}
			}
		}
	}
	for _, step := range m.steps {
		if !m.met[step] {
			m.Errorf("no run came to %s: %v", step, m.met)
		}
	}
	m.Logf("%d steps, %d runs: %v", len(plain), m.runs, plain)
}

// detour is where the way is another than it would have been: from begin to end. Its
// steps beyond have their turn in plain.
func detour(plain, way []string) (begin, end int) {
	end = len(way)
	for begin < min(len(plain), end) && plain[begin] == way[begin] {
		begin++
	}
	for n := len(plain); n > begin && end > begin && plain[n-1] == way[end-1]; n-- {
		end--
	}
	return begin, end
}

// stopped is one life with this plan, and the steps that it took.
func (m *matrix) stopped(what plan) (steps []string) {
	m.runs++
	ok := m.Run(what.String(), func(t *testing.T) {
		l := m.life
		l.again(t)
		if m.before != nil {
			m.before(l)
		}
		l.arm(what)
		m.scenario.run(l)
		before := l.process
		var met int
		if steps, met = l.restart(); met != len(what) {
			t.Fatalf("%d of %d stops were met: %v", met, len(what), steps)
		}
		if m.after != nil {
			m.after(l)
		}
		l.check()
		l.settle(before)
		l.finish()
	})
	if !ok {
		m.life = newLife(m.T, m.at.site(m.T), m.bucket) // what it left must not fail the others
	}
	for _, step := range steps {
		m.met[step] = true
	}
	return steps
}

func TestDetour(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		plain, way string
		want       string
	}{
		{"abc", "abc", ""},
		{"abc", "", ""},
		{"abc", "xy", "xy"},
		{"abc", "axc", "x"},
		{"abc", "axbc", "x"},
		{"aa", "aaa", "a"},
		{"", "x", "x"},
	} {
		plain, way := []string{}, []string{}
		for _, r := range c.plain {
			plain = append(plain, string(r))
		}
		for _, r := range c.way {
			way = append(way, string(r))
		}
		begin, end := detour(plain, way)
		got := ""
		for _, s := range slices.Clone(way[begin:end]) {
			got += s
		}
		if got != c.want {
			t.Errorf("%s instead of %s goes another way at %q, want %q", c.way, c.plain, got, c.want)
		}
	}
}
