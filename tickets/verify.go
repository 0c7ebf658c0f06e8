package tickets

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
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
	h    hash.Hash
}

// verify wraps the body of a whole blob, unless it is a local file, which the kernel
// sends without our seeing it: for those the sweep and the client's own check are.
func verify(body io.ReadCloser, b Blob) io.ReadCloser {
	if _, local := body.(syscall.Conn); local || b.SHA256 == nil {
		return body
	}
	return &verified{ReadCloser: body, left: b.Size, want: *b.SHA256, h: sha256.New()}
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	v.left -= int64(n)
	v.h.Write(p[:n])
	switch {
	case v.left < 0:
		return 0, fmt.Errorf("%w: it goes on behind its size", ErrDamaged)
	case v.left > 0 && err == io.EOF:
		return n, io.ErrUnexpectedEOF
	case v.left == 0 && n > 0 && blobstore.Digest(v.h.Sum(nil)) != v.want:
		return 0, fmt.Errorf("%w: it has another SHA-256", ErrDamaged)
	}
	return n, err
}
