package client_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/client"
	"mayfly/internal/client/clienttest"
	"mayfly/tickets"
)

// setting is a client and a server on a network of pipes, in a bubble of their
// own, where waits cost nothing.
type setting struct {
	*testing.T
	net    clienttest.Network
	server *clienttest.Server
	client *client.Client
	// waits are those before another try, errs why.
	waits []time.Duration
	errs  []error
}

func in(t *testing.T, test func(s *setting)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &setting{T: t, server: clienttest.New("http://mayfly.test")}
		s.net.Serve(t, "mayfly.test:80", s.server)
		s.client = &client.Client{
			Server: "http://mayfly.test", Key: s.server.Key, Insecure: true, HTTP: s.net.Client(t),
			Retrying: func(err error, wait time.Duration) {
				s.errs, s.waits = append(s.errs, err), append(s.waits, wait)
			},
		}
		test(s)
		for _, err := range s.errs {
			s.keepsSecrets(err)
		}
	})
}

// keepsSecrets fails if the text of v shows a token or claim key of this test.
func (s *setting) keepsSecrets(v any) {
	s.Helper()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		text := fmt.Sprintf(verb, v)
		for _, secret := range s.server.Secrets() {
			if strings.Contains(text, secret) || strings.Contains(text, strings.TrimPrefix(secret, "mft_")) ||
				strings.Contains(text, fmt.Sprintf("%x", secret)) {
				s.Errorf("%s shows a secret: %s", verb, text)
			}
		}
	}
}

// fails expects an error of type E that keeps its secrets.
func fails[E error](s *setting, err error) E {
	s.Helper()
	s.keepsSecrets(err)
	var e E
	for at := err; at != nil; {
		if found, ok := at.(E); ok {
			return found
		}
		u, ok := at.(interface{ Unwrap() error })
		if !ok {
			break
		}
		at = u.Unwrap()
	}
	s.Fatalf("got %T %v, want %T", err, err, e)
	return e
}

// opens downloads the whole of a ticket's blob and acknowledges it.
func (s *setting) opens(token tickets.Token) []byte {
	s.Helper()
	d, err := s.client.Open(s.Context(), token)
	if err != nil {
		s.Fatalf("open: %v", err)
	}
	defer d.Close()
	got, err := io.ReadAll(d)
	if err != nil {
		s.Fatalf("read: %v", err)
	}
	if err := d.Acknowledge(s.Context()); err != nil {
		s.Fatalf("acknowledge: %v", err)
	}
	if state := s.server.State(token); state != "delivered" {
		s.Errorf("the ticket is %s", state)
	}
	s.keepsSecrets(d)
	s.keepsSecrets(s.client)
	return got
}

// content is size bytes that repeat nowhere.
func content(size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{7})
	r.Read(b)
	return b
}

func (s *setting) same(got, want []byte) {
	s.Helper()
	if sha256.Sum256(got) != sha256.Sum256(want) {
		s.Errorf("got %d bytes that differ from the %d wanted", len(got), len(want))
	}
}

func (s *setting) calls(want ...string) {
	s.Helper()
	if got := s.server.Requests(); fmt.Sprint(got) != fmt.Sprint(want) {
		s.Errorf("calls:\n got %v\nwant %v", got, want)
	}
}

const (
	post = "POST /v1/download"
	get  = "GET /v1/download"
	ack  = "POST /v1/download/ack"
	put  = "PUT /v1/uploads"
)

// never is a handler that must not be asked.
func (s *setting) never() http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s.Errorf("a call went astray: %s %s, Authorization %d bytes", r.Method, r.Host, len(r.Header.Get("Authorization")))
	})
}
