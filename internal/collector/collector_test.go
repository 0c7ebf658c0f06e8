package collector

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestPercent(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		live, roots uint64
		want        int
	}{
		{0, 0, 100}, // no cycle yet
		{mib, 0, 400},
		{6 * mib, 0, 400},
		{8 * mib, 0, 350},
		{8 * mib, 6 * mib, 200},
		{12 * mib, 0, 200},
		{18 * mib, 0, 100},
		{12 * mib, 24 * mib, 100},
		{1 << 30, 0, 100},
	} {
		if got := percent(c.live, c.roots); got != c.want {
			t.Errorf("%d and %d MiB: %d, want %d", c.live/mib, c.roots/mib, got, c.want)
		}
	}
}

// TestSpare: the heap may grow to Floor, and no further; a large one by Go's own rule; and
// afterwards all is as it was.
func TestSpare(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	restore := Spare()

	some := make([]byte, 10<<20)
	awaitGoal(t, Floor*9/10, Floor*11/10)
	large := make([]byte, 2*Floor)
	awaitGoal(t, 4*Floor*9/10, 5*Floor)
	runtime.KeepAlive(large)
	awaitGoal(t, Floor*9/10, Floor*11/10)
	runtime.KeepAlive(some)

	restore()
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("afterwards %d %%, not 100", got)
	}
	awaitGoal(t, 0, Floor*9/10)
}

// TestSpareHeedsGOGC: what an operator sets counts.
func TestSpareHeedsGOGC(t *testing.T) {
	t.Setenv("GOGC", "70")
	before := debug.SetGCPercent(70)
	defer debug.SetGCPercent(before)
	defer Spare()()
	runtime.GC()
	if got := debug.SetGCPercent(70); got != 70 {
		t.Errorf("%d %%, not 70", got)
	}
}

// awaitGoal collects until the size at which the next cycle begins is within bounds. The
// cleanup that sets it runs some time after a cycle.
func awaitGoal(t *testing.T, least, most uint64) {
	t.Helper()
	goal := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		runtime.GC()
		metrics.Read(goal)
		switch got := goal[0].Value.Uint64(); {
		case got >= least && got <= most:
			return
		case time.Now().After(end):
			t.Fatalf("the next cycle begins at %d bytes, not %d to %d", got, least, most)
		}
	}
}
