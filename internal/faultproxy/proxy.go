package faultproxy

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// Call is one call of S3, as the rule sees it.
type Call struct {
	Op     Op
	Method string
	// Path is the request's as it was sent, with its escapes and without the query.
	Path string
	// Query is to be read only.
	Query url.Values
	// N is how many calls of this operation came before, since the rule was set.
	N int
}

// Seen is a call, and what became of it.
type Seen struct {
	Call
	// Fault is what the rule said, Pass while it has not said yet.
	Fault Fault
	// Made tells that the fault happened. It stays false of Pass, of a fault that the
	// call has no place for, and of one that a true error forestalled.
	Made bool
}

// Proxy is a reverse proxy that makes the faults its rule tells. Without a rule it
// passes everything on. It is safe for concurrent use.
type Proxy struct {
	// URL is the proxy's own address, http://host:port, to be given to the client
	// instead of the server's.
	URL string

	server   string // host:port
	listener net.Listener
	done     chan struct{} // closed when the test ends
	running  sync.WaitGroup

	mu    sync.Mutex
	rule  func(Call) Fault
	count map[Op]int
	seen  []*Seen
	conns map[net.Conn]struct{}
}

// New starts a proxy in front of the S3 server at serverURL, which is http://host:port,
// and ends it with the test.
func New(t testing.TB, serverURL string) *Proxy {
	t.Helper()
	u, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	// A path could not be put before the client's: its signature is over it.
	if u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		t.Fatalf("faultproxy: %q is not http://host:port", serverURL)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		URL:      "http://" + l.Addr().String(),
		server:   net.JoinHostPort(u.Hostname(), port),
		listener: l,
		done:     make(chan struct{}),
		count:    map[Op]int{},
		conns:    map[net.Conn]struct{}{},
	}
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Fail sets the rule for all calls from now on, counts them from 0 again, and
// forgets those that Calls told. nil lets all pass. The rule may be asked by several
// calls at once, and may block: so a test can hold a call where it wants it.
func (p *Proxy) Fail(rule func(Call) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule, p.seen = rule, nil
	clear(p.count)
}

// Calls is what came since the rule was set, in order.
func (p *Proxy) Calls() []Seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := make([]Seen, len(p.seen))
	for i, s := range p.seen {
		calls[i] = *s
	}
	return calls
}

// arrived counts the call that r makes and asks the rule about it. made is to be
// called when the fault happens.
func (p *Proxy) arrived(r *http.Request) (c Call, f Fault, made func()) {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	s := &Seen{Call: Call{Op: operation(r), Method: r.Method, Path: path, Query: r.URL.Query()}}

	p.mu.Lock()
	s.N = p.count[s.Op]
	p.count[s.Op]++
	p.seen = append(p.seen, s)
	c, rule := s.Call, p.rule
	p.mu.Unlock()

	if rule == nil {
		return c, Pass, func() {}
	}
	f = rule(c) // without the lock, as it may block

	p.mu.Lock()
	defer p.mu.Unlock()
	s.Fault = f
	return c, f, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		s.Made = f != Pass
	}
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // no descriptor is free, for the moment
			p.wait(nil, time.Millisecond)
		case p.track(conn):
			p.running.Go(func() { p.serve(conn.(*net.TCPConn)) })
		}
	}
}

// serve answers one client, call after call.
func (p *Proxy) serve(client *net.TCPConn) {
	defer p.release(client)
	in := newReader(client)
	for p.exchange(client, in) {
	}
}

// track notes a connection for close. It closes one that comes too late.
func (p *Proxy) track(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isDone() {
		conn.Close()
		return false
	}
	p.conns[conn] = struct{}{}
	return true
}

func (p *Proxy) release(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
	conn.Close()
}

func (p *Proxy) isDone() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// wait waits for d, at most until gone is closed or the test ends.
func (p *Proxy) wait(gone <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-gone:
	case <-p.done:
	}
}

func (p *Proxy) close() {
	p.mu.Lock()
	close(p.done)
	p.listener.Close()
	for conn := range p.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}
