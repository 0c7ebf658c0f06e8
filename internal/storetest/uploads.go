package storetest

import (
	"testing"
	"time"

	"mayfly/blobstore"
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
	run("commit is refused when too late", commitTooLate)
	run("commit needs its attempt", commitNeedsAttempt)
	run("second commit of another key", commitLoses)
	run("second commit of the same key", commitAgain)
	run("commit of an unknown blob", commitUnknown)
	run("abandon leaves nothing", abandonLeavesNothing)
	run("abandon touches no stored blob", abandonStored)
}

func beginKeepsFields(t *testing.T, st Store) {
	s := newSample(viewOnce(), 3, start)
	announced := blobstore.Digest(newHash())
	s.Announced, s.Terms.SharedTicket = &announced, true
	check(t, st.Begin(t.Context(), s.Blob, s.tickets, s.grant, newKey(s.ID)))

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
	if err := st.Begin(t.Context(), s.Blob, s.tickets, s.grant, newKey(s.ID)); err == nil {
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
	check(t, st.Begin(t.Context(), s.Blob, s.tickets, tickets.Hash{}, newKey(s.ID)))
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

func abandonLeavesNothing(t *testing.T, st Store) {
	s := newSample(viewOnce(), 2, start)
	key := newKey(s.ID)
	check(t, st.Begin(t.Context(), s.Blob, s.tickets, tickets.Hash{}, key))
	check(t, st.Abandon(t.Context(), s.ID))
	check(t, st.Abandon(t.Context(), s.ID))
	_, _, err := st.Blob(t.Context(), tenant, s.ID, 10)
	wantErr(t, err, tickets.ErrUnknownBlob)
	for _, ticket := range s.tickets {
		_, _, err := st.FindTicket(t.Context(), ticket.ID, ticket.Hash)
		wantErr(t, err, tickets.ErrUnknownTicket)
	}
	if owned(t, st, key) {
		t.Fatal("the attempt is still there")
	}
	// As if it had never been: not a row is in the way of the same once more.
	check(t, st.Begin(t.Context(), s.Blob, s.tickets, tickets.Hash{}, key))
}

func abandonStored(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	check(t, st.Abandon(t.Context(), s.ID))
	b, ts := look(t, st, s.ID)
	same(t, "blob", s.Blob, b)
	same(t, "tickets", s.tickets, ts)
}
