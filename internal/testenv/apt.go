package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// clusterSettings is where Debian's packages read how a new installation of PostgreSQL
// is set up: see pg_createcluster(1) and maintscripts-functions of postgresql-common.
const clusterSettings = "/etc/postgresql-common/createcluster.d"

// install installs Debian packages.
func install(ctx context.Context, packages []string) (err error) {
	if slices.Contains(packages, "postgresql") {
		allow, refused := noCluster()
		if refused != nil {
			return refused
		}
		defer func() { err = errors.Join(err, allow()) }()
	}
	for _, args := range [][]string{{"update", "-qq"}, append([]string{"install", "-y", "-qq"}, packages...)} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %w", args[0], err)
		}
	}
	return nil
}

// noCluster keeps the package of PostgreSQL from making a database and running a server
// for it, now and at each boot, until it is allowed again: nobody has asked for that
// server. dpkg knows nothing of the file, and so asks no question about it.
func noCluster() (allow func() error, err error) {
	if err := os.MkdirAll(clusterSettings, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(clusterSettings, "mayfly-testenv.conf")
	if err := os.WriteFile(file, []byte("create_main_cluster = false\n"), 0o644); err != nil {
		return nil, err
	}
	return func() error { return os.Remove(file) }, nil
}
