package blobstore

import (
	"crypto/rand"
	"time"
)

// newAttempt is what tells one attempt's key from another's of the same owner: random
// but for its last byte, see neighbours.
func newAttempt() (attempt [8]byte) {
	rand.Read(attempt[:]) // never fails: crypto/rand ends the program instead
	last := &attempt[len(attempt)-1]
	*last = neighbours(time.Now(), *last)
	return attempt
}

const (
	// togetherFor is how long new keys end in the same few ways.
	togetherFor = 500 * time.Millisecond
	// endings is how many ways that are: more than one, because who makes a file holds
	// its folder's lock.
	endings = 4
)

// neighbours is the last byte of a key made at now. A folder store spreads blobs over
// folders by it (package fsblob), so blobs that are made together lie together, and in
// time all folders fill alike. A file system keeps what a folder's files are written
// into apart from other folders': with a folder each, 64 uploads that share a sync also
// had it write 64 folders, bitmaps and inode tables. In four they were an
// eighth more a second; in one hardly more than in 256, and in sixteen none.
// What was made together is also purged together.
func neighbours(now time.Time, random byte) byte {
	return byte(now.UnixMilli()/togetherFor.Milliseconds())*endings + random%endings
}
