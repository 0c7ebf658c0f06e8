package child

import (
	"os/exec"
	"syscall"
)

// DieWithParent has the kernel end the child when its parent was killed and can end
// nothing itself. The kernel counts the thread that started the child as its parent:
// whoever starts it must not lock its goroutine to the thread and return, for that ends
// the thread. A credential that the command has already is kept, and does no harm: the
// kernel forgets the signal when a program changes its user after it was set.
func DieWithParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
