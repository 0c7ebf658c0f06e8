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
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mayfly/blobstore/fsblob"
	"mayfly/expiry"
	"mayfly/internal/sqlstore"
	"mayfly/internal/world"
)

const (
	crashRounds  = 12
	crashClients = 8
)

// TestKill9 kills the real process at random instants while clients upload and
// open, looks at the stores as they lie there, and starts it again: what was
// acknowledged is there (P1), what was spent stays spent (P2), and after one purge
// and one sweep nothing remains (P5).
func TestKill9(t *testing.T) {
	t.Parallel()
	c := &crash{dir: t.TempDir()}
	for round := range crashRounds {
		c.start(t)
		// From before the first request is answered to well into the work.
		c.killAfter(t, time.Duration(10+mathrand.IntN(400))*time.Millisecond)
		c.checkWorld(t, round)
	}
	uploads, opens := len(c.sent), c.opened()
	if uploads < crashRounds || opens == 0 || opens == uploads {
		t.Fatalf("too little happened to prove anything: %d uploads, %d opens", uploads, opens)
	}
	c.start(t)
	c.openTheRest(t)
	c.server.stop(t)
	c.checkWorld(t, crashRounds)
	c.checkNothingRemains(t)
	t.Logf("%d rounds: %d acknowledged uploads, %d opened before the end", crashRounds, uploads, opens)
}

// crash is a Mayfly that is killed, and what its clients know of it.
type crash struct {
	dir    string
	server *server

	mu   sync.Mutex
	sent []*sentBlob
}

// sentBlob is an acknowledged upload, as its client remembers it.
type sentBlob struct {
	token string
	bytes []byte
	claim string // empty: strict

	mu     sync.Mutex
	asked  bool // an open was sent; whether it took effect may be unknown
	served int  // answers of 200
}

func (c *crash) start(t *testing.T) {
	t.Helper()
	c.server = startServer(t, c.dir, "--admin", "off", "--purge-schedule", "@every 1s")
}

// killAfter lets the clients work and kills the server in the midst of it.
func (c *crash) killAfter(t *testing.T, life time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var clients sync.WaitGroup
	for range crashClients {
		clients.Go(func() {
			for ctx.Err() == nil {
				if err := c.work(ctx); errors.Is(err, errOther) {
					t.Error(err)
				} else if err != nil {
					return // the server is gone
				}
			}
		})
	}
	<-time.After(life)
	c.server.kill(t)
	clients.Wait()
}

// work is one turn of a client: an upload, or an open of somebody's blob.
func (c *crash) work(ctx context.Context) error {
	if mathrand.IntN(3) > 0 {
		return c.upload(ctx)
	}
	c.mu.Lock()
	var b *sentBlob
	if n := (len(c.sent) + 1) / 2; n > 0 {
		b = c.sent[2*mathrand.IntN(n)] // every other one is left for the end
	}
	c.mu.Unlock()
	if b == nil {
		return nil
	}
	return c.open(ctx, b)
}

func (c *crash) upload(ctx context.Context) error {
	body := make([]byte, 1+mathrand.IntN(300_000))
	rand.Read(body)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server.address+"/v1/blobs", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+c.server.key)
	r.Header.Set("Content-Type", "application/octet-stream")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var created struct{ Tickets []struct{ Token string } }
	if answer.StatusCode != http.StatusCreated {
		return fmt.Errorf("upload: %s", answer.Status)
	}
	if err := json.NewDecoder(answer.Body).Decode(&created); err != nil {
		return err
	}
	b := &sentBlob{token: created.Tickets[0].Token, bytes: body}
	if mathrand.IntN(2) == 0 {
		claim := make([]byte, 32)
		rand.Read(claim)
		b.claim = base64.RawURLEncoding.EncodeToString(claim)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, b)
	return nil
}

var errOther = errors.New("an answer that no open has")

// open asks for the blob as the one client that has its link.
func (c *crash) open(ctx context.Context, b *sentBlob) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server.address+"/v1/download", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+b.token)
	if b.claim != "" {
		r.Header.Set("Claim-Key", b.claim)
	}
	before := b.asked
	b.asked = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusOK:
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
	return fmt.Errorf("%w: %s", errOther, answer.Status)
}

func (c *crash) opened() (n int) {
	for _, b := range c.sent {
		if b.served > 0 {
			n++
		}
	}
	return n
}

// checkWorld looks at the stores without a server, as the crash left them.
func (c *crash) checkWorld(t *testing.T, round int) {
	t.Helper()
	db, blobs := c.stores(t)
	defer db.Close()
	defer blobs.Close()
	if err := world.Check(t.Context(), db, blobs); err != nil {
		t.Errorf("round %d: %v", round, err)
	}
	for _, b := range c.sent {
		// P2: a strict ticket is served once, over all crashes and restarts.
		if b.claim == "" && b.served > 1 {
			t.Errorf("round %d: a ticket was served %d times", round, b.served)
		}
	}
}

func (c *crash) stores(t *testing.T) (*sqlstore.Store, *fsblob.Store) {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: "sqlite://" + filepath.Join(c.dir, "mayfly-data", "mayfly.db")})
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := fsblob.Open(filepath.Join(c.dir, "mayfly-data", "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	return db, blobs
}

// openTheRest opens every ticket once more: those that nobody asked for must open
// (P1), those that were served must not, unless by their claim key (P2, P3).
func (c *crash) openTheRest(t *testing.T) {
	t.Helper()
	for i, b := range c.sent {
		asked, served := b.asked, b.served
		if err := c.open(t.Context(), b); err != nil {
			t.Errorf("ticket %d, asked before: %v, served %d times: %v", i, asked, served, err)
		}
		switch {
		case !asked && b.served != 1:
			t.Errorf("ticket %d: an acknowledged upload that nobody asked for did not open", i)
		case served > 0 && b.claim == "" && b.served != served:
			t.Errorf("ticket %d: a spent ticket opened again", i)
		case served > 0 && b.claim != "" && b.served != served+1:
			t.Errorf("ticket %d: the holder of the claim key was refused", i)
		}
	}
}

// checkNothingRemains lets a year go by, for one purge and one sweep (P5).
func (c *crash) checkNothingRemains(t *testing.T) {
	t.Helper()
	db, blobs := c.stores(t)
	defer db.Close()
	defer blobs.Close()
	later := func() time.Time { return time.Now().Add(30 * 24 * time.Hour) }
	purge := &expiry.Purge{Queue: db, Blobs: blobs, Now: later}
	if r, err := purge.Run(t.Context()); err != nil || r.Failed > 0 {
		t.Errorf("purge: %+v, %v", r, err)
	}
	sweep := &expiry.Sweep{Queue: db, Blobs: blobs, Now: later}
	if r, err := sweep.Run(t.Context()); err != nil || r.Failed > 0 || r.Orphans > 0 {
		t.Errorf("sweep: %+v, %v", r, err)
	}
	if err := world.Empty(t.Context(), blobs); err != nil {
		t.Error(err)
	}
}
