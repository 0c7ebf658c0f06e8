package clienttest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Network connects clients and servers by pipes: nothing of it leaves the
// process, so that it works in a testing/synctest bubble.
type Network struct {
	mu    sync.Mutex
	hosts map[string]*listener
	down  bool
	dials int
}

// Serve serves the handler as host ("a.test:80") until the test ends.
func (n *Network) Serve(t testing.TB, host string, handler http.Handler) {
	l := &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
	n.mu.Lock()
	if n.hosts == nil {
		n.hosts = map[string]*listener{}
	}
	n.hosts[host] = l
	n.mu.Unlock()
	// A handler that stalls does not read, and so does not notice a broken connection.
	ctx, cancel := context.WithCancel(context.Background())
	server := &http.Server{Handler: handler, BaseContext: func(net.Listener) context.Context { return ctx }}
	go server.Serve(l)
	t.Cleanup(func() { cancel(); server.Close() })
}

// SetDown makes every dial fail, or no more.
func (n *Network) SetDown(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
}

// Dials counts the connections that were asked for.
func (n *Network) Dials() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

// Client is an HTTP client on this network.
func (n *Network) Client(t testing.TB) *http.Client {
	transport := &http.Transport{DialContext: n.dial, ExpectContinueTimeout: time.Second, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (n *Network) dial(ctx context.Context, _, host string) (net.Conn, error) {
	n.mu.Lock()
	l, down := n.hosts[host], n.down
	n.dials++
	n.mu.Unlock()
	if l == nil || down {
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: errors.New("connection refused")}
	}
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type listener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
