package api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHeldHeader: the header waits for the file, and afterwards nothing is held
// back: else the end of the answer would come a fifth of a second late.
func TestHeldHeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	handler, err := w.api.Handler()
	if err != nil {
		t.Fatal(err)
	}
	var before, after atomic.Int64
	before.Store(-1)
	after.Store(-1)
	s := httptest.NewUnstartedServer(nil)
	s.Config = w.api.HTTPServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(&watched{rw, func() { before.Store(unsent(r)) }}, r)
		after.Store(unsent(r))
	}))
	s.Listener = w.api.Limit(s.Listener)
	s.Start()
	defer s.Close()
	w.server, w.client = s, s.Client()

	_, token := w.place(content(8 << 10)) // less than a client takes without having read
	if n := before.Load(); n != -1 {
		t.Fatalf("an upload's answer was sent as a file, behind %d bytes", n)
	}
	w.want(http.StatusOK, "POST /v1/download", token)
	s.Close() // returns when the handler has
	if before.Load() <= 0 || after.Load() != 0 {
		t.Errorf("held back before the transfer: %d bytes, and afterwards: %d; want those of the header, and 0", before.Load(), after.Load())
	}
}

// unsent is how many bytes the kernel has and has not sent yet, -2 if that cannot be known.
func unsent(r *http.Request) int64 {
	tcp, ok := r.Context().Value(tcpKey{}).(*tcpConn)
	if !ok {
		return -2
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return -2
	}
	bytes := int64(-2)
	if err := raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			bytes = int64(info.Notsent_bytes)
		}
	}); err != nil {
		return -2
	}
	return bytes
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
