package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"mayfly/internal/testenv/postgres"
)

// tool is a program that the tests call, and the Debian packages that have it.
type tool struct {
	name     string
	packages []string
	why      string
	find     func() error
}

func tools(ctx context.Context) []tool {
	compiler := "cc"
	if out, err := exec.CommandContext(ctx, "go", "env", "CC").Output(); err == nil {
		compiler = strings.TrimSpace(string(out))
	}
	return []tool{
		command(compiler, "the race detector needs a C compiler", "gcc", "libc6-dev"),
		command("curl", "the README's examples are typed as they are", "curl"),
		{"postgres", []string{"postgresql"}, "the metadata store is tested on a real PostgreSQL", func() error {
			_, err := postgres.Find(ctx)
			return err
		}},
	}
}

// command is a tool that is in PATH.
func command(name, why string, packages ...string) tool {
	return tool{name, packages, why, func() error {
		_, err := exec.LookPath(name)
		return err
	}}
}

// provide installs the tools that are missing, or says which they are: the tests
// never skip what they cannot run.
func provide(ctx context.Context, tools []tool) error {
	var packages, missing, errs []string
	for _, t := range tools {
		if err := t.find(); err != nil {
			packages = append(packages, t.packages...)
			missing = append(missing, fmt.Sprintf("%s (%s)", t.name, t.why))
			errs = append(errs, err.Error())
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("missing: %s. Install them and try again:\n%s", strings.Join(missing, ", "), strings.Join(errs, "\n"))
	}
	if err := install(ctx, packages); err != nil {
		return fmt.Errorf("missing: %s. %w", strings.Join(missing, ", "), err)
	}
	for _, t := range tools {
		if err := t.find(); err != nil {
			return fmt.Errorf("%s is installed and still missing: %w", strings.Join(t.packages, ", "), err)
		}
	}
	return nil
}
