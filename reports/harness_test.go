package reports_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
	"mayfly/blobstore/fsblob"
	"mayfly/expiry"
	"mayfly/internal/keys"
	"mayfly/internal/sqlstore"
	"mayfly/internal/world"
	"mayfly/reports"
	"mayfly/reports/envelope"
	"mayfly/tickets"
)

const (
	tenant = "acme"
	day    = 24 * time.Hour

	// photo is what senders send in these tests.
	photo = "a photo, encrypted so that only its recipients can see it"
)

// house is a Service on a real database and a real folder, beside the tickets whose blobs
// it is about, with a clock that the test moves and stores that fail when it says so.
type house struct {
	*reports.Service
	tickets *tickets.Service
	db      *sqlstore.Store
	rows    *faultyRows
	folder  *fsblob.Store
	dir     string
	blobs   *blobstoretest.Faulty
	clock   *clock
	moderators
	t *testing.T
}

// moderators are two people of the tenant and one of another, and the keys that reporters
// seal to.
type moderators struct {
	ann, ben, eve reports.Moderator
	identity      envelope.Identity
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
		db: db, rows: &faultyRows{Store: db}, folder: folder, dir: filepath.Join(dir, "blobs"),
		blobs: &blobstoretest.Faulty{Store: folder},
		// Tickets and the folder's files have times of the real clock.
		clock: &clock{now: time.Now().UTC().Truncate(time.Second)},
		t:     t,
	}
	h.tickets = &tickets.Service{Store: db, Blobs: folder, Policies: builtin, Now: h.clock.Now}
	h.ann, h.ben, h.eve = h.moderator(tenant), h.moderator(tenant), h.moderator("other")
	if h.identity, err = envelope.GenerateIdentity(false); err != nil {
		t.Fatal(err)
	}
	h.Service = h.restarted()
	return h
}

// restarted is another Service on the same stores, as after a crash.
func (h *house) restarted() *reports.Service {
	to := []envelope.Recipient{h.identity.Recipient()}
	return &reports.Service{
		Store: h.rows, Blobs: h.blobs, Now: h.clock.Now, Terms: evidenceTerms,
		Recipients: func(context.Context) ([]envelope.Recipient, error) { return to, nil },
	}
}

func builtin(_ context.Context, _, name string) (tickets.Terms, bool, error) {
	p, ok := expiry.ForSender(expiry.Builtin(), name)
	return tickets.Terms{
		Policy: p.Name, Unlimited: p.Unlimited, SharedTicket: p.SharedTicket,
		UnopenedTTL: p.UnopenedTTL, ReportWindow: p.ReportWindow, ResumeWindow: p.ResumeWindow,
		UploadTTL: p.UploadTTL, TombstoneTTL: p.TombstoneTTL, MaxSize: p.MaxSize,
	}, ok, nil
}

