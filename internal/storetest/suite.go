// Package storetest judges a metadata store by the contracts in tickets.Store,
// expiry.Queue, expiry.Turns, reports.Store and keys.Store. Every dialect runs the same suite.
//
// The clock is always given, so nothing here waits or measures. Where chance is
// used, its seed is in the log.
package storetest

import (
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/checksum"
	"mayfly/expiry"
	"mayfly/internal/keys"
	"mayfly/reports"
	"mayfly/tickets"
)

// Store is all that a metadata store is asked to be.
type Store interface {
	tickets.Store
	expiry.Queue
	expiry.Turns
	expiry.Receipts
	expiry.PolicyStore
	reports.Store
	keys.Store
}

// Database is a fresh, empty database and a Store on it.
type Database struct {
	Store
	// Again opens the same database once more, as another process beside us would.
	Again func(t *testing.T) Store
	// Crashed opens what a crash at this moment would leave, while the Store runs
	// on and is not closed. Only Durability needs it.
	Crashed func(t *testing.T) Store
}

// Test runs the suite, but for Durability. open makes a Database of its own at each
// call, and closes it by t.Cleanup.
func Test(t *testing.T, open func(t *testing.T) Database) {
	for _, subject := range []struct {
		name string
		test func(*testing.T, func(*testing.T) Database)
	}{
		{"Uploads", testUploads},
		{"Tickets", testTickets},
		{"Sender", testSender},
		{"Tenants", testTenants},
		{"Spends", testSpends},
		{"Races", testRaces},
		{"QueueRaces", testQueueRaces},
		{"Queue", testQueue},
		{"Attempts", testAttempts},
		{"Sweep", testSweep},
		{"Deadlines", testDeadlines},
		{"Turns", testTurns},
		{"Stops", testStops},
		{"Receipts", testReceipts},
		{"Policies", testPolicies},
		{"Shorten", testShorten},
		{"Keys", testKeys},
		{"Reports", testReports},
		{"Pins", testPins},
		{"Copies", testCopies},
		{"Changes", testChanges},
		{"Evidence", testEvidence},
		{"Audit", testAudit},
		{"ReportRaces", testReportRaces},
	} {
		t.Run(subject.name, func(t *testing.T) {
			t.Parallel()
			subject.test(t, open)
		})
	}
}

// start is when the tests begin: a moment with microseconds.
var start = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

const (
	tenant = "acme"
	day    = 24 * time.Hour
)

func viewOnce() tickets.Terms {
	return tickets.Terms{
		Policy: "view-once", UnopenedTTL: 14 * day, ReportWindow: 72 * time.Hour,
		ResumeWindow: 15 * time.Minute, UploadTTL: day, TombstoneTTL: 90 * day, MaxSize: 2 << 30,
	}
}

func disappearing() tickets.Terms {
	return tickets.Terms{
		Policy: "disappearing-7d", Unlimited: true, SharedTicket: true, UnopenedTTL: 7 * day,
		ResumeWindow: 15 * time.Minute, UploadTTL: day, TombstoneTTL: 90 * day, MaxSize: 2 << 30,
	}
}

// sample is a blob with its tickets as they were handed to the store.
type sample struct {
	tickets.Blob
	tickets []tickets.Ticket
	grant   tickets.Hash
}

// newSample makes a sample with n tickets; nothing is stored yet.
func newSample(terms tickets.Terms, n int, now time.Time) sample {
	id := newID()
	s := sample{grant: newHash(), Blob: tickets.Blob{
		ID: id, Tenant: tenant, State: tickets.BlobPending, Terms: terms, Size: 65536,
		KeyCommitment: "commitment", Context: "conversation 7",
		CreatedAt: now, UploadUntil: now.Add(terms.UploadTTL), PurgeAt: now.Add(terms.UploadTTL),
	}}
	s.tickets = newTickets(id, n, now)
	return s
}

func newTickets(blob uuid.UUID, n int, now time.Time) []tickets.Ticket {
	ts := make([]tickets.Ticket, n)
	for i := range ts {
		ts[i] = tickets.Ticket{
			ID: newID(), BlobID: blob, Hash: newHash(), Recipient: string(rune('a' + i%26)),
			State: tickets.TicketReady, CreatedAt: now,
		}
	}
	return ts
}

// pending is a sample that is announced.
func pending(t *testing.T, st Store, terms tickets.Terms, n int, now time.Time) sample {
	t.Helper()
	s := newSample(terms, n, now)
	check(t, st.Begin(t.Context(), s.Blob, s.tickets, s.grant))
	return s
}

