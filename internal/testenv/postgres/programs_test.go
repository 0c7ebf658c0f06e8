package postgres

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// installed makes a folder with programs that say that they are PostgreSQL.
func installed(t *testing.T, folder, version string) string {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"initdb", "postgres"} {
		script := "#!/bin/sh\necho '" + version + "'\n"
		if err := os.WriteFile(filepath.Join(folder, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	old := installed(t, filepath.Join(dir, "old"), "postgres (PostgreSQL) 14.21")
	other := installed(t, filepath.Join(dir, "other"), "postgres, the database of tomorrow")
	for _, v := range []string{"9.6", "15.2", "15.18", "15.3"} {
		installed(t, filepath.Join(dir, "usual", v), "postgres (PostgreSQL) "+v+" (Debian "+v+"-0+deb12u1)")
	}
	beta := installed(t, filepath.Join(dir, "beta"), "postgres (PostgreSQL) 19beta1")
	half := installed(t, filepath.Join(dir, "half"), "postgres (PostgreSQL) 18.1")
	if err := os.Remove(filepath.Join(half, "initdb")); err != nil {
		t.Fatal(err)
	}
	usual := filepath.Join(dir, "usual", "*")

	for _, c := range []struct {
		path, elsewhere []string
		version, says   string
	}{
		{path: []string{filepath.Join(dir, "usual", "15.2"), beta}, elsewhere: []string{usual}, version: "15.2"},
		{path: []string{"", "relative", old, other, half}, elsewhere: []string{usual}, version: "15.18"},
		{elsewhere: []string{usual, beta}, version: "19beta1"},
		{elsewhere: []string{half}, says: "Install the package postgresql (Debian"},
		{path: []string{old}, says: filepath.Join(old, "postgres") + " is 14.21"},
		{path: []string{other}, says: "tells no version"},
	} {
		p, err := find(t.Context(), c.path, c.elsewhere)
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, %v: %v, want %q", c.path, c.elsewhere, err, c.says)
			}
			continue
		}
		if err != nil || p.Version != c.version || filepath.Dir(p.Initdb) != filepath.Dir(p.Postgres) {
			t.Errorf("%v, %v: %+v, %v, want %s", c.path, c.elsewhere, p, err, c.version)
		}
	}
}

func TestFindOnThisMachine(t *testing.T) {
	p, err := Find(t.Context())
	if err != nil || parts(p.Version)[0] < oldest {
		t.Errorf("%+v, %v", p, err)
	}
}