func evidenceTerms(context.Context, string) (reports.Terms, error) {
	for _, p := range expiry.Builtin() {
		if p.Name == expiry.EvidencePolicy {
			return reports.Terms{
				Policy: p.Name, Keep: p.UnopenedTTL, ResumeWindow: p.ResumeWindow,
				UploadTTL: p.UploadTTL, TombstoneTTL: p.TombstoneTTL, MaxSize: p.MaxSize,
			}, nil
		}
	}
	return reports.Terms{}, errors.New("no policy of evidence")
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

func (h *house) moderator(tenant string) reports.Moderator {
	h.t.Helper()
	token := tickets.NewToken(tickets.KindKey, uuid.Must(uuid.NewV7()))
	err := h.db.CreateKey(h.t.Context(), keys.Key{ID: token.ID(), Tenant: tenant, Role: keys.RoleModerator, Hash: token.Hash(), CreatedAt: h.clock.Now()})
	if err != nil {
		h.t.Fatal(err)
	}
	return reports.Moderator{Tenant: tenant, Key: token.ID()}
}

// sent is a blob that is stored, and its one ticket.
type sent struct {
	tickets.Blob
	token tickets.Token
}

func (h *house) sends(content string) sent {
	h.t.Helper()
	issued, err := h.tickets.UploadNow(h.t.Context(), tickets.Request{
		Tenant: tenant, Size: int64(len(content)), KeyCommitment: "commitment", Context: "conversation 7",
	}, strings.NewReader(content))
	if err != nil {
		h.t.Fatal(err)
	}
	return sent{issued.Blob, issued.Tickets[0].Token}
}

// opens opens a ticket and reads all of it.
func (h *house) opens(token tickets.Token) (string, error) {
	d, err := h.tickets.Open(h.t.Context(), token, tickets.ClaimKey{})
	if err != nil {
		return "", err
	}
	defer d.Close()
	content, err := io.ReadAll(io.LimitReader(d.Body, d.Length))
	return string(content), err
}

// complaint is a request that is in order.
func (h *house) complaint(s sent) reports.Request {
	h.t.Helper()
	sealed, err := envelope.Seal(contents(s), []envelope.Recipient{h.identity.Recipient()})
	if err != nil {
		h.t.Fatal(err)
	}
	return reports.Request{
		Ticket: s.token.ID(), TicketHash: s.token.Hash(), Reason: "threat", Comment: "Help.",
		Consent: &reports.Given{Granted: true, Statement: "mayfly-1"}, SealedKey: sealed, Handle: handleOf,
	}
}

func contents(s sent) envelope.Contents {
	return envelope.Contents{Blob: s.ID, SHA256: sha256.Sum256([]byte(photo)), Size: s.Size, Format: "age", Key: json.RawMessage(`"key"`)}
}

// handleOf stands in for the token of a report handle.
func handleOf(id uuid.UUID) reports.Hash { return sha256.Sum256(append([]byte("handle "), id[:]...)) }

// files reports what was sent.
func (h *house) files(s sent) reports.Report {
	h.t.Helper()
	r, err := h.File(h.t.Context(), h.complaint(s))
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// copies lets a pass run, which must not fail as a whole.
func (h *house) copies() reports.Copied {
	h.t.Helper()
	c, err := h.CopyDue(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// open is a report whose evidence is there.
func (h *house) open() reports.Report {
	h.t.Helper()
	r := h.files(h.sends(photo))
	h.copies()
	return h.in(r.ID, reports.StateOpen)
}

// report is a report as it is now.
func (h *house) report(id uuid.UUID) reports.Report {
	h.t.Helper()
	r, err := h.Handled(h.t.Context(), id, handleOf(id))
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// in is a report, which must be in that state.
func (h *house) in(id uuid.UUID, want reports.State) reports.Report {
	h.t.Helper()
	r := h.report(id)
	if got := r.StateAt(h.clock.Now()); got != want {
		h.t.Fatalf("the report is %s, not %s", got, want)
	}
	return r
}

// decides claims and decides.
func (h *house) decides(m reports.Moderator, id uuid.UUID, outcome reports.State) reports.Report {
	h.t.Helper()
	if _, err := h.Claim(h.t.Context(), m, id); err != nil {
		h.t.Fatal(err)
	}
	r, err := h.Decide(h.t.Context(), m, id, reports.Verdict{Outcome: outcome, Policy: "terms: 4", Note: "seen"})
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *house) withdraws(id uuid.UUID) error {
	return h.Withdraw(h.t.Context(), id, handleOf(id))
}

func (h *house) brings(id uuid.UUID, body io.Reader, length int64) (reports.Report, error) {
	return h.ReceiveMedia(h.t.Context(), id, handleOf(id), body, length)
}

// refused fails the test unless err is want.
func (h *house) refused(what string, err, want error) {
	h.t.Helper()
	if !errors.Is(err, want) {
		h.t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// pulls issues a moderator's ticket.
func (h *house) pulls(m reports.Moderator, id uuid.UUID) (token tickets.Token, p reports.Pulled, err error) {
	p, err = h.Pull(h.t.Context(), m, id, func(ticket uuid.UUID) reports.Hash {
		token = tickets.NewToken(tickets.KindTicket, ticket)
		return token.Hash()
	})
	return token, p, err
}

// evidence is the keys of evidence that the folder has.
func (h *house) evidence() (found []blobstore.Key) {
	h.t.Helper()
	for info, err := range h.folder.All(h.t.Context()) {
		if err != nil {
			h.t.Fatal(err)
		}
		if info.Key.IsEvidence() {
			found = append(found, info.Key)
		}
	}
	return found
}

// purges lets a pass run at the clock's time.
func (h *house) purges() expiry.PurgeResult {
	h.t.Helper()
	p := &expiry.Purge{Queue: h.db, Blobs: h.folder, Now: h.clock.Now}
	r, err := p.Run(h.t.Context())
	if err != nil || r.Failed > 0 {
		h.t.Fatalf("purge: %+v, %v", r, err)
	}
	return r
}

// keepsPromises checks the world as it stands.
func (h *house) keepsPromises() {
	h.t.Helper()
	if err := world.Check(h.t.Context(), h.db, h.folder); err != nil {
		h.t.Error(err)
	}
}

// endsEmpty lets all deadlines pass, purges and sweeps: then nothing remains (P5).
func (h *house) endsEmpty() {
	h.t.Helper()
	h.clock.forward(5000 * day)
	h.purges()
	s := &expiry.Sweep{Queue: h.db, Blobs: h.folder, Now: h.clock.Now}
	if r, err := s.Run(h.t.Context()); err != nil {
		h.t.Errorf("sweep: %+v, %v", r, err)
	}
	if err := world.Empty(h.t.Context(), h.folder); err != nil {
		h.t.Error(err)
	}
}

// key is where a sent blob's bytes are.
func (h *house) key(s sent) blobstore.Key {
	h.t.Helper()
	page, err := h.db.Stored(h.t.Context(), uuid.UUID{}, 100)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, b := range page {
		if b.ID == s.ID {
			return b.Key
		}
	}
	h.t.Fatalf("blob %s is not stored", s.ID)
	return ""
}

// loses takes a sent blob's bytes away behind Mayfly's back.
func (h *house) loses(s sent) {
	h.t.Helper()
	if err := h.folder.Delete(h.t.Context(), h.key(s)); err != nil {
		h.t.Fatal(err)
	}
}

// damages flips a bit of a blob on disk.
func (h *house) damages(key blobstore.Key) {
	h.t.Helper()
	found := 0
	err := filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(d.Name(), string(key)) {
			return err
		}
		found++
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		content[len(content)/2] ^= 1
		return errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, content, 0o600))
	})
	if err != nil || found != 1 {
		h.t.Fatalf("%d files of %s, %v", found, key, err)
	}
}

// log is the tenant's audit log, verified.
func (h *house) log() []reports.Entry {
	h.t.Helper()
	entries, head, err := h.db.Audit(h.t.Context(), tenant, 0, 1<<20)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := verify(reports.Head{Tenant: tenant}, entries, head); err != nil {
		h.t.Fatal(err)
	}
	return entries
}

// acts is what the log says of a report, in its order.
func (h *house) acts(id uuid.UUID) string {
	h.t.Helper()
	var acts []string
	for _, e := range h.log() {
		if e.Report == id {
			acts = append(acts, string(e.Act))
		}
	}
	return strings.Join(acts, " ")
}

// logged fails the test unless these are the acts of the report.
func (h *house) logged(id uuid.UUID, want string) {
	h.t.Helper()
	if got := h.acts(id); got != want {
		h.t.Errorf("the log has %q, want %q", got, want)
	}
}

// verify verifies a chain from a head on.
func verify(from reports.Head, entries []reports.Entry, head reports.Head) error {
	c := reports.Chain{Head: from}
	for _, e := range entries {
		if err := c.Add(e); err != nil {
			return err
		}
	}
	return c.End(head)
}

var errRows = errors.New("injected fault of the rows")

// faultyRows is a reports.Store that fails when its rule says so.
type faultyRows struct {
	reports.Store
	mu   sync.Mutex
	rule func(method string) fault // nil lets all pass
}

// fault is how a call goes wrong.
type fault int

const (
	passes fault = iota
	fails
	failsButApplied
)

func (f *faultyRows) fail(rule func(method string) fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rule = rule
}

// call runs do unless its method is to fail. The rule may change the world before the call.
func (f *faultyRows) call(method string, do func() error) error {
	f.mu.Lock()
	rule := f.rule
	f.mu.Unlock()
	mode := passes
	if rule != nil {
		mode = rule(method)
	}
	switch mode {
	case fails:
		return errRows
	case failsButApplied:
		return errors.Join(errRows, do())
	}
	return do()
}

func (f *faultyRows) File(ctx context.Context, x reports.Filing) (r reports.Report, replayed bool, err error) {
	err = f.call("File", func() (err error) { r, replayed, err = f.Store.File(ctx, x); return err })
	return r, replayed, err
}

func (f *faultyRows) Change(ctx context.Context, who reports.Who, now time.Time, change func(reports.Report) (reports.Change, error)) (r reports.Report, err error) {
	err = f.call("Change", func() (err error) { r, err = f.Store.Change(ctx, who, now, change); return err })
	return r, err
}

func (f *faultyRows) ClaimCopies(ctx context.Context, now time.Time, lease time.Duration, limit int) (copies []reports.Copy, err error) {
	err = f.call("ClaimCopies", func() (err error) { copies, err = f.Store.ClaimCopies(ctx, now, lease, limit); return err })
	return copies, err
}

func (f *faultyRows) PutOffCopy(ctx context.Context, id uuid.UUID, until time.Time, failed bool) error {
	return f.call("PutOffCopy", func() error { return f.Store.PutOffCopy(ctx, id, until, failed) })
}

func (f *faultyRows) AwaitMedia(ctx context.Context, id uuid.UUID, now time.Time) error {
	return f.call("AwaitMedia", func() error { return f.Store.AwaitMedia(ctx, id, now) })
}

func (f *faultyRows) BeginEvidence(ctx context.Context, id uuid.UUID, key blobstore.Key, now time.Time) error {
	return f.call("BeginEvidence", func() error { return f.Store.BeginEvidence(ctx, id, key, now) })
}

func (f *faultyRows) StoreEvidence(ctx context.Context, e reports.StoredEvidence) error {
	return f.call("StoreEvidence", func() error { return f.Store.StoreEvidence(ctx, e) })
}

func (f *faultyRows) DropAttempt(ctx context.Context, id uuid.UUID, key blobstore.Key) error {
	return f.call("DropAttempt", func() error { return f.Store.DropAttempt(ctx, id, key) })
}
