//go:build !linux && !darwin

package main

// freeSpace is how many bytes can be written below dir, if that can be known.
func freeSpace(string) (free int64, known bool) { return 0, false }
