package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestRunGivesAFreshFolderAndTakesItAway(t *testing.T) {
	out := filepath.Join(t.TempDir(), "tmpdir")
	code, err := run([]string{"sh", "-c", `touch "$TMPDIR/left-behind" && printf %s "$TMPDIR" > "$0"`, out}, nil)
	if code != 0 || err != nil {
		t.Fatalf("run = %d, %v", code, err)
	}
	dir, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(string(dir)); !os.IsNotExist(err) {
		t.Errorf("the folder %s is still there: %v", dir, err)
	}
}

func TestRunPassesTheExitCodeOn(t *testing.T) {
	if code, err := run([]string{"sh", "-c", "exit 7"}, nil); code != 7 || err != nil {
		t.Errorf("run = %d, %v, want 7 and no error", code, err)
	}
	if code, err := run([]string{"/nonexistent/command"}, nil); code == 0 || err == nil {
		t.Errorf("a command that cannot start: run = %d, %v", code, err)
	}
}

func TestWithoutMayfly(t *testing.T) {
	got := withoutMayfly([]string{"HOME=/root", "MAYFLY_DATABASE=sqlite://prod", "PATH=/bin"})
	if want := []string{"HOME=/root", "PATH=/bin"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
