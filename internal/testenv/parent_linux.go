package main

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel end the child when testenv was killed and can end
// nothing itself. The kernel counts the thread that started the child as its parent:
// nothing here may lock a goroutine to its thread and return, for that ends the thread.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
