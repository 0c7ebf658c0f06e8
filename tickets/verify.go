package tickets

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"hash"
	"io"
	"sync"
	"syscall"

	"mayfly/blobstore"
	"mayfly/blobstore/checksum"
)

// verified is a whole blob that comes over a network. It gives out the last of its
// bytes only once it has seen that all of them are those that were uploaded: a
// client never takes a blob for complete of which a byte was flipped on the way.
type verified struct {
	io.ReadCloser
	left  int64
	check check
}

// check is of bytes that are written to it as they come.
type check interface {
	io.Writer
	// right reports whether all that was written is what was uploaded; nothing more can be.
	right() bool
}

// verify wraps the body of a whole blob, unless it is a local file, which the kernel
// sends without our seeing it: for those the sweep and the client's own check are.
func verify(body io.ReadCloser, b Blob) io.ReadCloser {
	if _, local := body.(syscall.Conn); local || b.SHA256 == nil {
		return body
	}
	return &verified{ReadCloser: body, left: b.Size, check: checkOf(b)}
}

// checkOf is by the blob's checksum, which costs little beside reading and sending. What was
// stored before there were checksums has none, and is checked by its SHA-256.
func checkOf(b Blob) check {
	switch {
	case !b.Checksum.IsZero():
		return &summing{b.Checksum.Again(), b.Checksum}
	case b.Size > aside:
		return newHashingAside(*b.SHA256)
	default:
		return &hashingHere{sha256.New(), *b.SHA256}
	}
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	if v.left -= int64(n); v.left < 0 {
		return 0, fmt.Errorf("%w: it goes on behind its size", ErrDamaged)
	}
	v.check.Write(p[:n])
	switch {
	case v.left > 0 && err == io.EOF:
		return n, io.ErrUnexpectedEOF
	case v.left == 0 && n > 0 && !v.check.right():
		return 0, fmt.Errorf("%w: these are other bytes than were uploaded", ErrDamaged)
	}
	return n, err
}

func (v *verified) Close() error {
	v.check.right() // ends what runs aside
	return v.ReadCloser.Close()
}

// summing checks by a checksum.
type summing struct {
	*checksum.Hash
	want checksum.Sum
}

func (s *summing) right() bool { return s.Checksum().Equal(s.want) }

// hashingHere checks by SHA-256.
type hashingHere struct {
	hash.Hash
	want blobstore.Digest
}

func (h *hashingHere) right() bool { return subtle.ConstantTimeCompare(h.Sum(nil), h.want[:]) == 1 }

const (
	// aside is the size in bytes from which a SHA-256 is made while the next bytes are
	// read and sent: it takes about as long as both.
	aside = 256 << 10
	// asideBlock and asideBlocks bound what waits to be hashed.
	asideBlock  = 64 << 10
	asideBlocks = 4
)

var blocks = sync.Pool{New: func() any { return new([asideBlock]byte) }}

// hashingAside checks by SHA-256, which it makes in a goroutine of its own.
type hashingAside struct {
	todo chan piece
	done chan bool // whether it is right
	end  bool      // nothing more is written
	is   bool      // right, once that is known
}

type piece struct {
	block *[asideBlock]byte
	n     int
}

func newHashingAside(want blobstore.Digest) *hashingAside {
	h := &hashingAside{todo: make(chan piece, asideBlocks), done: make(chan bool, 1)}
	go func() {
		sum := &hashingHere{sha256.New(), want}
		for p := range h.todo {
			sum.Write(p.block[:p.n])
			blocks.Put(p.block)
		}
		h.done <- sum.right()
	}()
	return h
}

// Write hands on a copy of p: whoever reads uses his buffer again.
func (h *hashingAside) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0 && !h.end; {
		block := blocks.Get().(*[asideBlock]byte)
		n := copy(block[:], rest)
		h.todo <- piece{block, n}
		rest = rest[n:]
	}
	return len(p), nil
}

func (h *hashingAside) right() bool {
	if !h.end {
		close(h.todo)
		h.end, h.is = true, <-h.done
	}
	return h.is
}
