package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// target is where an opened plaintext goes: a file that appears, under its name,
// only when it is complete and durable; or standard output.
type target struct {
	path    string // empty for standard output
	replace bool   // an existing file
	out     io.Writer
	part    *partFile // nil for standard output
	written int64
}

// writeError is a failure of the target, as opposed to one of the source.
type writeError struct{ error }

func (e writeError) Unwrap() error { return e.error }

// newTarget makes sure, before a ticket is spent for it, that path can be written:
// it is free (or may be replaced), its name is possible, and a file beside it can
// be created.
func newTarget(path string, replace bool) (*target, error) {
	info, err := os.Lstat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s exists, and is no regular file", path)
	case err == nil && !replace:
		return nil, fmt.Errorf("%s exists: choose another name with -o, or --force to replace it", path)
	case errors.Is(err, fs.ErrNotExist):
		// Only creating it tells whether the file system takes the name.
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, err
		}
		f.Close()
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	}
	part, err := newPart(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	return &target{path: path, replace: replace, out: part, part: part}, nil
}

// room refuses what is larger than what is free. size is the ciphertext's, a
// little more than is written.
func (g *target) room(size int64) error {
	if g.part == nil {
		return nil
	}
	dir := filepath.Dir(g.path)
	if free, known := freeSpace(dir); known && free < size {
		return fmt.Errorf("it takes %s, and %s has %s free", bytesText(size), dir, bytesText(free))
	}
	return nil
}

func (g *target) Write(p []byte) (int, error) {
	n, err := g.out.Write(p)
	g.written += int64(n)
	if err != nil {
		err = writeError{err}
	}
	return n, err
}

// publish gives the complete plaintext its name, durably, and says which.
func (g *target) publish() (string, error) {
	if g.part == nil {
		return "", nil
	}
	return g.part.publish(g.path, g.replace)
}

// discard removes what publish did not name.
func (g *target) discard() {
	if g.part != nil {
		g.part.discard()
	}
}

// partFile is a file that is not complete yet: mode 0600, with a hidden name
// beside its later one.
type partFile struct{ *os.File }

func newPart(dir string) (*partFile, error) {
	f, err := os.CreateTemp(dir, ".mayfly-*.part") // mode 0600
	if err != nil {
		return nil, err
	}
	return &partFile{f}, nil
}

func (p *partFile) discard() {
	p.Close()
	os.Remove(p.Name()) // fails once it is published
}

// publish makes the file durable under path. If that was taken meanwhile, and may
// not be replaced, a number is added: what is in it cannot be had again.
func (p *partFile) publish(path string, replace bool) (string, error) {
	if err := p.Sync(); err != nil {
		return "", err
	}
	if err := p.Close(); err != nil {
		return "", err
	}
	if replace {
		if err := os.Rename(p.Name(), path); err != nil {
			return "", err
		}
		syncDir(filepath.Dir(path))
		return path, nil
	}
	extension := filepath.Ext(path)
	for i, name := 1, path; ; i, name = i+1, fmt.Sprintf("%s-%d%s", strings.TrimSuffix(path, extension), i, extension) {
		err := moveTo(p.Name(), name)
		if errors.Is(err, fs.ErrExist) && i < 1000 {
			continue
		}
		if err != nil {
			return "", err
		}
		syncDir(filepath.Dir(name))
		return name, nil
	}
}

// moveTo renames without ever replacing: a link fails where a rename would not.
func moveTo(from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		return os.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	// A file system without hard links.
	if _, err := os.Lstat(to); err == nil {
		return fs.ErrExist
	}
	return os.Rename(from, to)
}

// syncDir makes a new name durable. Windows and some network file systems cannot,
// and there the name is as durable as they make it.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		d.Close()
	}
}
