package layering

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "mayfly/"

// pkg is what go list tells of a package, without its tests.
type pkg struct {
	ImportPath string
	Imports    []string
}

// rule says that a package under one of from must not import what forbid names,
// except for what allow names. A name ending in "/..." is a whole tree.
type rule struct {
	why    string
	from   []string
	forbid []string
	allow  []string
}

var rules = []rule{
	{
		why:    "the blob store's contract stands on the standard library alone",
		from:   []string{"mayfly/blobstore"},
		forbid: []string{"mayfly/...", "thirdparty"},
	},
	{
		why:    "a backend knows the contract, and nothing above it",
		from:   []string{"mayfly/blobstore/..."},
		forbid: []string{"mayfly/..."},
		allow:  []string{"mayfly/blobstore/..."},
	},
	{
		why:    "the domain packages know the blob store's contract and checksums, not each other, no backend and nothing internal",
		from:   []string{"mayfly/tickets/...", "mayfly/expiry/..."},
		forbid: []string{"mayfly/..."},
		allow:  []string{"mayfly/blobstore", "mayfly/blobstore/checksum"},
	},
	{
		why:    "reports keep the domain packages' rule, and know the sealed key besides",
		from:   []string{"mayfly/reports/..."},
		forbid: []string{"mayfly/..."},
		allow:  []string{"mayfly/blobstore", "mayfly/blobstore/checksum", "mayfly/reports/envelope"},
	},
	{
		why:    "the API talks to the domain, never to SQL or a backend",
		from:   []string{"mayfly/internal/api/..."},
		forbid: []string{"mayfly/internal/sqlstore/...", "mayfly/blobstore/...", "mayfly/cmd/..."},
		allow:  []string{"mayfly/blobstore"},
	},
	{
		why:    "the metadata store implements the domain's interfaces and knows no API",
		from:   []string{"mayfly/internal/sqlstore/..."},
		forbid: []string{"mayfly/internal/...", "mayfly/cmd/...", "mayfly/blobstore/..."},
		allow:  []string{"mayfly/internal/sqlstore/...", "mayfly/internal/keys", "mayfly/blobstore", "mayfly/blobstore/checksum"},
	},
	{
		why:    "HTTP lives in the API, the client, the command, the generated code, the S3 backends, metrics' handler, the benchmark and what tests bring up",
		from:   []string{"mayfly/..."},
		forbid: []string{"net/http"},
	},
	{
		why:    "SQL lives in sqlstore, and where testenv asks whether a server answers and bench loads it",
		from:   []string{"mayfly/..."},
		forbid: []string{"database/sql", "database/sql/driver", "modernc.org/sqlite/...", "github.com/jackc/pgx/...", "github.com/pressly/goose/..."},
	},
	{
		why:    "generated types leave neither the API nor the client",
		from:   []string{"mayfly/..."},
		forbid: []string{"mayfly/internal/openapi"},
	},
}

// exempt are the packages that a rule with from "mayfly/..." is not about.
var exempt = map[string][]string{
	"net/http": {
		"mayfly/cmd/...", "mayfly/internal/api/...", "mayfly/internal/openapi", "mayfly/internal/client/...",
		"mayfly/internal/metrics", "mayfly/internal/bench/...", "mayfly/internal/proof/...", "mayfly/blobstore/bucket", "mayfly/blobstore/minioblob/...", "mayfly/blobstore/s3blob/...", "mayfly/internal/faultproxy", "mayfly/internal/testenv",
	},
	"sql":                     {"mayfly/internal/sqlstore/...", "mayfly/internal/testenv/postgres", "mayfly/internal/bench"},
	"mayfly/internal/openapi": {"mayfly/internal/api/...", "mayfly/internal/client/...", "mayfly/internal/openapi"},
}

func TestDependencyRule(t *testing.T) {
	packages := list(t)
	for _, p := range packages {
		for _, imported := range p.Imports {
			for _, r := range rules {
				if r.breaks(p.ImportPath, imported) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imported, r.why)
				}
			}
		}
	}
	if len(packages) < 10 {
		t.Errorf("go list found only %d packages", len(packages))
	}
}

