package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// job calls a server and remembers the secrets that it handed out.
type job struct {
	t       *testing.T
	s       *server
	secrets []string
}

type createdBlob struct {
	ID      string
	Upload  struct{ Headers map[string]string }
	Tickets []struct{ Token string }
}

type reply struct {
	t      *testing.T
	call   string
	status int
	body   []byte
}

func (j *job) call(method, path, token, contentType, body string, header http.Header) reply {
	j.t.Helper()
	return j.callWith(method, path, token, contentType, strings.NewReader(body), int64(len(body)), header)
}

func (j *job) callWith(method, path, token, contentType string, body io.Reader, size int64, header http.Header) reply {
	j.t.Helper()
	r, err := http.NewRequestWithContext(j.t.Context(), method, j.s.address+path, body)
	if err != nil {
		j.t.Fatal(err)
	}
	r.ContentLength = size
	if header != nil {
		r.Header = header.Clone()
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		j.t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		j.t.Fatal(err)
	}
	if answer.StatusCode >= 400 {
		j.search("the problem of "+method, content)
	}
	return reply{j.t, method + " " + path, answer.StatusCode, content}
}

func (r reply) want(status int) {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("%s: status %d, want %d: %s", r.call, r.status, status, r.body)
	}
}

func (j *job) created(r reply, status int) (c createdBlob) {
	j.t.Helper()
	r.want(status)
	if err := json.Unmarshal(r.body, &c); err != nil {
		j.t.Fatal(err)
	}
	for _, ticket := range c.Tickets {
		j.secret(ticket.Token)
	}
	return c
}
