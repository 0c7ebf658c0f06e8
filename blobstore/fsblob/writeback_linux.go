package fsblob

import (
	"os"

	"golang.org/x/sys/unix"
)

// startWriteback lets the disk begin to write n bytes from offset. The kernel by
// itself would let a large upload gather in memory for the fsync at its end:
// measured with 512 MiB, that fsync took 0.4 to 0.6 s without this, and 0.01 to
// 0.2 s with it. An error is none: it is advice, and the fsync finds the same.
func startWriteback(f *os.File, offset, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), offset, n, unix.SYNC_FILE_RANGE_WRITE)
}
