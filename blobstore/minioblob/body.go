package minioblob

import (
	"bytes"
	"errors"
	"sync"
)

// body is what a request sends. net/http may still be reading it when the request has
// ended, if the server answers before it has all; the bytes belong to a buffer that
// is then somebody else's.
type body struct {
	mu   sync.Mutex
	r    *bytes.Reader
	over bool
}

var errOver = errors.New("the request is over")

func newBody(b []byte) *body { return &body{r: bytes.NewReader(b)} }

// end lets nobody read any more.
func (b *body) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return 0, errOver
	}
	return b.r.Read(p)
}

// Seek is for another try.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.r.Seek(offset, whence)
}
