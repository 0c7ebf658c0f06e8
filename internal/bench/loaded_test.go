package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/tickets"
)

// TestLoadedNames reads what loadPostgres's rows are called, as the server reads it. That
// the database computes the same the opens of pg-tables-open show.
func TestLoadedNames(t *testing.T) {
	t.Parallel()
	for i := range 100 {
		at := purgeStart.Add(time.Duration(i) * loadStep)
		id, key := loadedBlob(at)
		if owner, ok := key.Owner(); !ok || owner != id || key.IsEvidence() {
			t.Errorf("blob %s has the key %s", id, key)
		}
		token, err := tickets.ParseToken(tickets.KindTicket, loadedToken(at, 0))
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []uuid.UUID{id, token.ID()} {
			if sec, nsec := id.Time().UnixTime(); id.Version() != 7 || id.Variant() != uuid.RFC4122 || !time.Unix(sec, nsec).Equal(at) {
				t.Errorf("%s is no id of %s", id, at)
			}
		}
	}
}

// TestTokenOf has a secret that begins with zeros among its tokens.
func TestTokenOf(t *testing.T) {
	t.Parallel()
	for _, id := range []uuid.UUID{{}, uuid.Max, uuid.Must(uuid.NewV7())} {
		for _, secret := range [][32]byte{{}, {31: 1}, [32]byte(bytes.Repeat([]byte{0xff}, 32))} {
			text := tokenOf(tickets.KindTicket, id, secret)
			token, err := tickets.ParseToken(tickets.KindTicket, text)
			if err != nil || token.ID() != id || token.Reveal() != text {
				t.Errorf("%x of %s: %v", secret, id, err)
			}
		}
	}
}
