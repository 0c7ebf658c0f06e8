package sqlstore

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// unportable is what engines that speak PostgreSQL's protocol lack, or do in another
// way, and what would take the clock out of our hands. internal/docs/databases.md says
// which engines.
var unportable = regexp.MustCompile(`(?i)\b(SERIAL|BIGSERIAL|SEQUENCE|NEXTVAL|IDENTITY|TRIGGER|LISTEN|NOTIFY|PG_(TRY_)?ADVISORY\w*|REFERENCES|FOREIGN\s+KEY|` +
	`NOW\(|CURRENT_TIMESTAMP|CLOCK_TIMESTAMP|CTID|XMIN|EXTENSION|TEMP(ORARY)?\s+TABLE|LOCK\s+TABLE|TRUNCATE|CURSOR\s+FOR|MERGE\s+INTO|FOR\s+NO\s+KEY|ON\s+DELETE)`)

// sqlText is what of our sources and migrations is SQL: string constants that begin
// like a statement or a part of one, and whole migrations without their comments.
func sqlText(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	for _, path := range sources {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(lit.Value); err == nil && upperWord.MatchString(text) {
				all[fset.Position(lit.Pos()).String()] = text
			}
			return true
		})
	}
	steps, err := filepath.Glob("migrations/postgres/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range steps {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[path] = regexp.MustCompile(`--[^\n]*`).ReplaceAllString(string(text), "")
	}
	return all
}

var upperWord = regexp.MustCompile(`\b(SELECT|INSERT|UPDATE|DELETE|WHERE|FROM|CASE|FOR UPDATE|EXISTS|SET|BEGIN|COMMIT|CREATE|LOCK|LISTEN)\b`)

func TestPortable(t *testing.T) {
	t.Parallel()
	texts := sqlText(t)
	if len(texts) < 40 {
		t.Fatalf("only %d pieces of SQL were found", len(texts))
	}
	skips := 0
	for at, text := range texts {
		if word := unportable.FindString(text); word != "" {
			t.Errorf("%s: %s does not run everywhere:\n%s", at, word, text)
		}
		skips += strings.Count(text, "SKIP LOCKED")
	}
	if skips != 1 { // in parsePostgres, where it can be switched off
		t.Errorf("SKIP LOCKED stands in %d places, and not in the one that can be switched off", skips)
	}
}

// TestPortableCanFail guards the pattern itself.
func TestPortableCanFail(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"CREATE TABLE x (id BIGSERIAL)", "SELECT nextval('s')", "SELECT pg_advisory_lock(1)", "a BIGINT REFERENCES b (id)",
		"UPDATE t SET at = now()", "LISTEN changes", "CREATE TRIGGER x", "DELETE FROM x WHERE ctid IN (SELECT 1)",
	} {
		if !unportable.MatchString(bad) {
			t.Errorf("%s passes", bad)
		}
	}
}
