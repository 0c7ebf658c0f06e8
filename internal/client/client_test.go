package client_test

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mayfly/internal/client"
	"mayfly/internal/client/clienttest"
	"mayfly/tickets"

	"github.com/google/uuid"
)

func TestRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run("", func(t *testing.T) {
			in(t, func(s *setting) {
				s.net.Serve(s.T, "other.test:80", s.never())
				token := s.server.Store(content(10))
				s.server.Fail(post, clienttest.Redirect(status, "http://other.test"))
				_, err := s.client.Open(s.Context(), token)
				if s.keepsSecrets(err); !errors.Is(err, client.ErrRedirect) {
					s.Errorf("open: %v", err)
				}
				s.server.Fail(put, clienttest.Redirect(status, "http://other.test"))
				_, err = s.upload(content(10), client.NewBlob{})
				if s.keepsSecrets(err); !errors.Is(err, client.ErrRedirect) {
					s.Errorf("upload: %v", err)
				}
				s.server.Fail("GET /v1/ticket", clienttest.Redirect(status, "http://other.test"))
				_, err = s.client.Ticket(s.Context(), token)
				if s.keepsSecrets(err); !errors.Is(err, client.ErrRedirect) {
					s.Errorf("ticket: %v", err)
				}
			})
		})
	}
}

func TestServerAddress(t *testing.T) {
	t.Parallel()
	token := tickets.NewToken(tickets.KindTicket, uuid.New())
	for _, c := range []struct {
		address  string
		insecure bool
		ok       bool
	}{
		{"http://127.0.0.1:1", false, true},
		{"http://127.8.9.1:1", false, true},
		{"http://[::1]:1", false, true},
		{"http://localhost:1", false, true},
		{"https://127.0.0.1:1/below", false, true},
		{"http://192.0.2.1", false, false},
		{"http://localhost.evil.test", false, false},
		{"http://127.0.0.1.evil.test", false, false},
		{"http://127.0.0.1:1", true, true},
		{"https://user:sesame@127.0.0.1:1", false, false},
		{"https://127.0.0.1:1?q=1", false, false},
		{"https://127.0.0.1:1/#f", false, false},
		{"ftp://127.0.0.1:1", false, false},
		{"127.0.0.1:1", false, false},
		{"https://%zz", false, false},
		{"", false, false},
	} {
		down := &http.Client{Transport: refusing{}}
		cl := client.Client{Server: c.address, Insecure: c.insecure, HTTP: down, Patience: time.Nanosecond}
		cl.BackOff = never
		_, err := cl.Ticket(t.Context(), token)
		if errors.Is(err, client.ErrServer) == c.ok {
			t.Errorf("%q: %v", c.address, err)
		}
		if strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q: %v", c.address, err)
		}
	}
}

type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }

// A certificate that is wrong now will be wrong in a minute.
func TestCertificate(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	tries := 0
	c := client.Client{Server: server.URL, Retrying: func(error, time.Duration) { tries++ }}
	_, err := c.Ticket(t.Context(), tickets.NewToken(tickets.KindTicket, uuid.New()))
	if certificate := new(tls.CertificateVerificationError); !errors.As(err, &certificate) || tries != 0 {
		t.Errorf("%v after %d tries", err, tries)
	}
	c = client.Client{Server: strings.Replace(server.URL, "https", "http", 1), BackOff: never}
	if _, err := c.Ticket(t.Context(), tickets.NewToken(tickets.KindTicket, uuid.New())); err == nil {
		t.Error("plain http to a TLS port")
	}
}

// The default transport, over real sockets.
func TestDefaults(t *testing.T) {
	t.Parallel()
	var fake *clienttest.Server
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fake.ServeHTTP(w, r) }))
	defer server.Close()
	fake = clienttest.New(server.URL)
	s := &setting{T: t, server: fake, client: &client.Client{Server: server.URL + "/", Key: fake.Key}}
	want := content(3 << 20)
	a, err := s.upload(want, client.NewBlob{})
	if err != nil {
		t.Fatal(err)
	}
	s.same(s.opens(a.Tickets[0].Token), want)
}

// A server or proxy that echoes secrets does not get them into an error.
func TestEcho(t *testing.T) {
	in(t, func(s *setting) {
		s.server.Fail(post, clienttest.Echo(403))
		_, err := s.client.Open(s.Context(), s.server.Store(content(10)))
		p := fails[*client.Problem](s, err)
		if !strings.Contains(p.Detail, "Bearer [redacted] and [redacted]") || strings.ContainsRune(p.Detail, '\x1b') {
			s.Errorf("%q", p.Detail)
		}
	})
}

func TestProblemsAreBounded(t *testing.T) {
	in(t, func(s *setting) {
		for _, body := range []string{strings.Repeat("x", 1<<20), "{", `{"code":1}`, `{}`} {
			s.server.Fail("GET /v1/ticket", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(403)
				w.Write([]byte(body))
			})
			_, err := s.client.Ticket(s.Context(), s.server.Pending())
			if p := fails[*client.Problem](s, err); p.Status != 403 || p.Code != "" || len(p.Error()) > 100 {
				s.Errorf("%#v", p)
			}
		}
		s.server.Fail("GET /v1/ticket", clienttest.Refuse(403, strings.Repeat("long ", 1000), ""))
		_, err := s.client.Ticket(s.Context(), s.server.Pending())
		if p := fails[*client.Problem](s, err); len(p.Error()) > 2000 {
			s.Errorf("%d bytes", len(p.Error()))
		}
		long := `{"state":"ready","size":1,"expires_at":"2030-01-01T00:00:00Z","more":"` + strings.Repeat("x", 9<<20) + `"}`
		s.server.Fail("GET /v1/ticket", clienttest.Plain(200, long))
		if _, err := s.client.Ticket(s.Context(), s.server.Pending()); !errors.Is(err, client.ErrAnswer) || len(err.Error()) > 200 {
			s.Errorf("%v", err)
		}
	})
}

// A call without a transfer has a time-out, too, and is made again.
func TestCallStalls(t *testing.T) {
	for name, fault := range map[string]clienttest.Fault{
		"no answer": clienttest.Stall,
		"half an answer": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.Write([]byte(`{"state":`))
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(s *setting) {
				s.server.Fail("GET /v1/ticket", fault)
				if _, err := s.client.Ticket(s.Context(), s.server.Pending()); err != nil {
					s.Error(err)
				}
				if len(s.errs) != 1 || !errors.Is(s.errs[0], client.ErrStalled) {
					s.Errorf("%v", s.errs)
				}
			})
		})
	}
}
