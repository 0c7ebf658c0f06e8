//go:build !linux

package postgres

import (
	"context"
	"errors"
	"os"
)

var errNotLinux = errors.New("PostgreSQL's processes can be stopped and killed as one only on Linux: run this test there")

type frozen struct{}

func freeze(context.Context, *os.Process) (*frozen, error) { return nil, errNotLinux }
func (f *frozen) thaw() error                              { return nil }
func (f *frozen) kill(context.Context) error               { return nil }
func forgetSharedMemory(string, *account) error            { return nil }
