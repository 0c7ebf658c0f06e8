// Package clienttest is a small Mayfly in memory for the tests of its clients:
// the client's half of openapi.yaml, a seam for faults, and a network of pipes
// that works in a testing/synctest bubble, where waits cost nothing.
package clienttest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
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

func (s *Server) announce(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Policy     string
		Size       int64
		SHA256     string `json:"sha256"`
		Recipients []string
		ExpiresIn  int64 `json:"expires_in"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch err := json.NewDecoder(r.Body).Decode(&body); {
	case bearer(r) != s.Key.Reveal():
		problem(w, 401, "unknown_key", "")
		return
	case err != nil:
		problem(w, 400, "invalid_request", err.Error())
		return
	case body.Policy != "" && body.Policy != "view-once":
		problem(w, 400, "invalid_request", "policy is unknown")
		return
	}
	if body.Recipients == nil {
		body.Recipients = []string{""}
	}
	b := s.add(body.Size, body.SHA256, body.Recipients)
	if body.ExpiresIn > 0 {
		b.expires = time.Now().Add(time.Duration(body.ExpiresIn) * time.Second).UTC().Truncate(time.Second)
	}
	answer := map[string]any{
		"id": b.id, "state": "pending",
		"upload": map[string]any{
			"method": "PUT", "url": s.URL + "/v1/uploads", "expires_at": b.expires,
			"headers": map[string]string{"Authorization": "Bearer " + b.grant, "Content-Type": "application/octet-stream"},
		},
	}
	var issued []map[string]any
	for _, t := range b.tickets {
		issued = append(issued, map[string]any{"id": t.id, "recipient": t.recipient, "token": t.token, "expires_at": b.expires})
	}
	answer["tickets"] = issued
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(answer)
}

func (s *Server) unsend(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.blobs {
		if b.id.String() == r.PathValue("id") && bearer(r) == s.Key.Reveal() {
			b.unsent, b.stored, b.bytes = true, false, nil
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	problem(w, 404, "unknown_blob", "")
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	i := slices.IndexFunc(s.blobs, func(b *blob) bool { return b.grant == bearer(r) })
	if i < 0 {
		s.mu.Unlock()
		problem(w, 404, "unknown_grant", "")
		return
	}
	b := s.blobs[i]
	refusal := ""
	switch {
	case b.stored:
		refusal = "already_stored"
	case b.unsent:
		refusal = "too_late"
	}
	s.mu.Unlock()
	if refusal != "" {
		problem(w, map[string]int{"already_stored": 409, "too_late": 410}[refusal], refusal, "")
		return
	}
	if r.ContentLength < 0 {
		problem(w, 411, "length_required", "")
		return
	}
	content, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(content))
	switch {
	case int64(len(content)) != b.size:
		problem(w, 422, "size_mismatch", "")
		return
	case b.sha256 != "" && b.sha256 != sum:
		problem(w, 422, "digest_mismatch", "")
		return
	}
	s.mu.Lock()
	b.bytes, b.stored = content, true
	s.mu.Unlock()
	answer(w, map[string]any{"id": b.id, "state": "stored", "size": len(content), "sha256": sum, "expires_at": b.expires})
}

func (s *Server) ticket(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, t := s.find(bearer(r))
	if t == nil {
		problem(w, 404, "unknown_ticket", "")
		return
	}
	view := map[string]any{"state": t.state, "size": b.size, "expires_at": b.expires}
	if t.state == "erased" {
		view["state"] = "expired"
	}
	if b.stored {
		view["sha256"] = fmt.Sprintf("%x", sha256.Sum256(b.bytes))
	}
	answer(w, view)
}

func (s *Server) open(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	claim := r.Header.Get("Claim-Key")
	b, t := s.find(bearer(r))
	switch {
	case t == nil:
		s.mu.Unlock()
		problem(w, 404, "unknown_ticket", "")
		return
	case !b.stored:
		s.mu.Unlock()
		w.Header().Set("Retry-After", "5")
		problem(w, 409, "not_uploaded", "")
		return
	case t.state == "ready":
		t.state, t.claim = "opened", claim
	case t.state == "opened" && claim != "" && t.claim == claim:
	default:
		state := t.state
		s.mu.Unlock()
		problem(w, 410, strings.Replace(state, "delivered", "opened", 1), "")
		return
	}
	content := b.bytes
	s.mu.Unlock()
	r.Header.Del("Range")
	send(w, r, content)
}

func (s *Server) resume(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	b, t := s.find(bearer(r))
	var state, claim string
	var content []byte
	if t != nil {
		state, claim, content = t.state, t.claim, b.bytes
	}
	s.mu.Unlock()
	switch {
	case t == nil:
		problem(w, 404, "unknown_ticket", "")
	case state == "ready":
		problem(w, 409, "not_opened", "")
	case state != "opened" || claim == "" || claim != r.Header.Get("Claim-Key"):
		problem(w, 410, strings.Replace(state, "delivered", "opened", 1), "")
	default:
		send(w, r, content)
	}
}

func send(w http.ResponseWriter, r *http.Request, content []byte) {
	sum := sha256.Sum256(content)
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("ETag", fmt.Sprintf(`"%x"`, sum))
	h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
	if r.Method == http.MethodPost {
		h.Set("Content-Length", strconv.Itoa(len(content)))
		w.Write(content)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func (s *Server) acknowledge(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, t := s.find(bearer(r))
	switch {
	case t == nil:
		problem(w, 404, "unknown_ticket", "")
	case t.state == "ready":
		problem(w, 409, "not_opened", "")
	case t.claim == "" || t.claim != r.Header.Get("Claim-Key"):
		problem(w, 410, "opened", "")
	default:
		t.state = "delivered"
		w.WriteHeader(http.StatusNoContent)
	}
}

func bearer(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func problem(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{
		"type": "urn:mayfly:problem:" + code, "title": "Title of " + code + ".", "status": status, "code": code,
		"detail": detail, "request_id": "3f2a9c1e5b7d4860",
	})
}
