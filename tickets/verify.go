package tickets

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"sync"
	"syscall"

	"mayfly/blobstore"
)

// verified is a whole blob that comes over a network. It gives out the last of its
// bytes only once it has seen that all of them are those that were uploaded: a
// client never takes a blob for complete of which a byte was flipped on the way.
type verified struct {
	io.ReadCloser
	left int64
	want blobstore.Digest
	sum  hashing
}

// hashing is a SHA-256 in the making.
type hashing interface {
	io.Writer
	// digest is of all that was written; nothing more can be.
	digest() blobstore.Digest
}

// verify wraps the body of a whole blob, unless it is a local file, which the kernel
// sends without our seeing it: for those the sweep and the client's own check are.
func verify(body io.ReadCloser, b Blob) io.ReadCloser {
	if _, local := body.(syscall.Conn); local || b.SHA256 == nil {
		return body
	}
	v := &verified{ReadCloser: body, left: b.Size, want: *b.SHA256}
	if b.Size > aside {
		v.sum = newHashingAside()
	} else {
		v.sum = &hashingHere{sha256.New()}
	}
	return v
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	if v.left -= int64(n); v.left < 0 {
		return 0, fmt.Errorf("%w: it goes on behind its size", ErrDamaged)
	}
	v.sum.Write(p[:n])
	switch {
	case v.left > 0 && err == io.EOF:
		return n, io.ErrUnexpectedEOF
	case v.left == 0 && n > 0 && v.sum.digest() != v.want:
		return 0, fmt.Errorf("%w: it has another SHA-256", ErrDamaged)
	}
	return n, err
}

func (v *verified) Close() error {
	v.sum.digest() // ends what runs aside
	return v.ReadCloser.Close()
}

type hashingHere struct{ hash.Hash }

func (h *hashingHere) digest() blobstore.Digest { return blobstore.Digest(h.Sum(nil)) }

const (
	// aside is the size in bytes from which a blob is hashed while its next bytes are
	// read and sent: hashing takes about as long as both.
	aside = 256 << 10
	// asideBlock and asideBlocks bound what waits to be hashed.
	asideBlock  = 64 << 10
	asideBlocks = 4
)

var blocks = sync.Pool{New: func() any { return new([asideBlock]byte) }}

// hashingAside hashes in a goroutine of its own.
type hashingAside struct {
	todo chan piece
	done chan blobstore.Digest
	sum  *blobstore.Digest // once it is known
}

type piece struct {
	block *[asideBlock]byte
	n     int
}

func newHashingAside() *hashingAside {
	h := &hashingAside{todo: make(chan piece, asideBlocks), done: make(chan blobstore.Digest, 1)}
	go func() {
		sum := sha256.New()
		for p := range h.todo {
			sum.Write(p.block[:p.n])
			blocks.Put(p.block)
		}
		h.done <- blobstore.Digest(sum.Sum(nil))
	}()
	return h
}

// Write hands on a copy of p: whoever reads uses his buffer again.
func (h *hashingAside) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0 && h.sum == nil; {
		block := blocks.Get().(*[asideBlock]byte)
		n := copy(block[:], rest)
		h.todo <- piece{block, n}
		rest = rest[n:]
	}
	return len(p), nil
}

func (h *hashingAside) digest() blobstore.Digest {
	if h.sum == nil {
		close(h.todo)
		sum := <-h.done
		h.sum = &sum
	}
	return *h.sum
}
