package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// frozen is a server whose processes all stand still. Since the postmaster is one of
// them, no process is added and no number of a process that has ended is given away.
type frozen struct {
	postmaster *os.Process
	children   []int
}

// freeze stops the postmaster first, so that it starts no further process, and then its
// children. It returns when each has finished the system call that it was in. On an
// error the server runs on.
func freeze(ctx context.Context, postmaster *os.Process) (f *frozen, err error) {
	if err := postmaster.Signal(syscall.SIGSTOP); err != nil {
		return nil, err
	}
	f = &frozen{postmaster: postmaster}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.thaw())
		}
	}()
	if err := await(ctx, postmaster.Pid, stopped); err != nil {
		return nil, err
	}
	id := strconv.Itoa(postmaster.Pid)
	list, err := os.ReadFile(filepath.Join("/proc", id, "task", id, "children"))
	if err != nil {
		return nil, fmt.Errorf("the server's processes are not told: this needs /proc and a kernel with CONFIG_PROC_CHILDREN: %w", err)
	}
	for child := range strings.FieldsSeq(string(list)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			return nil, err
		}
		f.children = append(f.children, pid)
	}
	if err := f.signal(syscall.SIGSTOP); err != nil {
		return nil, err
	}
	for _, pid := range f.children {
		if err := await(ctx, pid, stopped); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// thaw lets the processes run on.
func (f *frozen) thaw() error {
	return errors.Join(f.signal(syscall.SIGCONT), f.postmaster.Signal(syscall.SIGCONT))
}

// kill ends the processes; none of them runs once more. It returns when the children
// have let go of all that they shared.
func (f *frozen) kill(ctx context.Context) error {
	err := f.signal(syscall.SIGKILL)
	for _, pid := range f.children {
		err = errors.Join(err, await(ctx, pid, ended))
	}
	return errors.Join(err, f.postmaster.Kill())
}

func (f *frozen) signal(s syscall.Signal) (err error) {
	for _, pid := range f.children {
		err = errors.Join(err, os.NewSyscallError("kill", syscall.Kill(pid, s)))
	}
	return err
}

// The states of a process in proc_pid_stat(5), of which one is enough.
const (
	stopped = "TZX"
	ended   = "ZX"
)

// await returns when the process is in one of the states. The kernel tells nobody but
// its parent of it, so it is asked again and again.
func await(ctx context.Context, pid int, states string) error {
	for {
		stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if err != nil {
			return err
		}
		// "PID (NAME) STATE …", and a name may have brackets of its own.
		if at := bytes.LastIndex(stat, []byte(") ")); at >= 0 && strings.IndexByte(states, stat[at+2]) >= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d neither stops nor ends: %w", pid, context.Cause(ctx))
		case <-time.After(100 * time.Microsecond):
		}
	}
}

// forgetSharedMemory removes the segment that tells a server of another one on its data.
// The kernel keeps it when its processes are killed, and would for ever, were the folder
// removed and never a server started on it again. Its number is in postmaster.pid.
func forgetSharedMemory(data string, as *account) error {
	file, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has tidied up itself
	}
	if err != nil {
		return err
	}
	lines := strings.Split(string(file), "\n")
	if len(lines) < 7 {
		return nil // it was killed before it had one
	}
	words := strings.Fields(lines[6]) // LOCK_FILE_LINE_SHMEM_KEY in PostgreSQL's pidfile.h
	if len(words) != 2 {
		return nil
	}
	id, err := strconv.Atoi(words[1])
	if err != nil {
		return err
	}
	_, err = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EIDRM):
		return nil // it is gone
	case errors.Is(err, unix.EPERM) && as != nil:
		// In a container root may not remove what is another user's: only that user may.
		cmd := exec.Command("ipcrm", "--shmem-id", words[1])
		as.apply(cmd)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("the shared memory segment %d of a server that was killed stays: ipcrm of the package util-linux: %w: %s", id, err, out)
		}
		return nil
	default:
		return os.NewSyscallError("shmctl", err)
	}
}