// TestRulesCanFail proves that each rule refuses what it is there to refuse.
func TestRulesCanFail(t *testing.T) {
	for _, c := range []struct {
		from, imported string
		refused        bool
	}{
		{"mayfly/blobstore", "github.com/google/uuid", true},
		{"mayfly/blobstore", "io", false},
		{"mayfly/blobstore/fsblob", "mayfly/tickets", true},
		{"mayfly/blobstore/fsblob", "mayfly/blobstore", false},
		{"mayfly/tickets", "mayfly/expiry", true},
		{"mayfly/expiry", "mayfly/tickets", true},
		{"mayfly/tickets", "mayfly/internal/keys", true},
		{"mayfly/tickets", "mayfly/blobstore/fsblob", true},
		{"mayfly/tickets", "mayfly/blobstore", false},
		{"mayfly/tickets", "mayfly/blobstore/checksum", false},
		{"mayfly/blobstore", "mayfly/blobstore/checksum", true},
		{"mayfly/blobstore/checksum", "mayfly/tickets", true},
		{"mayfly/reports", "mayfly/reports/envelope", false},
		{"mayfly/reports", "mayfly/blobstore", false},
		{"mayfly/reports", "mayfly/tickets", true},
		{"mayfly/reports", "mayfly/internal/keys", true},
		{"mayfly/reports/envelope", "mayfly/blobstore", false},
		{"mayfly/reports/envelope", "mayfly/blobstore/fsblob", true},
		{"mayfly/reports/envelope", "mayfly/reports", true},
		{"mayfly/tickets", "mayfly/reports/envelope", true},
		{"mayfly/expiry", "mayfly/reports/envelope", true},
		{"mayfly/tickets", "net/http", true},
		{"mayfly/tickets", "database/sql", true},
		{"mayfly/internal/api", "mayfly/internal/sqlstore", true},
		{"mayfly/internal/api", "net/http", false},
		{"mayfly/internal/api", "database/sql", true},
		{"mayfly/internal/sqlstore", "mayfly/internal/api", true},
		{"mayfly/internal/sqlstore", "database/sql", false},
		{"mayfly/cmd/mayfly", "mayfly/internal/openapi", true},
		{"mayfly/cmd/mayfly", "database/sql", true},
		{"mayfly/cmd/mayfly", "modernc.org/sqlite", true},
	} {
		refused := slices.ContainsFunc(rules, func(r rule) bool { return r.breaks(c.from, c.imported) })
		if refused != c.refused {
			t.Errorf("%s imports %s: refused = %v, want %v", c.from, c.imported, refused, c.refused)
		}
	}
}

func (r rule) breaks(from, imported string) bool {
	if !matches(from, r.from) || !matches(imported, r.forbid) || matches(imported, r.allow) {
		return false
	}
	key := r.forbid[0]
	if key == "database/sql" {
		key = "sql"
	}
	return !matches(from, exempt[key])
}

func matches(path string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if pattern == "thirdparty" {
			first, _, _ := strings.Cut(path, "/")
			return strings.Contains(first, ".")
		}
		tree, isTree := strings.CutSuffix(pattern, "/...")
		return path == tree || isTree && strings.HasPrefix(path, tree+"/")
	})
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var packages []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func TestTopLevel(t *testing.T) {
	root := filepath.Join("..", "..")
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	agreed := []string{"LICENSE", "README.md", "blobstore", "cmd", "expiry", "go.mod", "go.sum", "internal", "openapi.yaml", "reports", "tickets"}
	for _, e := range entries {
		// mayfly-data is what a server started here leaves; git ignores it.
		if name := e.Name(); !strings.HasPrefix(name, ".") && name != "mayfly-data" && !slices.Contains(agreed, name) {
			t.Errorf("%s stands at the top level, beside %v", name, agreed)
		}
	}
}

func TestPackageNames(t *testing.T) {
	for _, p := range list(t) {
		for name := range strings.SplitSeq(p.ImportPath, "/") {
			if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "manager", "misc"}, name) {
				t.Errorf("%s: a package is named for the thing that it holds", p.ImportPath)
			}
		}
	}
}
