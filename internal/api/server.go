package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 16 << 10
	// Over HTTP/2 the deadlines of transfers reset single streams; these end a
	// connection whose peer is dead or takes nothing at all.
	pingAfter    = 30 * time.Second
	pingTimeout  = 15 * time.Second
	writeTimeout = time.Minute
	maxStreams   = 100
)

// HTTPServer serves h with what the API needs of net/http: bounds on headers and
// idle connections, and no limit for a whole request, since each transfer has
// deadlines of its own. The caller sets Addr or TLSConfig, and listens with Listen.
func (s *Server) HTTPServer(h http.Handler) *http.Server {
	log := s.Log
	if log == nil {
		log = slog.Default()
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnContext:       withTCP,
		ErrorLog:          slog.NewLogLogger(errorLog{log.Handler()}, slog.LevelWarn),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams,
			SendPingTimeout:      pingAfter,
			PingTimeout:          pingTimeout,
			WriteByteTimeout:     writeTimeout,
		},
		// "OPTIONS *" goes to h, like everything else, and is answered by it.
		DisableGeneralOptionsHandler: true,
	}
}

// Limit bounds how many connections of l are open at once, by Limits.Connections;
// further ones wait in the kernel's queue. The limit has to lie below TLS.
//
// It does what x/net/netutil.LimitListener does, whose connections hide
// io.ReaderFrom: behind it no file would reach a socket by sendfile.
func (s *Server) Limit(l net.Listener) net.Listener {
	n := s.Limits.withDefaults().Connections
	if n < 0 {
		return l
	}
	return &limitedListener{Listener: l, slots: make(chan struct{}, n), closed: make(chan struct{})}
}

type limitedListener struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	close  sync.Once
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	release := sync.OnceFunc(func() { <-l.slots })
	if tcp, ok := c.(*net.TCPConn); ok {
		return &limitedTCP{tcpConn{TCPConn: tcp}, release}, nil
	}
	return &limitedConn{c, release}, nil
}

func (l *limitedListener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// limitedTCP has the methods of *net.TCPConn, ReadFrom and CloseWrite among them.
type limitedTCP struct {
	tcpConn
	release func()
}

func (c *limitedTCP) Close() error {
	defer c.release()
	return c.TCPConn.Close()
}

type limitedConn struct {
	net.Conn
	release func()
}

func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// errorLog passes on what net/http has to say of its connections, without the
// addresses of clients that it puts there. Failed handshakes are what scanners
// make all day.
type errorLog struct{ slog.Handler }

func (l errorLog) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "http: TLS handshake error") {
		r.Level = slog.LevelDebug
		if !l.Enabled(ctx, r.Level) {
			return nil
		}
	}
	words := strings.Split(r.Message, " ")
	for i, word := range words {
		if _, err := netip.ParseAddrPort(strings.TrimRight(word, ":,;")); err == nil {
			words[i] = "[address]"
		}
	}
	r.Message = strings.Join(words, " ")
	return l.Handler.Handle(ctx, r)
}
