package storetest

import (
	"testing"
	"time"

	"mayfly/blobstore"
	"mayfly/blobstore/checksum"
	"mayfly/tickets"
)

func testUploads(t *testing.T, open func(*testing.T) Database) {
	st := open(t)
	run := func(name string, test func(*testing.T, Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, st)
		})
	}
	run("begin keeps every field", beginKeepsFields)
	run("begin is all or nothing", beginIsAtomic)
	run("grant", findGrant)
	run("zero grant", zeroGrant)
	run("attempt is refused when too late", attemptTooLate)
	run("commit stores", commitStores)
	run("no checksum", noChecksum)
	run("commit is refused when too late", commitTooLate)
	run("commit needs its attempt", commitNeedsAttempt)
	run("second commit of another key", commitLoses)
	run("second commit of the same key", commitAgain)
	run("commit of an unknown blob", commitUnknown)
	run("reserve is all or nothing", reserveIsAtomic)
	run("create keeps every field", createKeepsFields)
	run("create needs its attempt", createNeedsAttempt)
	run("create is all or nothing", createIsAtomic)
}

func beginKeepsFields(t *testing.T, st Store) {
	s := newSample(viewOnce(), 3, start)
	announced := blobstore.Digest(newHash())
	s.Announced, s.Terms.SharedTicket = &announced, true
	check(t, st.Begin(t.Context(), s.Blob, s.tickets, s.grant))
	check(t, st.BeginAttempt(t.Context(), s.ID, newKey(s.ID), s.UploadUntil, s.CreatedAt))

	b, ts := look(t, st, s.ID)
	same(t, "blob", s.Blob, b)
	same(t, "tickets", s.tickets, ts)
	for _, want := range s.tickets {
		got, b := find(t, st, want)
		same(t, "ticket", want, got)
		same(t, "blob of the ticket", s.Blob, b)
	}
}

func beginIsAtomic(t *testing.T, st Store) {
	s := newSample(viewOnce(), 2, start)
	s.tickets[1].ID = s.tickets[0].ID
	if err := st.Begin(t.Context(), s.Blob, s.tickets, s.grant); err == nil {
		t.Fatal("two tickets with one id were taken")
	}
	_, _, err := st.Blob(t.Context(), tenant, s.ID, 10)
	wantErr(t, err, tickets.ErrUnknownBlob)
	_, _, err = st.FindTicket(t.Context(), s.tickets[0].ID, s.tickets[0].Hash)
	wantErr(t, err, tickets.ErrUnknownTicket)
}

func findGrant(t *testing.T, st Store) {
	s := pending(t, st, viewOnce(), 1, start)
	b, err := st.FindGrant(t.Context(), s.ID, s.grant)
	check(t, err)
	same(t, "blob", s.Blob, b)

	_, err = st.FindGrant(t.Context(), s.ID, newHash())
	wantErr(t, err, tickets.ErrUnknownGrant)
	_, err = st.FindGrant(t.Context(), newID(), s.grant)
	wantErr(t, err, tickets.ErrUnknownGrant)

	// A grant still finds its blob when it is stored, to tell a repeated upload so.
	key := newKey(s.ID)
	check(t, st.BeginAttempt(t.Context(), s.ID, key, s.UploadUntil, start))
	s.commit(t, st, key, start)
	b, err = st.FindGrant(t.Context(), s.ID, s.grant)
	check(t, err)
	same(t, "stored blob", s.Blob, b)
}

func zeroGrant(t *testing.T, st Store) {
	s := newSample(viewOnce(), 1, start)
	check(t, st.Begin(t.Context(), s.Blob, s.tickets, tickets.Hash{}))
	check(t, st.BeginAttempt(t.Context(), s.ID, newKey(s.ID), s.UploadUntil, s.CreatedAt))
	_, err := st.FindGrant(t.Context(), s.ID, tickets.Hash{})
	wantErr(t, err, tickets.ErrUnknownGrant)
}

