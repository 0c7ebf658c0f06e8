package main

import "runtime"

// headroomBytes is half of what the server may use more because of makeHeadroom. 64
// transfers at a time stay below 64 MiB with it, of which the program itself is 28; with
// twice as much some did not.
const headroomBytes = 8 << 20

// makeHeadroom takes address space that is never written to, and so takes no memory.
// The collector counts it as live and lets as much garbage gather again before it
// runs: with the few MiB that the server really uses it would run a hundred times a
// second under load, and take a tenth of the processor.
func makeHeadroom() (release func()) {
	headroom := make([]byte, headroomBytes)
	return func() { runtime.KeepAlive(headroom) }
}
