package main

import (
	"fmt"

	"mayfly/expiry"
)

// erasureFlags name the keys that sign receipts, for the commands that erase.
type erasureFlags struct {
	ErasureKeys string `env:"MAYFLY_ERASURE_KEYS" type:"path" placeholder:"FILE" help:"Private keys (PEM) that sign the receipts of erasure, oldest first: the last one signs. The same for all replicas. Default: erasure-keys.pem beside an SQLite database, made at the first start; with PostgreSQL none, and then no receipts."`
}

const erasureKeysName = "erasure-keys.pem"

// signer reads the keys; nil if there are none and none is to be made.
func (f erasureFlags) signer(database string, create bool) (*expiry.Signer, error) {
	path, text, err := secretFile(f.ErasureKeys, erasureKeysName, database, create, func() (string, error) {
		key, err := expiry.GenerateKey()
		return string(key), err
	})
	if err != nil {
		return nil, fmt.Errorf("--erasure-keys: %w", err)
	}
	if path == "" {
		return nil, nil
	}
	s, err := expiry.NewSigner([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("--erasure-keys %s: %w", path, err)
	}
	return s, nil
}

// signReceipts has the purge sign, and the API say with which keys.
func (s *service) signReceipts(f erasureFlags, database string) error {
	signer, err := f.signer(database, true)
	switch {
	case err != nil:
		return err
	case signer == nil:
		s.log.Warn("no receipts of erasure are signed: give --erasure-keys, the same file to every replica")
		return nil
	}
	s.purge.Receipts = signer
	s.api.ErasureKeys, err = signer.Keyring().JWKS()
	return err
}
