package postgres

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// oldest is the oldest PostgreSQL that Mayfly supports.
const oldest = 15

// Programs are the two programs of one PostgreSQL installation that a server needs.
type Programs struct {
	Initdb, Postgres string // absolute paths
	Version          string // as "15.18"
}

// elsewhere is where the systems put the programs when it is not in PATH: Debian keeps
// them out of it, so that several versions can be there.
var elsewhere = []string{
	"/usr/lib/postgresql/*/bin",         // Debian, Ubuntu
	"/usr/pgsql-*/bin",                  // the PostgreSQL project's packages for Fedora and RHEL
	"/usr/libexec/postgresql*",          // Alpine
	"/opt/homebrew/opt/postgresql*/bin", // Homebrew
	"/usr/local/opt/postgresql*/bin",    // Homebrew on Intel
	"/usr/local/pgsql/bin",              // built from source
	"/usr/bin",                          // Fedora, Arch
}

// Find says where PostgreSQL is: the first in PATH that is new enough, else the newest
// one in the usual places.
func Find(ctx context.Context) (Programs, error) {
	return find(ctx, filepath.SplitList(os.Getenv("PATH")), elsewhere)
}

func find(ctx context.Context, path, elsewhere []string) (Programs, error) {
	var refused []string
	look := func(folders []string) (found []Programs) {
		for _, folder := range folders {
			p := Programs{Initdb: filepath.Join(folder, "initdb"), Postgres: filepath.Join(folder, "postgres")}
			if !filepath.IsAbs(folder) || !executable(p.Initdb) || !executable(p.Postgres) {
				continue
			}
			var err error
			if p.Version, err = version(ctx, p.Postgres); err != nil {
				refused = append(refused, err.Error())
			} else if parts(p.Version)[0] < oldest {
				refused = append(refused, p.Postgres+" is "+p.Version)
			} else {
				found = append(found, p)
			}
		}
		return found
	}

	if found := look(path); len(found) > 0 {
		return found[0], nil
	}
	var folders []string
	for _, pattern := range elsewhere {
		matches, _ := filepath.Glob(pattern) // its one error is a bad pattern
		folders = append(folders, matches...)
	}
	if found := look(folders); len(found) > 0 {
		return slices.MaxFunc(found, func(a, b Programs) int {
			x, y := parts(a.Version), parts(b.Version)
			return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]))
		}), nil
	}
	if ctx.Err() != nil { // they were not asked to the end
		return Programs{}, context.Cause(ctx)
	}
	err := fmt.Errorf("missing: PostgreSQL %d or newer: initdb and postgres are neither in PATH nor where systems put them. "+
		"Install the package postgresql (Debian, Ubuntu, Arch, Alpine), postgresql-server (Fedora) or postgresql@17 (Homebrew)", oldest)
	if len(refused) > 0 {
		err = fmt.Errorf("%w. What is there does not do: %s", err, strings.Join(refused, "; "))
	}
	return Programs{}, err
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && (info.Mode()&0o111 != 0 || runtime.GOOS == "windows")
}

// version asks the program, which answers as "postgres (PostgreSQL) 15.18 (Debian …)".
func version(ctx context.Context, postgres string) (string, error) {
	out, err := exec.CommandContext(ctx, postgres, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", postgres, err)
	}
	words := strings.Fields(string(out))
	if len(words) < 3 || words[1] != "(PostgreSQL)" || parts(words[2])[0] == 0 {
		return "", fmt.Errorf("%s --version tells no version: %q", postgres, out)
	}
	return words[2], nil
}

// parts are the numbers of a version: 15 and 18 of 15.18, 18 and 0 of 18beta1.
func parts(version string) (p [2]int) {
	_, _ = fmt.Sscanf(version, "%d.%d", &p[0], &p[1]) // what does not parse stays 0
	return p
}
