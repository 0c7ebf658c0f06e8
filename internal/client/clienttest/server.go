// Package clienttest is a small Mayfly in memory for the tests of its clients:
// the client's half of openapi.yaml, a seam for faults, and a network of pipes
// that works in a testing/synctest bubble, where waits cost nothing.
package clienttest

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"mayfly/tickets"
)

// Server is a Mayfly with one API key. The zero value is not usable.
type Server struct {
	// Key is the API key that it takes.
	Key tickets.Token
	// URL is how its clients reach it, for upload addresses.
	URL string

	mu       sync.Mutex
	blobs    []*blob
	faults   map[string][]Fault
	requests []string
	secrets  []string
	mux      http.ServeMux
}

type blob struct {
	id      uuid.UUID
	size    int64
	sha256  string
	grant   string
	bytes   []byte
	stored  bool
	unsent  bool
	expires time.Time
	tickets []*ticket
}

type ticket struct {
	id               uuid.UUID
	recipient, token string
	state, claim     string
}

// New is a server for the clients of url.
func New(url string) *Server {
	s := &Server{Key: tickets.NewToken(tickets.KindKey, uuid.New()), URL: url, faults: map[string][]Fault{}}
	s.mux.HandleFunc("POST /v1/blobs", s.announce)
	s.mux.HandleFunc("DELETE /v1/blobs/{id}", s.unsend)
	s.mux.HandleFunc("PUT /v1/uploads", s.upload)
	s.mux.HandleFunc("GET /v1/ticket", s.ticket)
	s.mux.HandleFunc("POST /v1/download", s.open)
	s.mux.HandleFunc("GET /v1/download", s.resume)
	s.mux.HandleFunc("POST /v1/download/ack", s.acknowledge)
	return s
}

// Fault stands in for a call, which it may let happen with next.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Fail puts faults in the way of the next calls of this kind, "POST /v1/download",
// one for each.
func (s *Server) Fail(call string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[call] = append(s.faults[call], faults...)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := r.Method + " " + r.URL.Path
	line := call
	if from := r.Header.Get("Range"); from != "" {
		line += " " + from
	}
	s.mu.Lock()
	s.requests = append(s.requests, line)
	for _, h := range []string{r.Header.Get("Claim-Key"), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")} {
		if h != "" && !slices.Contains(s.secrets, h) {
			s.secrets = append(s.secrets, h)
		}
	}
	var fault Fault
	if queue := s.faults[call]; len(queue) > 0 {
		fault, s.faults[call] = queue[0], queue[1:]
	}
	s.mu.Unlock()
	if fault != nil {
		fault(w, r, &s.mux)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// Requests are the calls that came, in order, a range behind the call.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Secrets are all tokens and claim keys that came or were handed out.
func (s *Server) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.secrets)
}

// Store puts a blob there and gives out a ticket.
func (s *Server) Store(content []byte) tickets.Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.add(int64(len(content)), "", []string{""})
	b.bytes, b.stored = content, true
	return s.token(b.tickets[0])
}

// Pending announces a blob whose bytes never come, and gives out a ticket.
func (s *Server) Pending() tickets.Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token(s.add(1, "", []string{""}).tickets[0])
}

func (s *Server) token(t *ticket) tickets.Token {
	token, err := tickets.ParseToken(tickets.KindTicket, t.token)
	if err != nil {
		panic(err)
	}
	return token
}

// SetState sets what became of a ticket: expired, revoked, opened, erased.
func (s *Server) SetState(token tickets.Token, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, t := s.find(token.Reveal())
	t.state = state
}

// State is the state of a ticket.
func (s *Server) State(token tickets.Token) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, t := s.find(token.Reveal())
	return t.state
}

// Blob is what is stored of the last blob, and whether it was unsent.
func (s *Server) Blob() (content []byte, stored, unsent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.blobs[len(s.blobs)-1]
	return b.bytes, b.stored, b.unsent
}

func (s *Server) add(size int64, sha string, recipients []string) *blob {
	id := uuid.New()
	b := &blob{
		id: id, size: size, sha256: sha, expires: time.Now().Add(14 * 24 * time.Hour).UTC().Truncate(time.Second),
		grant: tickets.NewToken(tickets.KindGrant, id).Reveal(),
	}
	s.secrets = append(s.secrets, b.grant)
	for _, r := range recipients {
		id := uuid.New()
		t := &ticket{id: id, recipient: r, token: tickets.NewToken(tickets.KindTicket, id).Reveal(), state: "ready"}
		s.secrets = append(s.secrets, t.token)
		b.tickets = append(b.tickets, t)
	}
	s.blobs = append(s.blobs, b)
	return b
}

func (s *Server) find(token string) (*blob, *ticket) {
	for _, b := range s.blobs {
		for _, t := range b.tickets {
			if t.token == token {
				return b, t
			}
		}
	}
	return nil, nil
}