// stored is a sample whose bytes arrived at now.
func stored(t *testing.T, st Store, terms tickets.Terms, n int, now time.Time) sample {
	t.Helper()
	s := newSample(terms, n, now)
	key := newKey(s.ID)
	check(t, st.Begin(t.Context(), s.Blob, s.tickets, s.grant))
	check(t, st.BeginAttempt(t.Context(), s.ID, key, s.UploadUntil, s.CreatedAt))
	s.commit(t, st, key, now)
	return s
}

// commit makes the sample stored, in the store and in what is expected of it.
func (s *sample) commit(t *testing.T, st Store, key blobstore.Key, now time.Time) {
	t.Helper()
	c := commitOf(s.Blob, key, now)
	check(t, st.Commit(t.Context(), c))
	s.State, s.Key, s.SHA256, s.Checksum = tickets.BlobStored, key, &c.SHA256, c.Checksum
	s.StoredAt, s.ExpiresAt, s.PurgeAt = now, c.Expires, c.Expires
}

func commitOf(b tickets.Blob, key blobstore.Key, now time.Time) tickets.Commit {
	return tickets.Commit{
		ID: b.ID, Key: key, SHA256: blobstore.Digest(newHash()), Checksum: newChecksum(),
		Now: now, Expires: now.Add(b.Terms.UnopenedTTL),
	}
}

func spendOf(ticket tickets.Ticket, now time.Time) tickets.Spend {
	return tickets.Spend{Ticket: ticket.ID, Blob: ticket.BlobID, Hash: ticket.Hash, Claim: newHash(), Now: now}
}

// spend opens the ticket, or does not, as is wanted.
func spend(t *testing.T, st Store, ticket tickets.Ticket, now time.Time, want bool) tickets.Hash {
	t.Helper()
	s := spendOf(ticket, now)
	won, err := st.Spend(t.Context(), s)
	check(t, err)
	if won != want {
		t.Fatalf("spend: %v, want %v", won, want)
	}
	return s.Claim
}

// look reads the blob and all its tickets.
func look(t *testing.T, st Store, id uuid.UUID) (tickets.Blob, []tickets.Ticket) {
	t.Helper()
	b, ts, err := st.Blob(t.Context(), tenant, id, tickets.MaxTickets)
	check(t, err)
	return b, ts
}

// find finds the ticket, and completes what its holder sees by what its sender sees.
func find(t *testing.T, st Store, ticket tickets.Ticket) (tickets.Ticket, tickets.Blob) {
	t.Helper()
	held, heldBlob, err := st.FindTicket(t.Context(), ticket.ID, ticket.Hash)
	check(t, err)
	b, ts := look(t, st, held.BlobID)
	i := slices.IndexFunc(ts, func(t tickets.Ticket) bool { return t.ID == ticket.ID })
	if i < 0 {
		t.Fatalf("ticket %s is not among those of its blob", ticket.ID)
	}
	same(t, "the holder's ticket", tickets.HeldTicket(ts[i]), held)
	same(t, "the holder's blob", tickets.HeldBlob(b), heldBlob)
	return ts[i], b
}

// claimAll claims whatever is due at now.
func claimAll(t *testing.T, st Store, now time.Time) []expiry.Due {
	t.Helper()
	due, err := st.Claim(t.Context(), time.Time{}, now, time.Minute, 10_000)
	check(t, err)
	return due
}

// erased is a sample that was unsent at now and erased.
func erased(t *testing.T, st Store, n int, now time.Time) sample {
	t.Helper()
	s := stored(t, st, viewOnce(), n, now)
	check(t, st.Unsend(t.Context(), tenant, s.ID, now))
	check(t, st.Erase(t.Context(), claimAll(t, st, now), now))
	return s
}

func owned(t *testing.T, st Store, key blobstore.Key) bool {
	t.Helper()
	got, err := st.Owned(t.Context(), []blobstore.Key{key})
	check(t, err)
	return got[0]
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s: (-want +got)\n%s", what, diff)
	}
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

func newHash() (h tickets.Hash) {
	rand.Read(h[:])
	return h
}

func newChecksum() checksum.Sum { return checksum.New().Checksum() }

func newKey(id uuid.UUID) blobstore.Key { return blobstore.NewKey(id) }

// together runs all at the same moment, as far as there is one, and waits.
func together(all ...func()) {
	begin, done := make(chan struct{}), make(chan struct{})
	for _, do := range all {
		go func() {
			defer func() { done <- struct{}{} }()
			<-begin
			do()
		}()
	}
	close(begin)
	for range all {
		<-done
	}
}
