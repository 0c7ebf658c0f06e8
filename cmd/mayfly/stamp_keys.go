package main

import (
	"fmt"

	"mayfly/internal/stamp"
	"mayfly/tickets"
)

const stampKeysName = "stamp-keys"

// stamps reads the keys; nil if there are none and none is to be made.
func (f moderationFlags) stamps(database string, create bool) (*stamp.Keyring, error) {
	path, text, err := secretFile(f.StampKeys, stampKeysName, database, create, func() (string, error) { return stamp.Generate(), nil })
	if err != nil {
		return nil, fmt.Errorf("--stamp-keys: %w", err)
	}
	if path == "" {
		return nil, nil
	}
	k, err := stamp.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("--stamp-keys %s: %w", path, err)
	}
	return k, nil
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
