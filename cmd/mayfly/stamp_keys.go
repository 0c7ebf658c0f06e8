package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mayfly/internal/stamp"
	"mayfly/tickets"
)

const stampKeysName = "stamp-keys"

// stamps reads the keys; nil if there are none and none is to be made.
func (f moderationFlags) stamps(database string, create bool) (*stamp.Keyring, error) {
	path, isDefault, err := besideDatabase(f.StampKeys, stampKeysName, database)
	if err != nil || path == "" {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if isDefault && errors.Is(err, fs.ErrNotExist) {
		if !create {
			return nil, nil
		}
		fresh := stamp.Generate()
		text, err = []byte(fresh), writeSecret(path, fresh)
	}
	if err != nil {
		return nil, fmt.Errorf("--stamp-keys: %w", err)
	}
	k, err := stamp.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("--stamp-keys %s: %w", path, err)
	}
	return k, nil
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

// stampWith has uploads stamped.
func (s *service) stampWith(k *stamp.Keyring) {
	s.api.Reports.Stamps = k
	s.tickets.Stamp = func(b tickets.Blob) string {
		return k.Stamp(stamp.Upload{
			Blob: b.ID, SHA256: *b.SHA256, Size: b.Size, KeyCommitment: b.KeyCommitment, Context: b.Context, StoredAt: b.StoredAt,
		})
	}
}
