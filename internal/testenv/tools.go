package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// tool is a command that the tests call, and the Debian packages that have it.
type tool struct {
	command  string
	packages []string
	why      string
}

func tools() []tool {
	compiler := "cc"
	if out, err := exec.Command("go", "env", "CC").Output(); err == nil {
		compiler = strings.TrimSpace(string(out))
	}
	return []tool{
		{compiler, []string{"gcc", "libc6-dev"}, "the race detector needs a C compiler"},
		{"curl", []string{"curl"}, "the README's examples are typed as they are"},
	}
}

// provide installs the tools that are missing, or says which they are: the tests
// never skip what they cannot run.
func provide(ctx context.Context, tools []tool) error {
	var packages, missing []string
	for _, t := range tools {
		if _, err := exec.LookPath(t.command); err != nil {
			packages = append(packages, t.packages...)
			missing = append(missing, fmt.Sprintf("%s (%s)", t.command, t.why))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("missing: %s. Install them and try again", strings.Join(missing, ", "))
	}
	for _, args := range [][]string{{"update", "-qq"}, append([]string{"install", "-y", "-qq"}, packages...)} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("missing: %s. apt-get %s: %w", strings.Join(missing, ", "), args[0], err)
		}
	}
	return nil
}
