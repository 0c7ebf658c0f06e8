package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/tickets"
)

func TestRateLimits(t *testing.T) {
	t.Parallel()
	forged := func() string { return tickets.NewToken(tickets.KindTicket, [16]byte{7}).Reveal() }

	t.Run("per address", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, withLimits(Limits{PerAddress: 3}))
		_, token := w.place(content(10))
		for range 3 {
			w.want(200, "GET /v1/ticket", token)
		}
		_, resp := w.refused(429, "rate_limited", "POST /v1/download", token)
		if resp.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		w.refused(429, "rate_limited", "GET /nowhere", "")
		w.refused(429, "rate_limited", "PATCH /v1/blobs", "")
		w.store(content(10), "") // a backend shares its address with nobody
	})
	t.Run("per token", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, withLimits(Limits{PerToken: 3}))
		id, token := w.place(content(10))
		_, other := w.place(content(10))
		for range 3 {
			w.want(200, "GET /v1/ticket", token)
			w.status(id)
		}
		w.refused(429, "rate_limited", "GET /v1/ticket", token)
		w.refused(429, "rate_limited", "GET /v1/blobs/"+id, w.key)
		w.want(200, "GET /v1/ticket", other)
	})
	t.Run("failures", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, withLimits(Limits{FailuresPerAddress: 4}))
		_, token := w.place(content(10))
		w.refused(401, "token_required", "GET /v1/ticket", "") // no attempt at anything
		w.refused(401, "malformed_token", "GET /v1/ticket", "mft_x")
		w.refused(404, "unknown_ticket", "GET /v1/ticket", forged())
		w.refused(401, "unknown_key", "POST /v1/blobs", tickets.NewToken(tickets.KindKey, [16]byte{1}).Reveal(), jsonBody("{}"))
		w.want(200, "GET /v1/ticket", token)
		w.refused(404, "unknown_grant", "PUT /v1/uploads", tickets.NewToken(tickets.KindGrant, [16]byte{1}).Reveal(), bytesBody(nil))
		w.refused(429, "rate_limited", "GET /v1/ticket", forged())
		w.refused(429, "rate_limited", "GET /v1/ticket", token)
		w.want(200, "GET /healthz", "") // needs no token
	})
	t.Run("off", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		for range 50 {
			w.refused(404, "unknown_ticket", "GET /v1/ticket", forged())
		}
	})
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		remote      string
		behindProxy bool
		forwarded   []string
		want        string
	}{
		{"IPv4", "192.0.2.7:1234", false, nil, "192.0.2.7"},
		{"IPv6 is its /64", "[2001:db8:1:2:3:4:5:6]:1234", false, nil, "2001:db8:1:2::"},
		{"a stranger's header", "192.0.2.7:1234", false, []string{"198.51.100.1"}, "192.0.2.7"},
		{"behind a proxy", "127.0.0.1:1234", true, []string{"198.51.100.1"}, "198.51.100.1"},
		{"the last one is the proxy's", "127.0.0.1:1", true, []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1"},
		{"of the last line", "127.0.0.1:1", true, []string{"203.0.113.9", "198.51.100.1 "}, "198.51.100.1"},
		{"IPv6 behind a proxy", "127.0.0.1:1", true, []string{"2001:db8::1"}, "2001:db8::"},
		{"mapped", "127.0.0.1:1", true, []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"nonsense", "192.0.2.7:1", true, []string{"unknown"}, "192.0.2.7"},
		{"a proxy that sends none", "192.0.2.7:1", true, nil, "192.0.2.7"},
		{"no port", "pipe", false, nil, "pipe"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		r.Header["X-Forwarded-For"] = c.forwarded
		e := &endpoints{Server: &Server{BehindProxy: c.behindProxy}}
		if got := e.clientAddress(r); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestCounters(t *testing.T) {
	t.Parallel()
	c := newCounters()
	c.Config(0, time.Minute)
	first := time.Unix(6000, 0)
	check := func(at time.Time, now, before int) {
		t.Helper()
		if n, b, err := c.Get("a", at, at.Add(-time.Minute)); n != now || b != before || err != nil {
			t.Errorf("%d, %d, want %d, %d", n, b, now, before)
		}
	}
	for range 3 {
		c.Increment("a", first)
	}
	check(first, 3, 0)
	second := first.Add(time.Minute)
	check(second, 0, 3)
	c.IncrementBy("a", second, 5)
	check(second, 5, 3)
	c.Increment("a", first) // of a call that read the clock before the window turned
	check(second, 6, 3)
	check(second.Add(time.Hour), 0, 0)
	// However many keys there are, the memory stays, and a key is not drowned.
	fourth := second.Add(2 * time.Hour)
	for i := range 10_000 {
		c.Increment(string(rune(i)), fourth)
	}
	if n, _, _ := c.Get("fresh", fourth, second); n > 10 {
		t.Errorf("an unknown key has counted %d", n)
	}
}

// Connections beyond the limit wait; the ones within it can use sendfile.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := (&Server{Limits: Limits{Connections: 1}}).Limit(inner)
	accepted := make(chan net.Conn)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	for range 2 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first := <-accepted
	if _, ok := first.(interface{ CloseWrite() error }); !ok {
		t.Errorf("%T hides what a TCP connection can do", first)
	}
	select {
	case <-accepted:
		t.Fatal("two connections at once")
	default:
	}
	first.Close()
	first.Close() // gives its place back once
	second := <-accepted
	l.Close()
	second.Close()
	if _, ok := <-accepted; ok {
		t.Error("a connection after Close")
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if got := (&Server{Limits: Limits{Connections: -1}}).Limit(inner); got != inner {
		t.Error("a limit that is off wraps")
	}
}

// Readiness asks once a second, whoever asks, and not on behalf of one client.
func TestReadiness(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	broken := errors.New("bucket is gone: secret")
	w := newWorld(t, func(w *world) {
		w.api.Ready = func(context.Context) error { asked.Add(1); return broken }
	})
	p, resp := w.refused(503, "unavailable", "GET /readyz", "")
	if p.Detail != nil || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%+v", p)
	}
	for range 10 {
		w.refused(503, "unavailable", "GET /readyz", "")
	}
	if n := asked.Load(); n > 3 {
		t.Errorf("asked %d times", n)
	}
	r := readiness{check: func(ctx context.Context) error { return ctx.Err() }}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.ask(ctx); err != nil {
		t.Errorf("one client that leaves makes the service unready: %v", err)
	}
}

var _ http.ResponseWriter = (*call)(nil)
