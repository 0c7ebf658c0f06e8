package main

import (
	"archive/zip"
	"context"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const module = "example.com/tiny"

// tinyModule is a module proxy that has one module, whose program ends at once, in
// version v1.0.0, and does not build in v1.1.0. The module cache is empty.
func tinyModule(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("GOMODCACHE", filepath.Join(dir, "modules"))
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOCACHE", strings.TrimSpace(string(out))) // the folder moves, the compiled runtime stays
	emptyCache(t)
	t.Cleanup(func() {
		// The module cache is write-protected: only go can take it away.
		if out, err := exec.Command("go", "clean", "-modcache").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Setenv("GOPROXY", (&url.URL{Scheme: "file", Path: dir}).String())
	t.Setenv("GONOSUMDB", module)
	t.Setenv("GOFLAGS", "-mod=vendor") // of the caller's, for a module of the caller's
	versions := filepath.Join(dir, module, "@v")
	writeModule(t, versions, "v1.0.0", "package main\nfunc main() {}\n")
	writeModule(t, versions, "v1.1.0", "package main\nfunc main() { nonsense }\n")
	if err := os.WriteFile(filepath.Join(versions, "list"), []byte("v1.0.0\nv1.1.0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func writeModule(t *testing.T, dir, version, source string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	gomod := "module " + module + "\n\ngo 1.24\n"
	archive, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	z := zip.NewWriter(archive)
	for name, text := range map[string]string{"go.mod": gomod, "cmd/tiny/main.go": source} {
		w, err := z.Create(module + "@" + version + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{".mod": gomod, ".info": `{"Version":"` + version + `"}`} {
		if err := os.WriteFile(filepath.Join(dir, version+name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTwoBuildTheSameProgram(t *testing.T) {
	tinyModule(t)
	tiny := program{module + "/cmd/tiny", "v1.0.0"}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if err := build(t.Context(), []program{tiny}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	bin, err := tiny.path()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(bin).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if beside, err := os.ReadDir(filepath.Dir(bin)); err != nil || len(beside) != 1 {
		t.Errorf("there is more than the program: %v, %v", beside, err)
	}

	// It is there now, and no go is needed for it.
	t.Setenv("GOPROXY", "off")
	if err := build(t.Context(), []program{tiny}); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeBuiltIsNamed(t *testing.T) {
	tinyModule(t)
	for version, why := range map[string]string{"v1.1.0": "nonsense", "v1.9.9": "v1.9.9"} {
		err := build(t.Context(), []program{{module + "/cmd/tiny", version}})
		if err == nil || !strings.Contains(err.Error(), "missing: example.com/tiny/cmd/tiny@"+version) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", version, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := build(ctx, []program{{module + "/cmd/tiny", "v1.0.0"}}); err == nil {
		t.Error("it builds although it was interrupted")
	}
}

func TestEachVersionHasItsPlace(t *testing.T) {
	emptyCache(t)
	one, err := program{"example.com/cmd/tiny", "v1.0.0"}.path()
	if err != nil {
		t.Fatal(err)
	}
	two, err := program{"example.com/cmd/tiny", "v1.0.1"}.path()
	if err != nil {
		t.Fatal(err)
	}
	if one == two || filepath.Base(one) != "tiny" || filepath.Base(two) != "tiny" {
		t.Errorf("%s and %s", one, two)
	}
}
