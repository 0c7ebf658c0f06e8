package api

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func TestLargePool(t *testing.T) {
	t.Parallel()
	var p largePool
	var taken []*[largeBuffer]byte
	for i := range maxLarge {
		b := p.take()
		if b == nil {
			t.Fatalf("only %d can be taken", i)
		}
		taken = append(taken, b)
	}
	for range 2 { // a refusal counts for nothing
		if p.take() != nil {
			t.Fatal("one more than the limit was taken")
		}
	}
	p.free(taken[0])
	if p.take() == nil {
		t.Error("none can be taken though one was freed")
	}
	if p.take() != nil {
		t.Error("one more than the limit was taken after one was freed")
	}
}

// A transfer has a large buffer behind a chunk that went fast, and gives it back. Not
// parallel: other tests take of the same buffers.
func TestBufferOfTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent bytes.Buffer
		w := httptest.NewRecorder()
		w.Body = &sent
		c := &call{ResponseWriter: w, status: http.StatusOK}
		blob := content(chunk)
		transfer := func(what string, n int, wait time.Duration, want int) {
			t.Helper()
			sent.Reset()
			source := &measured{Reader: bytes.NewReader(blob), wait: wait}
			got, err := c.ReadFrom(&io.LimitedReader{R: source, N: int64(n)})
			if err != nil || got != int64(n) || !bytes.Equal(sent.Bytes(), blob[:n]) {
				t.Errorf("%s: %d bytes, %v, and they are right: %t", what, got, err, bytes.Equal(sent.Bytes(), blob[:n]))
			}
			if source.most != want {
				t.Errorf("%s: it was read by %d bytes, want %d", what, source.most, want)
			}
			if n := larges.taken.Load(); n != 0 {
				t.Errorf("%s: %d large buffers were not given back", what, n)
			}
		}
		transfer("the first chunk", chunk, 0, smallBuffer)
		transfer("behind a fast one", chunk, 0, chunk)
		transfer("still fast", chunk, fastChunk, chunk)
		transfer("behind a slow one", chunk, 0, smallBuffer)
		transfer("the end of a blob", 1000, 0, 1000)
		transfer("behind an end", chunk, 0, smallBuffer)

		var others [maxLarge]*[largeBuffer]byte
		for i := range others {
			others[i] = larges.take()
		}
		source := &measured{Reader: bytes.NewReader(blob)}
		if _, err := c.ReadFrom(&io.LimitedReader{R: source, N: chunk}); err != nil || source.most != smallBuffer {
			t.Errorf("with all large ones taken it was read by %d bytes, want %d: %v", source.most, smallBuffer, err)
		}
		for _, b := range others {
			larges.free(b)
		}

		c.fast = true
		if _, err := c.ReadFrom(brokenReader{}); err == nil {
			t.Error("a reader that fails is a success")
		}
		if n := larges.taken.Load(); n != 0 || c.fast {
			t.Errorf("behind a failure %d large buffers are taken, fast %t", n, c.fast)
		}
	})
}

// measured notes the largest read that was asked for; the first one takes a while.
type measured struct {
	io.Reader
	wait time.Duration
	most int
}

func (m *measured) Read(p []byte) (int, error) {
	<-time.After(m.wait)
	m.wait = 0
	m.most = max(m.most, len(p))
	return m.Reader.Read(p)
}
