package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// newFolder makes a folder for a server, below dir. A user who is not the caller may
// not get there, as t.TempDir and os.MkdirTemp let nobody else in: then the folder is
// where everybody gets. The folders of others are left as they are.
func newFolder(ctx context.Context, p Programs, as *account, dir string) (string, error) {
	dir, err := filepath.Abs(dir) // the server's working folder is another one
	if err != nil {
		return "", err
	}
	if as == nil {
		return os.MkdirTemp(dir, "postgres-")
	}
	var errs []error
	for _, place := range []string{dir, os.TempDir(), "/tmp", "/var/tmp"} {
		folder, err := newFolderOf(ctx, p, as, place)
		if err == nil {
			return folder, nil
		}
		errs = append(errs, err)
		if !errors.Is(err, fs.ErrPermission) {
			break
		}
	}
	return "", fmt.Errorf("no folder for PostgreSQL, which does not run as root: give it one by TMPDIR that everybody can get to (chmod o+x each of its parents): %w", errors.Join(errs...))
}

// newFolderOf makes a folder of the user's, who can get there and run the programs there.
func newFolderOf(ctx context.Context, p Programs, as *account, place string) (string, error) {
	folder, err := os.MkdirTemp(place, "postgres-")
	if err != nil {
		return "", err
	}
	if err := as.own(folder); err != nil {
		return "", errors.Join(err, os.Remove(folder))
	}
	// To try it is exact: modes alone do not tell what access lists and the like refuse.
	cmd := exec.CommandContext(ctx, p.Initdb, "--version")
	cmd.Dir = folder
	as.apply(cmd)
	if err := cmd.Run(); err != nil {
		return "", errors.Join(fmt.Errorf("in %s: %w", folder, err), os.Remove(folder))
	}
	return folder, nil
}

// copyData copies a data folder whose server stands still or is gone.
func copyData(from, to string, as *account) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		at := filepath.Join(to, name)
		switch {
		case d.IsDir():
			// PostgreSQL refuses one that others can read.
			err = os.Mkdir(at, 0o700)
		case !d.Type().IsRegular():
			err = fmt.Errorf("%s is no file: a server with tablespaces or WAL elsewhere cannot be copied", path)
		case name == "postmaster.pid", filepath.Dir(name) == "pg_dynshmem":
			return nil // it says that the server runs, or is shared memory: a crash takes both
		default:
			err = copyFile(path, at)
		}
		if err != nil {
			return err
		}
		return as.own(at)
	})
}

// copyFile leaves the bytes to the kernel, where it can copy from file to file.
func copyFile(from, to string) (err error) {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = w.ReadFrom(r)
	return errors.Join(err, w.Close())
}
