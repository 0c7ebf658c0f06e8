package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"mayfly/internal/testenv/child"
)

// program is a Go program that the tests need, at one version.
type program struct {
	pkg     string // import path, and by its last element the program's name
	version string
}

func (p program) name() string   { return path.Base(p.pkg) }
func (p program) String() string { return p.pkg + "@" + p.version }

// path is where the program lies once it is built: outside of the checkout, so that
// all checkouts share it, and by version, so that a new one is built anew.
func (p program) path() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "mayfly-testenv", filepath.FromSlash(p.String()), p.name()), nil
}

// build builds the programs that are not there yet.
func build(ctx context.Context, programs []program) error {
	var missing []program
	for _, p := range programs {
		bin, err := p.path()
		if err != nil {
			return fmt.Errorf("missing: %s: no folder to build it in: %w", p, err)
		}
		if _, err := os.Stat(bin); err != nil {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	names := make([]string, len(missing))
	for i, p := range missing {
		names[i] = p.String()
	}
	fmt.Fprintf(os.Stderr, "testenv: building %s: this takes some minutes, this once\n", strings.Join(names, ", "))
	for _, p := range missing {
		if err := p.install(ctx); err != nil {
			return fmt.Errorf("missing: %s: %w", p, err)
		}
	}
	return nil
}

// install builds the program beside its place and moves it there: nobody runs half a
// program, and of two that build it at the same time the later one replaces the other's.
func (p program) install(ctx context.Context) error {
	bin, err := p.path()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(bin), "build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	cmd := exec.CommandContext(ctx, "go", "install", p.String())
	cmd.Dir = dir
	// The program is built by its own go.mod. GOFLAGS may hold a -mod for ours, and an
	// empty one would let that of `go env -w` through; this flag changes nothing here.
	cmd.Env = append(cmd.Environ(), "GOBIN="+dir, "GOWORK=off", "GOFLAGS=-buildvcs=false")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go ends its compilers too
	cmd.WaitDelay = 10 * time.Second
	child.DieWithParent(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go install: %w\n%s", err, child.LastLines(out))
	}
	return os.Rename(filepath.Join(dir, p.name()), bin)
}
