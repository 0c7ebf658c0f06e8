// Package collector keeps Go's garbage collector from running all the time in a server
// that uses little memory.
package collector

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// Floor is the size of the heap, in bytes, up to which garbage may gather, however little
// is in use, though not to more than five times that. By its own rule, twice what is in
// use, the collector would run a hundred times a second under load with the few MiB that
// Mayfly really uses, and take a tenth of the processor. With it 64 transfers at a time stay below 64 MiB of resident memory, of
// which the program itself is 28.
const Floor = 36 << 20

// Spare holds the collector to Floor until restore is called. If the environment sets
// GOGC, its rule stays.
func Spare() (restore func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	before := debug.SetGCPercent(percent(inUse()))
	var mu sync.Mutex
	over := false
	eachCycle(func() bool {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			debug.SetGCPercent(percent(inUse()))
		}
		return !over
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		debug.SetGCPercent(before)
	}
}

// percent is the GOGC with which the heap grows from live bytes to Floor, and to twice as
// much where that is more. It is a share of live and roots
// (https://go.dev/doc/gc-guide#GOGC).
func percent(live, roots uint64) int {
	const (
		standard = 100
		// It is set some time after each cycle, for what that one found. Of a heap that
		// has grown since, most bounds what it may grow to meanwhile.
		most = 400
	)
	if live == 0 || live >= Floor/2 {
		return standard
	}
	return int(min(max(standard, (Floor-live)*100/(live+roots)), most))
}

// inUse is what the last cycle found of the heap, and of what is not the heap and leads to
// it, stacks and global variables, in bytes.
func inUse() (live, roots uint64) {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64(), sample[1].Value.Uint64() + sample[2].Value.Uint64()
}

// canary is garbage that the next cycle of the collector finds. It is too large for the
// allocator to put several into one block, which would live as long as any of them.
type canary [64]byte

// eachCycle calls do some time after each cycle of the collector for as long as it says so;
// after several if they follow each other closely. A cleanup is how the runtime tells of one.
func eachCycle(do func() (more bool)) {
	runtime.AddCleanup(new(canary), func(do func() bool) {
		if do() {
			eachCycle(do)
		}
	}, do)
}
