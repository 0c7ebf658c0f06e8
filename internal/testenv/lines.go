package main

import (
	"bytes"
	"slices"
)

// lastLines is the end of a log, as much as an error can hold.
func lastLines(log []byte) []byte {
	const most = 20
	lines := slices.Collect(bytes.Lines(bytes.TrimSpace(log)))
	return bytes.Join(lines[max(0, len(lines)-most):], nil)
}
