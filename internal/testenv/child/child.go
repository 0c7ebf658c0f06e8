// Package child holds what all programs have in common that the tests bring up: none
// of them may outlive its parent, and the end of its log goes into the error.
package child

import (
	"bytes"
	"slices"
)

// LastLines is the end of a log, as much as an error can hold.
func LastLines(log []byte) []byte {
	const most = 20
	lines := slices.Collect(bytes.Lines(bytes.TrimSpace(log)))
	return bytes.Join(lines[max(0, len(lines)-most):], nil)
}
