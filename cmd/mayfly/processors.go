package main

import (
	"os"
	"runtime"
)

// minProcs is how many goroutines may run Go code at once, at the least. A commit or
// an upload that waits for the disk holds the place of one until the runtime
// notices; with two places, as on a machine with two processors, others would wait
// with it.
const minProcs = 4

// useProcessors follows what the operator has said, if anything.
func useProcessors() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < minProcs {
		runtime.GOMAXPROCS(minProcs)
	}
}
