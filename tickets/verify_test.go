package tickets

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"mayfly/blobstore"
)

// TestVerify: bytes that are not those that were uploaded are never all given out,
// whatever the size and however they come.
func TestVerify(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 1000, aside, aside + 1, 3*aside + 77} {
		content := make([]byte, size)
		rand.Read(content)
		sum := blobstore.Digest(sha256.Sum256(content))
		flipped := bytes.Clone(content)
		flipped[size/2] ^= 1
		last := bytes.Clone(content)
		last[size-1] ^= 1
		for name, c := range map[string]struct {
			body []byte
			want error
		}{
			"as it was":    {content, nil},
			"flipped":      {flipped, ErrDamaged},
			"last flipped": {last, ErrDamaged},
			"short":        {content[:size-1], io.ErrUnexpectedEOF},
			"long":         {append(bytes.Clone(content), 0), ErrDamaged},
		} {
			for way, wrap := range map[string]func(io.Reader) io.Reader{
				"plain": func(r io.Reader) io.Reader { return r },
				"half":  iotest.HalfReader,
				"EOF":   iotest.DataErrReader,
			} {
				body := verify(io.NopCloser(wrap(bytes.NewReader(c.body))), Blob{Size: int64(size), SHA256: &sum})
				got, err := io.ReadAll(body)
				switch {
				case !errors.Is(err, c.want):
					t.Errorf("%d bytes, %s, %s: %v, want %v", size, name, way, err, c.want)
				case c.want == nil && !bytes.Equal(got, content):
					t.Errorf("%d bytes, %s, %s: other bytes", size, name, way)
				case c.want == ErrDamaged && len(got) >= size && name != "long":
					t.Errorf("%d bytes, %s, %s: all were given out", size, name, way)
				}
				body.Close()
				body.Close()
			}
		}
	}
	// One that nobody reads to its end leaves nothing running.
	sum := blobstore.Digest{}
	body := verify(io.NopCloser(bytes.NewReader(make([]byte, 2*aside))), Blob{Size: 2 * aside, SHA256: &sum})
	body.Read(make([]byte, 10))
	body.Close()
}
