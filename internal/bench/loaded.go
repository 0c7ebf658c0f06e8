package main

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/big"
	"strings"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/tickets"
)

// loadedBlob is what loadPostgres makes of the blob that was stored at this time.
func loadedBlob(at time.Time) (uuid.UUID, blobstore.Key) {
	id, h := loadedID(at, fmt.Sprint(at.UnixMicro()))
	return id, blobstore.Key(strings.ReplaceAll(id.String(), "-", "") + "-" + h[16:])
}

// loadedToken is the token of its ticket with this number.
func loadedToken(at time.Time, ticket int) string {
	id, h := loadedID(at, fmt.Sprintf("%d-%d", at.UnixMicro(), ticket))
	return tokenOf(tickets.KindTicket, id, [32]byte([]byte(h)))
}

// loadedID is a UUIDv7 of this time, and the digits that it and what else looks random are
// made of.
func loadedID(at time.Time, seed string) (id uuid.UUID, h string) {
	h = fmt.Sprintf("%x", md5.Sum([]byte(seed)))
	return uuid.MustParse(fmt.Sprintf("%012x7%s8%s", at.UnixMilli(), h[:3], h[3:18])), h
}

// tokenOf writes the token with this secret, as package tickets does, which makes none of
// a secret that somebody else knows.
func tokenOf(kind tickets.Kind, id uuid.UUID, secret [32]byte) string {
	raw := append(id[:], secret[:]...)
	sum := crc32.Update(crc32.ChecksumIEEE([]byte(kind)), crc32.IEEETable, raw)
	digits := new(big.Int).SetBytes(binary.BigEndian.AppendUint32(raw, sum)).Text(62)
	return fmt.Sprintf("%s%s%s", kind, strings.Repeat("0", 70-len(digits)), digits)
}
