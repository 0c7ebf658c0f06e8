package faultproxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/faultproxy"
)

// store is as much of an S3 server as the proxy's tests need: objects by path. A
// call that is neither PUT nor GET stores "effect".
type store struct {
	*httptest.Server
	mu      sync.Mutex
	objects map[string]string
	short   map[string]string // bodies that ended too soon
	came    chan string       // the calls, as they come
}

func newStore(t *testing.T) *store {
	s := &store{objects: map[string]string{}, short: map[string]string{}, came: make(chan string, 10000)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.mu.Lock()
		s.short[r.URL.Path] = string(body)
		s.mu.Unlock()
		s.came <- "short " + r.Method
		return
	}
	switch r.Method {
	case "GET", "HEAD":
		content := s.object(r.URL.Path)
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		io.WriteString(w, content)
	case "PUT":
		s.put(r.URL.Path, string(body))
	default:
		s.put(r.URL.Path, "effect")
		io.WriteString(w, "<Result/>")
	}
	s.came <- r.Method
}

func (s *store) put(path, content string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[path] = content
}

func (s *store) object(path string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[path]
}

type watched struct {
	r    io.Reader
	read bool
}

func (w *watched) Read(p []byte) (int, error) {
	w.read = true
	return w.r.Read(p)
}

// reply is what a client saw: err is of the call, or of its body.
type reply struct {
	status int
	body   string
	err    error
}

// do makes a call on a connection of its own: on a used one the transport would send
// a GET again by itself.
func do(t *testing.T, r *http.Request) reply {
	t.Helper()
	tr := &http.Transport{DisableCompression: true, ExpectContinueTimeout: time.Hour}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(r)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, string(body), err}
}

func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func dial(t *testing.T, p *faultproxy.Proxy) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}
