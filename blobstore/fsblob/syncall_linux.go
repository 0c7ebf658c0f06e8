package fsblob

import (
	"os"

	"golang.org/x/sys/unix"
)

// canSyncAll reports whether syncAll keeps its promise for the file system of dir:
// of ext4 and XFS it is known. Not of FUSE, which is not told of a syncfs, nor of an
// overlay or a network file system, which may pass it on to anything.
func canSyncAll(dir *os.File) (bool, error) {
	var st unix.Statfs_t
	err := error(unix.EINTR)
	for err == unix.EINTR {
		err = unix.Fstatfs(int(dir.Fd()), &st)
	}
	return st.Type == unix.EXT4_SUPER_MAGIC || st.Type == unix.XFS_SUPER_MAGIC, os.NewSyscallError("fstatfs", err)
}

// syncAll makes everything durable that was written to the store's file system. An
// error of any of it, also in another program's file, fails all who wait for it.
//
// It is always the same descriptor: the kernel tells each of them of every failed
// write since the one before.
func (s *Store) syncAll() error {
	if err := s.step(stepSyncAll); err != nil {
		return err
	}
	fd := int(s.all.Fd())
	if err := unix.Syncfs(fd); err != nil {
		return os.NewSyscallError("syncfs", err)
	}
	// Without a journal ext4 writes its folders after it has told the disk to
	// empty its cache (fs/sync.c, sync_filesystem). This tells the disk again.
	return os.NewSyscallError("fsync", unix.Fsync(fd))
}
