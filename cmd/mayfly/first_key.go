package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mayfly/internal/keys"
)

// keyFileName stands beside an embedded database and holds the key of the first
// start: clients on the same machine find it there.
const keyFileName = "backend.key"

// firstKey makes a backend key if the database has none at all, so that the first
// start is the whole installation. A server's database has no place beside it, and
// may be shared with others: there the operator makes the first key. The file comes before the row: a crash between
// the two leaves a key that opens nothing, and the next start writes another.
func (s *service) firstKey(ctx context.Context, database string) error {
	all, err := s.db.Keys(ctx)
	if err != nil || len(all) > 0 {
		return err
	}
	if !strings.HasPrefix(database, "sqlite://") {
		s.log.Warn("there is no API key yet: make one with mayfly key create --role backend --tenant NAME")
		return nil
	}
	path, err := pathOf(database)
	if err != nil {
		return err
	}
	path = filepath.Join(filepath.Dir(path), keyFileName)
	k, token, err := keys.New(keys.RoleBackend, "default", time.Now())
	if err != nil {
		return err
	}
	if err := writeSecret(path, token.Reveal()+"\n"); err != nil {
		return fmt.Errorf("store the first key: %w", err)
	}
	if err := s.db.CreateKey(ctx, k); err != nil {
		return fmt.Errorf("record the first key: %w", err)
	}
	s.log.Info("first start: made an API key for the tenant default, role backend", "file", path, "key", k.ID)
	return nil
}

// writeSecret replaces the file with one that only its owner can read, never
// showing a half-written one.
func writeSecret(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".mayfly-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	_, err = f.WriteString(content)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
