package tickets_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
	"mayfly/blobstore/fsblob"
	"mayfly/expiry"
	"mayfly/internal/sqlstore"
	"mayfly/internal/world"
	"mayfly/tickets"
)

const tenant = "acme"

// house is a Service on a real database and a real folder, with a clock that the
// test moves and stores that fail when it says so.
type house struct {
	*tickets.Service
	rows  *faultyRows
	blobs *blobstoretest.Faulty
	clock *clock
	t     *testing.T
}

func newHouse(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: "sqlite://" + filepath.Join(dir, "mayfly.db"), Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	folder, err := fsblob.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })
	h := &house{
		rows:  &faultyRows{Store: db},
		blobs: &blobstoretest.Faulty{Store: folder},
		clock: &clock{now: time.Date(2026, time.November, 22, 9, 30, 0, 0, time.UTC)},
		t:     t,
	}
	h.Service = &tickets.Service{Store: h.rows, Blobs: h.blobs, Policies: builtin, Now: h.clock.Now}
	return h
}

func builtin(_ context.Context, _, name string) (tickets.Terms, bool, error) {
	p, ok := expiry.ForSender(expiry.Builtin(), name)
	return tickets.Terms{
		Policy: p.Name, Unlimited: p.Unlimited, SharedTicket: p.SharedTicket,
		UnopenedTTL: p.UnopenedTTL, ReportWindow: p.ReportWindow, ResumeWindow: p.ResumeWindow,
		UploadTTL: p.UploadTTL, TombstoneTTL: p.TombstoneTTL, MaxSize: p.MaxSize,
	}, ok, nil
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// stored uploads content in one call.
func (h *house) stored(content string, r tickets.Request) tickets.Issued {
	h.t.Helper()
	r.Tenant, r.Size = tenant, int64(len(content))
	issued, err := h.UploadNow(h.t.Context(), r, bytes.NewReader([]byte(content)))
	if err != nil {
		h.t.Fatal(err)
	}
	return issued
}

// opens opens a ticket and reads all of it.
func (h *house) opens(token tickets.Token, claim tickets.ClaimKey) (string, error) {
	d, err := h.Open(h.t.Context(), token, claim)
	if err != nil {
		return "", err
	}
	defer d.Close()
	content, err := io.ReadAll(io.LimitReader(d.Body, d.Length))
	return string(content), err
}

// resumes reads a ticket's blob from offset to the end.
func (h *house) resumes(token tickets.Token, claim tickets.ClaimKey, offset int64) (string, error) {
	d, err := h.Resume(h.t.Context(), token, claim, func(b tickets.Blob) (tickets.Span, error) {
		return tickets.Span{Offset: offset, Length: b.Size - offset}, nil
	})
	if err != nil {
		return "", err
	}
	defer d.Close()
	content, err := io.ReadAll(io.LimitReader(d.Body, d.Length))
	return string(content), err
}

// refused fails the test unless err is want.
func (h *house) refused(what string, err, want error) {
	h.t.Helper()
	if !errors.Is(err, want) {
		h.t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func (h *house) served(what, got string, err error, want string) {
	h.t.Helper()
	if err != nil || got != want {
		h.t.Errorf("%s: %q, %v, want %q", what, got, err, want)
	}
}

func (h *house) state(id uuid.UUID) (tickets.Blob, []tickets.Ticket) {
	h.t.Helper()
	b, ts, err := h.Status(h.t.Context(), tenant, id)
	if err != nil {
		h.t.Fatal(err)
	}
	return b, ts
}

// keepsPromises checks the world as it stands.
func (h *house) keepsPromises() {
	h.t.Helper()
	if err := world.Check(h.t.Context(), h.rows.Store.(world.Rows), h.blobs.Store); err != nil {
		h.t.Error(err)
	}
}

// empty says how many blobs, and unfinished uploads, the folder holds.
func (h *house) keptNothing() {
	h.t.Helper()
	if err := world.Empty(h.t.Context(), h.blobs.Store); err != nil {
		h.t.Error(err)
	}
}

// purges lets a pass run at the clock's time.
func (h *house) purges() expiry.PurgeResult {
	h.t.Helper()
	p := &expiry.Purge{Queue: h.rows.Store.(expiry.Queue), Blobs: h.blobs.Store, Now: h.clock.Now}
	r, err := p.Run(h.t.Context())
	if err != nil || r.Failed > 0 {
		h.t.Fatalf("purge: %+v, %v", r, err)
	}
	return r
}

func claimKey(t *testing.T, text string) tickets.ClaimKey {
	t.Helper()
	c, err := tickets.ParseClaimKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func digest(content string) *blobstore.Digest {
	return new(blobstore.Digest(sha256.Sum256([]byte(content))))
}

var errRows = errors.New("injected fault of the rows")

// faultyRows is a tickets.Store whose next call of a method fails: without its
// effect, or after it, as if the answer had been lost.
type faultyRows struct {
	tickets.Store
	method  string
	applied bool
	before  func() // runs before the next call of method, in place of a failure
	found   func() // runs after the next FindTicket, whose answer is old then
}

func (f *faultyRows) fail(method string, applied bool) { f.method, f.applied = method, applied }

// call runs do unless its method is to fail.
func (f *faultyRows) call(method string, do func() error) error {
	if f.method != method {
		return do()
	}
	f.method = ""
	if f.before != nil {
		before := f.before
		f.before = nil
		before()
		return do()
	}
	if !f.applied {
		return errRows
	}
	return errors.Join(do(), errRows)
}

func (f *faultyRows) Begin(ctx context.Context, b tickets.Blob, ts []tickets.Ticket, grant tickets.Hash) error {
	return f.call("Begin", func() error { return f.Store.Begin(ctx, b, ts, grant) })
}

func (f *faultyRows) BeginAttempt(ctx context.Context, id uuid.UUID, key blobstore.Key, due, now time.Time) error {
	return f.call("BeginAttempt", func() error { return f.Store.BeginAttempt(ctx, id, key, due, now) })
}

func (f *faultyRows) DropAttempt(ctx context.Context, id uuid.UUID, key blobstore.Key) error {
	return f.call("DropAttempt", func() error { return f.Store.DropAttempt(ctx, id, key) })
}

func (f *faultyRows) Reserve(ctx context.Context, attempts []tickets.Attempt) error {
	return f.call("Reserve", func() error { return f.Store.Reserve(ctx, attempts) })
}

func (f *faultyRows) Create(ctx context.Context, b tickets.Blob, ts []tickets.Ticket) error {
	return f.call("Create", func() error { return f.Store.Create(ctx, b, ts) })
}

func (f *faultyRows) Commit(ctx context.Context, c tickets.Commit) error {
	return f.call("Commit", func() error { return f.Store.Commit(ctx, c) })
}

func (f *faultyRows) Spend(ctx context.Context, s tickets.Spend) (won bool, err error) {
	err = f.call("Spend", func() (err error) { won, err = f.Store.Spend(ctx, s); return err })
	return won && err == nil, err
}

func (f *faultyRows) FindTicket(ctx context.Context, id uuid.UUID, h tickets.Hash) (tickets.Ticket, tickets.Blob, error) {
	t, b, err := f.Store.FindTicket(ctx, id, h)
	if found := f.found; found != nil {
		f.found = nil
		found()
	}
	return t, b, err
}

func (f *faultyRows) Contest(ctx context.Context, counts map[uuid.UUID]int64) error {
	return f.call("Contest", func() error { return f.Store.Contest(ctx, counts) })
}
