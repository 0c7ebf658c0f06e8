//go:build unix

package fsblob

import (
	"io/fs"
	"syscall"
)

// links is how many names the file of fi has.
func links(fi fs.FileInfo) uint64 {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 1
	}
	return uint64(st.Nlink)
}