func attemptTooLate(t *testing.T, st Store) {
	s := pending(t, st, viewOnce(), 1, start)
	last := s.UploadUntil.Add(-time.Microsecond)
	check(t, st.BeginAttempt(t.Context(), s.ID, newKey(s.ID), s.UploadUntil, last))
	wantErr(t, st.BeginAttempt(t.Context(), s.ID, newKey(s.ID), s.UploadUntil, s.UploadUntil), tickets.ErrTooLate)

	s = stored(t, st, viewOnce(), 1, start)
	wantErr(t, st.BeginAttempt(t.Context(), s.ID, newKey(s.ID), s.UploadUntil, start), tickets.ErrTooLate)
	id := newID()
	wantErr(t, st.BeginAttempt(t.Context(), id, newKey(id), start, start), tickets.ErrTooLate)
}

func commitStores(t *testing.T, st Store) {
	s := pending(t, st, viewOnce(), 2, start)
	key := newKey(s.ID)
	check(t, st.BeginAttempt(t.Context(), s.ID, key, s.UploadUntil, start))
	s.commit(t, st, key, start.Add(time.Hour))
	b, ts := look(t, st, s.ID)
	same(t, "blob", s.Blob, b)
	same(t, "tickets", s.tickets, ts)
	for _, ticket := range s.tickets {
		find(t, st, ticket)
	}
}

// noChecksum: as blobs are that a version before checksums has stored.
func noChecksum(t *testing.T, st Store) {
	s := pending(t, st, viewOnce(), 1, start)
	key := newKey(s.ID)
	check(t, st.BeginAttempt(t.Context(), s.ID, key, s.UploadUntil, start))
	c := commitOf(s.Blob, key, start)
	c.Checksum = checksum.Sum{}
	check(t, st.Commit(t.Context(), c))
	created := reserved(t, st, 1)
	created.Checksum = checksum.Sum{}
	check(t, st.Create(t.Context(), created.Blob, created.tickets))
	for _, ticket := range []tickets.Ticket{s.tickets[0], created.tickets[0]} {
		if _, b := find(t, st, ticket); b.State != tickets.BlobStored || !b.Checksum.IsZero() {
			t.Errorf("the blob is %s, its checksum %v", b.State, b.Checksum)
		}
	}
}

func commitTooLate(t *testing.T, st Store) {
	s := pending(t, st, viewOnce(), 1, start)
	key := newKey(s.ID)
	check(t, st.BeginAttempt(t.Context(), s.ID, key, s.UploadUntil, start))
	wantErr(t, st.Commit(t.Context(), commitOf(s.Blob, key, s.UploadUntil)), tickets.ErrTooLate)
	if !owned(t, st, key) {
		t.Fatal("the attempt went with the refusal: nobody would delete its bytes")
	}
	s.commit(t, st, key, s.UploadUntil.Add(-time.Microsecond))
}

func commitNeedsAttempt(t *testing.T, st Store) {
	s := pending(t, st, viewOnce(), 1, start)
	key := newKey(s.ID)
	wantErr(t, st.Commit(t.Context(), commitOf(s.Blob, key, start)), tickets.ErrTooLate)
	check(t, st.BeginAttempt(t.Context(), s.ID, key, s.UploadUntil, start))
	check(t, st.DropAttempt(t.Context(), s.ID, key))
	check(t, st.DropAttempt(t.Context(), s.ID, key))
	wantErr(t, st.Commit(t.Context(), commitOf(s.Blob, key, start)), tickets.ErrTooLate)
	if b, _ := look(t, st, s.ID); b.State != tickets.BlobPending {
		t.Fatalf("the blob is %s", b.State)
	}
}

func commitLoses(t *testing.T, st Store) {
	s := pending(t, st, viewOnce(), 1, start)
	first, second := newKey(s.ID), newKey(s.ID)
	check(t, st.BeginAttempt(t.Context(), s.ID, first, s.UploadUntil, start))
	check(t, st.BeginAttempt(t.Context(), s.ID, second, s.UploadUntil, start))
	s.commit(t, st, second, start)
	wantErr(t, st.Commit(t.Context(), commitOf(s.Blob, first, start)), tickets.ErrAlreadyStored)
	b, _ := look(t, st, s.ID)
	same(t, "blob", s.Blob, b)
	if !owned(t, st, first) {
		t.Fatal("the attempt went with the refusal: nobody would delete its bytes")
	}
}

// commitAgain: who lost the answer to its commit and asks again must not be told to
// delete the bytes.
func commitAgain(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	check(t, st.Commit(t.Context(), commitOf(s.Blob, s.Key, start.Add(time.Hour))))
	b, _ := look(t, st, s.ID)
	same(t, "blob", s.Blob, b)
}

