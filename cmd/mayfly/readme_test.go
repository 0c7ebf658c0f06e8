package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadme types what the README says to type, beside a running server.
func TestReadme(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startServer(t, dir)

	quick := readmeBlock(t, "quick start")
	s.typed(t, dir, quick)
	note, opened := read(t, dir, "note.txt"), read(t, dir, "opened.txt")
	if note == "" || opened != note {
		t.Errorf("quick start: opened %q, sent %q", opened, note)
	}
	if _, err := os.Stat(filepath.Join(dir, "again.txt")); err == nil {
		t.Error("quick start: the link opened twice")
	}

	out := s.typed(t, dir, readmeBlock(t, "curl"))
	for _, want := range []string{
		`"state":"stored"`, `"state":"ready"`, `"code":"opened"`, `"code":"revoked"`, `"state":"delivered"`, `"contested"`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the API by hand: nothing answered %s:\n%s", want, out)
		}
	}
	photo := read(t, dir, "photo.enc")
	if read(t, dir, "alice.enc") != photo || read(t, dir, "rest.enc") != photo[400000:] {
		t.Error("the API by hand: what was opened is not what was sent")
	}
	if n := strings.Count(out, `"token":"mft_`); n != 1 {
		t.Errorf("the API by hand: the upload in one call answered %d tickets", n)
	}
}

// TestReadmeReports is the README's way of a report.
func TestReadmeReports(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startServer(t, dir)
	out := s.typed(t, dir, readmeBlock(t, "reports"))
	if got, want := read(t, dir, "evidence.txt"), read(t, dir, "vile.txt"); got != want || want == "" {
		t.Errorf("the evidence is %q, and %q was sent", got, want)
	}
	for _, want := range []string{"something vile", "upheld"} {
		if !strings.Contains(out, want) {
			t.Errorf("nothing said %q:\n%s", want, out)
		}
	}
}

// TestReadmeNamesEverySetting compares the table of the configuration with the flags.
func TestReadmeNamesEverySetting(t *testing.T) {
	t.Parallel()
	readme := read(t, filepath.Join("..", ".."), "README.md")
	parser, err := newParser(t.Context(), &cli{}, terminal{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range knownVars(parser.Model) {
		if !strings.Contains(readme, "`"+name+"`") {
			t.Errorf("the README does not have %s", name)
		}
	}
	known := append(knownVars(parser.Model), secretVars...)
	for _, name := range regexp.MustCompile("`(MAYFLY_[A-Z_]+)`").FindAllStringSubmatch(readme, -1) {
		base := strings.TrimSuffix(name[1], "_FILE")
		if !strings.Contains(strings.Join(known, " "), base) {
			t.Errorf("the README has %s, which there is not", name[1])
		}
	}
}

// readmeBlock is the shell code behind <!-- run: name --> in the README.
func readmeBlock(t *testing.T, name string) string {
	t.Helper()
	readme := read(t, filepath.Join("..", ".."), "README.md")
	_, after, ok := strings.Cut(readme, "<!-- run: "+name+" -->\n```sh\n")
	block, _, closed := strings.Cut(after, "\n```")
	if !ok || !closed {
		t.Fatalf("the README has no block %q", name)
	}
	return block
}

// typed runs lines in dir, with the address and the binary of this test.
func (s *server) typed(t *testing.T, dir, lines string) string {
	t.Helper()
	lines = strings.ReplaceAll(lines, "http://127.0.0.1:8484", s.address)
	lines = strings.ReplaceAll(lines, "go run ./cmd/mayfly", "mayfly")
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", lines)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "MAYFLY_SERVER="+s.address)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
