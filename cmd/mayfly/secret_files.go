package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// secretFile reads the secrets that a flag names, or those beside an embedded database,
// which are made if create says so; empty if there are none.
func secretFile(flag, name, database string, create bool, generate func() (string, error)) (path, text string, err error) {
	path, isDefault, err := besideDatabase(flag, name, database)
	if err != nil || path == "" {
		return "", "", err
	}
	read, err := os.ReadFile(path)
	if !isDefault || !errors.Is(err, fs.ErrNotExist) {
		return path, string(read), err
	}
	if !create {
		return "", "", nil
	}
	if text, err = generate(); err == nil {
		err = writeSecret(path, text)
	}
	return path, text, err
}

// besideDatabase is the path that a flag names, or that of a file beside an embedded
// database; empty if neither is to be had.
func besideDatabase(flag, name, database string) (path string, isDefault bool, err error) {
	if flag != "" || !strings.HasPrefix(database, "sqlite://") {
		return flag, false, nil
	}
	file, err := pathOf(database)
	if err != nil {
		return "", false, err
	}
	return filepath.Join(filepath.Dir(file), name), true, nil
}
