//go:build linux || darwin

package main

import "golang.org/x/sys/unix"

// freeSpace is how many bytes can be written below dir, if that can be known.
func freeSpace(dir string) (free int64, known bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil || s.Blocks == 0 {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}
