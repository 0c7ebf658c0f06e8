package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"sync"

	"mayfly/blobstore/bucket"
)

// sentBlob is an acknowledged upload, as its client remembers it.
type sentBlob struct {
	id, token string
	bytes     []byte
	claim     string // empty: strict

	mu                sync.Mutex
	asked             bool // an open was sent; whether it took effect may be unknown
	served            int  // answers of 200
	unsending, unsent bool // an unsend was sent, and acknowledged
}

var errOther = errors.New("an answer that this call never has")

// turn is what a client does at a time: an upload, or something with a blob of
// anybody's.
func (c *crash) turn(ctx context.Context, s *server) error {
	kind := mathrand.IntN(8)
	if kind < 5 {
		return c.upload(ctx, s)
	}
	c.mu.Lock()
	var b *sentBlob
	if n := (len(c.sent) + 1) / 2; n > 0 {
		b = c.sent[2*mathrand.IntN(n)] // every other one is left for the end
	}
	c.mu.Unlock()
	switch {
	case b == nil:
		return nil
	case kind == 5:
		return b.unsend(ctx, s)
	}
	return b.open(ctx, s)
}

func (c *crash) upload(ctx context.Context, s *server) error {
	size := 1 + mathrand.IntN(300_000)
	if mathrand.IntN(24) == 0 {
		size += bucket.PartSize // then a bucket gets it in parts
	}
	body := make([]byte, size)
	rand.Read(body)
	answer, err := do(ctx, http.MethodPost, s.address+"/v1/blobs", s.key, bytes.NewReader(body), "Content-Type", "application/octet-stream")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		return fmt.Errorf("upload: %s", answer.Status)
	}
	var created createdBlob
	if err := json.NewDecoder(answer.Body).Decode(&created); err != nil {
		return err
	}
	b := &sentBlob{id: created.ID, token: created.Tickets[0].Token, bytes: body}
	if mathrand.IntN(2) == 0 {
		b.claim = claimKey()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, b)
	return nil
}

// open asks for the blob as the one client that has its link.
func (b *sentBlob) open(ctx context.Context, s *server) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.asked || b.unsending
	b.asked = true
	var claim []string
	if b.claim != "" {
		claim = []string{"Claim-Key", b.claim}
	}
	answer, err := do(ctx, http.MethodPost, s.address+"/v1/download", b.token, nil, claim...)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusOK && !b.unsent:
		b.served++
		got, err := io.ReadAll(answer.Body)
		if err != nil {
			return err // cut off; what came is no whole blob, and net/http says so
		}
		if !bytes.Equal(got, b.bytes) {
			return fmt.Errorf("%w: other bytes", errOther)
		}
		return nil
	case answer.StatusCode == http.StatusGone && before:
		return nil
	case answer.StatusCode == http.StatusServiceUnavailable:
		return nil
	}
	return fmt.Errorf("%w: open, unsent before: %v: %s", errOther, b.unsent, answer.Status)
}

// openAgain is the last open, when no server dies any more.
func (b *sentBlob) openAgain(ctx context.Context, s *server) error {
	before, served := b.asked || b.unsending, b.served
	err := b.open(ctx, s)
	switch {
	case err != nil:
	case !before && b.served != 1:
		err = errors.New("an acknowledged upload that nobody asked for did not open")
	case served > 0 && b.claim == "" && b.served != served:
		err = errors.New("a spent ticket opened again")
	case served > 0 && b.claim != "" && !b.unsending && b.served != served+1:
		err = errors.New("the holder of the claim key was refused")
	}
	if err != nil {
		err = fmt.Errorf("blob %s, asked before: %v, served %d times: %w", b.id, before, served, err)
	}
	return err
}

// unsend takes the blob back: from its acknowledgement on nothing opens it.
func (b *sentBlob) unsend(ctx context.Context, s *server) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unsending = true
	answer, err := do(ctx, http.MethodDelete, s.address+"/v1/blobs/"+b.id, s.key, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		return fmt.Errorf("%w: unsend: %s", errOther, answer.Status)
	}
	b.unsent = true
	return nil
}

func do(ctx context.Context, method, url, token string, body io.Reader, header ...string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return http.DefaultClient.Do(r)
}

func claimKey() string {
	claim := make([]byte, 32)
	rand.Read(claim)
	return base64.RawURLEncoding.EncodeToString(claim)
}
