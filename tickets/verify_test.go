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
	"mayfly/blobstore/checksum"
)

// TestVerify: bytes that are not those that were uploaded are never all given out,
// whatever the size and however they come, with a checksum and, as of old, without.
func TestVerify(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 1000, aside, aside + 1, 3*aside + 77} {
		content := make([]byte, size)
		rand.Read(content)
		sum := blobstore.Digest(sha256.Sum256(content))
		keyed := checksum.New()
		keyed.Write(content)
		for by, b := range map[string]Blob{
			"SHA-256":  {Size: int64(size), SHA256: &sum},
			"checksum": {Size: int64(size), SHA256: &sum, Checksum: keyed.Checksum()},
			// By which of the two, if there are both.
			"only the checksum": {Size: int64(size), SHA256: &blobstore.Digest{}, Checksum: keyed.Checksum()},
		} {
			t.Run(by, func(t *testing.T) { verifies(t, content, b) })
		}
		wrong := Blob{Size: int64(size), SHA256: &sum, Checksum: checksum.New().Checksum()}
		if _, err := io.ReadAll(verify(io.NopCloser(bytes.NewReader(content)), wrong)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes that have another checksum: %v", size, err)
		}
	}
	// One that nobody reads to its end leaves nothing running.
	sum := blobstore.Digest{}
	body := verify(io.NopCloser(bytes.NewReader(make([]byte, 2*aside))), Blob{Size: 2 * aside, SHA256: &sum})
	body.Read(make([]byte, 10))
	body.Close()
}

func verifies(t *testing.T, content []byte, b Blob) {
	size := len(content)
	flip := func(at int) []byte {
		flipped := bytes.Clone(content)
		flipped[at] ^= 1
		return flipped
	}
	for name, c := range map[string]struct {
		body []byte
		want error
	}{
		"as it was":      {content, nil},
		"first flipped":  {flip(0), ErrDamaged},
		"middle flipped": {flip(size / 2), ErrDamaged},
		"last flipped":   {flip(size - 1), ErrDamaged},
		"short":          {content[:size-1], io.ErrUnexpectedEOF},
		"long":           {append(bytes.Clone(content), 0), ErrDamaged},
	} {
		for way, wrap := range map[string]func(io.Reader) io.Reader{
			"plain": func(r io.Reader) io.Reader { return r },
			"half":  iotest.HalfReader,
			"EOF":   iotest.DataErrReader,
		} {
			body := verify(io.NopCloser(wrap(bytes.NewReader(c.body))), b)
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

// TestVerifyInPlace: only a SHA-256 of many bytes is worth a goroutine.
func TestVerifyInPlace(t *testing.T) {
	t.Parallel()
	b := Blob{Size: 2 * aside, SHA256: &blobstore.Digest{}}
	if _, ok := checkOf(b).(*hashingAside); !ok {
		t.Error("without a checksum it is not made aside")
	}
	b.Checksum = checksum.New().Checksum()
	if _, ok := checkOf(b).(*summing); !ok {
		t.Error("the checksum is not made in place")
	}
}