func commitUnknown(t *testing.T, st Store) {
	s := newSample(viewOnce(), 1, start)
	wantErr(t, st.Commit(t.Context(), commitOf(s.Blob, newKey(s.ID), start)), tickets.ErrTooLate)
}

// reserved is a sample whose bytes may be put, and the key for them.
func reserved(t *testing.T, st Store, n int) sample {
	t.Helper()
	s := newSample(viewOnce(), n, start)
	s.grant = tickets.Hash{}
	s.Key = newKey(s.ID)
	check(t, st.Reserve(t.Context(), []tickets.Attempt{{ID: s.ID, Key: s.Key, Due: s.UploadUntil}}))
	s.State, s.SHA256, s.Checksum = tickets.BlobStored, new(blobstore.Digest(newHash())), newChecksum()
	s.StoredAt, s.ExpiresAt, s.PurgeAt = start, start.Add(14*day), start.Add(14*day)
	return s
}

func reserveIsAtomic(t *testing.T, st Store) {
	a, b := newID(), newID()
	twice := tickets.Attempt{ID: a, Key: newKey(a), Due: start}
	other := tickets.Attempt{ID: b, Key: newKey(b), Due: start}
	if err := st.Reserve(t.Context(), []tickets.Attempt{other, twice, twice}); err == nil {
		t.Fatal("one key was reserved twice")
	}
	if owned(t, st, other.Key) || owned(t, st, twice.Key) {
		t.Fatal("a part of it is there")
	}
	foreign := tickets.Attempt{ID: a, Key: newKey(b), Due: start}
	if err := st.Reserve(t.Context(), []tickets.Attempt{foreign}); err == nil {
		t.Fatal("the key of another blob was reserved: the sweep could never find its row")
	}
}

func createKeepsFields(t *testing.T, st Store) {
	s := reserved(t, st, 3)
	if !owned(t, st, s.Key) {
		t.Fatal("nobody would delete the bytes of a crashed upload")
	}
	_, _, err := st.Blob(t.Context(), tenant, s.ID, 10)
	wantErr(t, err, tickets.ErrUnknownBlob)

	check(t, st.Create(t.Context(), s.Blob, s.tickets))
	b, ts := look(t, st, s.ID)
	same(t, "blob", s.Blob, b)
	same(t, "tickets", s.tickets, ts)
	_, err = st.FindGrant(t.Context(), s.ID, tickets.Hash{})
	wantErr(t, err, tickets.ErrUnknownGrant)
	for _, ticket := range s.tickets {
		spend(t, st, ticket, start, true)
	}
	// All are opened: the bytes go when the last may be reported no longer.
	if b, _ := look(t, st, s.ID); !b.PurgeAt.Equal(start.Add(72 * time.Hour)) {
		t.Fatalf("purge at %v", b.PurgeAt)
	}
	wantErr(t, st.Create(t.Context(), s.Blob, s.tickets), tickets.ErrTooLate)
}

func createNeedsAttempt(t *testing.T, st Store) {
	s := reserved(t, st, 1)
	check(t, st.DropAttempt(t.Context(), s.ID, s.Key))
	wantErr(t, st.Create(t.Context(), s.Blob, s.tickets), tickets.ErrTooLate)
	_, _, err := st.Blob(t.Context(), tenant, s.ID, 10)
	wantErr(t, err, tickets.ErrUnknownBlob)
	_, _, err = st.FindTicket(t.Context(), s.tickets[0].ID, s.tickets[0].Hash)
	wantErr(t, err, tickets.ErrUnknownTicket)
}

func createIsAtomic(t *testing.T, st Store) {
	s := reserved(t, st, 2)
	s.tickets[1].ID = s.tickets[0].ID
	if err := st.Create(t.Context(), s.Blob, s.tickets); err == nil {
		t.Fatal("two tickets with one id were taken")
	}
	_, _, err := st.Blob(t.Context(), tenant, s.ID, 10)
	wantErr(t, err, tickets.ErrUnknownBlob)
	if !owned(t, st, s.Key) {
		t.Fatal("the attempt is gone: nobody would delete its bytes")
	}
}
