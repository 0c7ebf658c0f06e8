//go:build !unix

package postgres

import "os/exec"

// account is the caller where nobody else can be.
type account struct{}

func unprivileged() (*account, error) { return nil, nil }
func (a *account) apply(*exec.Cmd)    {}
func (a *account) own(string) error   { return nil }
