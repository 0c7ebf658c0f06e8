package api

import (
	"sync"
	"sync/atomic"
	"time"
)

// Buffers are for what cannot use sendfile: HTTP/2, and blobs that come over a network.
//
// A large one saves a fifth of the processor time: fewer calls, and a client that is woken
// less often. A slow client gains nothing from it, and would hold it for long. So only a
// transfer that went fast until now has one (who then stops reading holds it until the
// deadline of a chunk), and only a few at a time do: the memory of many
// transfers is that of small ones.
const (
	smallBuffer = 64 << 10
	largeBuffer = chunk
	// maxLarge is how many transfers have a large one at a time.
	maxLarge = 16
	// fastChunk is how long a chunk may take on a connection that is fast: 20 MiB/s.
	fastChunk = 50 * time.Millisecond
)

var (
	smalls = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	larges largePool
)

// largePool hands out large buffers, not more than maxLarge at a time. The zero value is
// ready.
type largePool struct {
	taken atomic.Int32
	idle  sync.Pool
}

// take returns nil if too many are taken. What it returns goes to free in the end.
func (p *largePool) take() *[largeBuffer]byte {
	if p.taken.Add(1) > maxLarge {
		p.taken.Add(-1)
		return nil
	}
	if b, ok := p.idle.Get().(*[largeBuffer]byte); ok {
		return b
	}
	return new([largeBuffer]byte)
}

func (p *largePool) free(b *[largeBuffer]byte) {
	p.idle.Put(b)
	p.taken.Add(-1)
}
