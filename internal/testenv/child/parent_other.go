//go:build !linux

package child

import "os/exec"

// DieWithParent does nothing where the kernel cannot do it.
func DieWithParent(*exec.Cmd) {}
