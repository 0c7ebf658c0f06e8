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
	"time"
)

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
