package api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCork: while a file is sent its header waits for it, and afterwards nothing is held
// back: else the next answer of the connection would come a fifth of a second late.
func TestCork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	handler, err := w.api.Handler()
	if err != nil {
		t.Fatal(err)
	}
	var during, after atomic.Int64
	during.Store(-1)
	after.Store(-1)
	s := httptest.NewUnstartedServer(nil)
	s.Config = w.api.HTTPServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(&watched{rw, func() { during.Store(corked(r)) }}, r)
		after.Store(corked(r))
	}))
	s.Listener = w.api.Limit(s.Listener)
	s.Start()
	defer s.Close()
	w.server, w.client = s, s.Client()

	_, token := w.place(content(64 << 10))
	if n := during.Load(); n != -1 {
		t.Fatalf("an upload's answer was sent as a file, corked: %d", n)
	}
	w.want(http.StatusOK, "POST /v1/download", token)
	s.Close() // returns when the handler has
	if during.Load() != 1 || after.Load() != 0 {
		t.Errorf("corked during the transfer: %d, and afterwards: %d; want 1 and 0", during.Load(), after.Load())
	}
}

// corked is the option as the kernel has it, -2 if that cannot be known.
func corked(r *http.Request) int64 {
	raw, ok := r.Context().Value(socketKey{}).(syscall.RawConn)
	if !ok {
		return -2
	}
	on := -2
	if err := raw.Control(func(fd uintptr) { on, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK) }); err != nil {
		return -2
	}
	return int64(on)
}

// watched calls before when a file is about to be sent.
type watched struct {
	http.ResponseWriter
	before func()
}

func (w *watched) ReadFrom(r io.Reader) (int64, error) {
	w.before()
	return w.ResponseWriter.(io.ReaderFrom).ReadFrom(r)
}

func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }
