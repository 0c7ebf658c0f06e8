//go:build !linux

package fsblob

import (
	"errors"
	"os"
)

// canSyncAll: elsewhere no call promises it.
func canSyncAll(*os.File) (bool, error) { return false, nil }

func (s *Store) syncAll() error { return errors.ErrUnsupported }
