package storetest

import (
	"slices"
	"testing"
	"time"

	"mayfly/blobstore"
	"mayfly/expiry"
	"mayfly/tickets"
)

// testAttempts: whatever an upload may have left, the purge learns of, and it never
// gets hold of what is stored.
func testAttempts(t *testing.T, open func(*testing.T) Database) {
	run := func(name string, test func(*testing.T, Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
	run("of a pending blob go with it", attemptsGoWithBlob)
	run("of an unsent blob go with it", attemptsOfUnsent)
	run("lone", attemptLone)
	run("lone, lease and defer", attemptDefer)
	run("claimed, of a pending blob", attemptClaimed)
	run("claimed, of a blob that is not there yet", reservedClaimed)
	run("dropped are not due", attemptDropped)
	run("never the bytes of a stored blob", attemptNeverStored)
}

func attemptsGoWithBlob(t *testing.T, st Store) {
	s := newSample(viewOnce(), 1, start)
	first, second := newKey(s.ID), newKey(s.ID)
	check(t, st.Begin(t.Context(), s.Blob, s.tickets, s.grant))
	check(t, st.BeginAttempt(t.Context(), s.ID, first, s.UploadUntil, s.CreatedAt))
	check(t, st.BeginAttempt(t.Context(), s.ID, second, s.UploadUntil, start))
	due := claimAll(t, st, s.UploadUntil)
	if len(due) != 1 || due[0].ID != s.ID || !sameKeys(due[0].Keys, first, second) {
		t.Fatalf("claimed: %v", due)
	}
	again := claimAll(t, st, s.UploadUntil.Add(time.Hour))
	same(t, "claimed again", due, again)
	check(t, st.Erase(t.Context(), due, s.UploadUntil))
	if owned(t, st, first) || owned(t, st, second) {
		t.Fatal("erased, and a key still has a row")
	}
	if due := claimAll(t, st, s.UploadUntil.Add(day)); len(due) != 0 {
		t.Fatalf("still due: %v", due)
	}
}

func attemptsOfUnsent(t *testing.T, st Store) {
	s := pending(t, st, viewOnce(), 1, start)
	loser, winner := newKey(s.ID), newKey(s.ID)
	check(t, st.BeginAttempt(t.Context(), s.ID, loser, s.UploadUntil, start))
	check(t, st.BeginAttempt(t.Context(), s.ID, winner, s.UploadUntil, start))
	s.commit(t, st, winner, start)
	check(t, st.Unsend(t.Context(), tenant, s.ID, start))
	due := claimAll(t, st, start)
	if len(due) != 1 || !sameKeys(due[0].Keys, winner, loser) {
		t.Fatalf("claimed: %v", due)
	}
	if due := claimAll(t, st, s.UploadUntil.Add(-time.Hour)); len(due) != 1 || len(due[0].Keys) != 2 {
		t.Fatalf("claimed apart from its blob: %v", due)
	}
}

func attemptLone(t *testing.T, st Store) {
	s := pending(t, st, viewOnce(), 1, start)
	loser, winner := newKey(s.ID), newKey(s.ID)
	check(t, st.BeginAttempt(t.Context(), s.ID, loser, s.UploadUntil, start))
	check(t, st.BeginAttempt(t.Context(), s.ID, winner, s.UploadUntil, start))
	s.commit(t, st, winner, start)
	if due := claimAll(t, st, s.UploadUntil.Add(-time.Microsecond)); len(due) != 0 {
		t.Fatalf("claimed early: %v", due)
	}
	due := claimAll(t, st, s.UploadUntil)
	same(t, "due", []expiry.Due{{
		Keys: []blobstore.Key{loser}, At: s.UploadUntil, Reason: string(tickets.ReasonNotUploaded),
	}}, due)
	check(t, st.Erase(t.Context(), due, s.UploadUntil))
	check(t, st.Erase(t.Context(), due, s.UploadUntil))
	b, _ := look(t, st, s.ID)
	same(t, "blob", s.Blob, b)
	if owned(t, st, loser) || !owned(t, st, winner) {
		t.Fatal("the wrong key was forgotten")
	}
	if due := claimAll(t, st, s.UploadUntil.Add(day)); len(due) != 0 {
		t.Fatalf("still due: %v", due)
	}
}

func attemptDefer(t *testing.T, st Store) {
	s := pending(t, st, viewOnce(), 1, start)
	key := newKey(s.ID)
	check(t, st.BeginAttempt(t.Context(), s.ID, key, start.Add(time.Hour), start))
	now := start.Add(2 * time.Hour)
	due, err := st.Claim(t.Context(), time.Time{}, now, time.Minute, 10)
	check(t, err)
	if got := claimAll(t, st, now.Add(time.Minute-time.Microsecond)); len(got) != 0 {
		t.Fatalf("claimed within the lease: %v", got)
	}
	same(t, "due when the lease is over", due, claimAll(t, st, now.Add(time.Minute)))
	check(t, st.Defer(t.Context(), due[0], now.Add(time.Hour)))
	if got := claimAll(t, st, now.Add(time.Hour-time.Microsecond)); len(got) != 0 {
		t.Fatalf("claimed before its delay was over: %v", got)
	}
	due[0].Failures = 1
	same(t, "due after the delay", due, claimAll(t, st, now.Add(time.Hour)))
	if b, err := st.Backlog(t.Context(), now); err != nil || b.Due != 1 || !b.OldestDueAt.Equal(due[0].At) {
		t.Fatalf("backlog %v, %v: the bytes of an attempt are late like a blob's", b, err)
	}
}

// attemptClaimed: from its claim on, the bytes of an attempt may be deleted at any
// moment, so it can never become the blob. Another attempt can.
func attemptClaimed(t *testing.T, st Store) {
	s := pending(t, st, viewOnce(), 1, start)
	slow, fresh := newKey(s.ID), newKey(s.ID)
	check(t, st.BeginAttempt(t.Context(), s.ID, slow, start.Add(time.Hour), start))
	now := start.Add(2 * time.Hour)
	due := claimAll(t, st, now)
	if len(due) != 1 || !sameKeys(due[0].Keys, slow) {
		t.Fatalf("claimed: %v", due)
	}
	wantErr(t, st.Commit(t.Context(), commitOf(s.Blob, slow, now)), tickets.ErrTooLate)
	check(t, st.BeginAttempt(t.Context(), s.ID, fresh, s.UploadUntil, now))
	s.commit(t, st, fresh, now)
	check(t, st.Erase(t.Context(), due, now))
	if owned(t, st, slow) || !owned(t, st, fresh) {
		t.Fatal("the wrong key was forgotten")
	}
}

// reservedClaimed: a reservation that came to nothing is due in its time, and once a
// purge has it, its bytes can never become a blob.
func reservedClaimed(t *testing.T, st Store) {
	s := reserved(t, st, 1)
	if due := claimAll(t, st, s.UploadUntil.Add(-time.Microsecond)); len(due) != 0 {
		t.Fatalf("claimed early: %v", due)
	}
	due := claimAll(t, st, s.UploadUntil)
	same(t, "due", []expiry.Due{{
		Keys: []blobstore.Key{s.Key}, At: s.UploadUntil, Reason: string(tickets.ReasonNotUploaded),
	}}, due)
	wantErr(t, st.Create(t.Context(), s.Blob, s.tickets), tickets.ErrTooLate)
	check(t, st.Erase(t.Context(), due, s.UploadUntil))
	if owned(t, st, s.Key) {
		t.Fatal("the reservation is still there")
	}
	wantErr(t, st.Create(t.Context(), s.Blob, s.tickets), tickets.ErrTooLate)
}

func attemptDropped(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	p := pending(t, st, viewOnce(), 1, start)
	key := newKey(p.ID)
	check(t, st.BeginAttempt(t.Context(), p.ID, key, start, start))
	check(t, st.DropAttempt(t.Context(), p.ID, key))
	r := reserved(t, st, 1)
	check(t, st.DropAttempt(t.Context(), r.ID, r.Key))
	due := claimAll(t, st, s.ExpiresAt)
	if len(due) != 2 {
		t.Fatalf("due: %v, want the pending and the stored blob", due)
	}
	for _, d := range due {
		if slices.Contains(d.Keys, key) {
			t.Fatal("a dropped attempt is due")
		}
	}
}

// attemptNeverStored walks through every moment of a blob that was uploaded twice.
func attemptNeverStored(t *testing.T, st Store) {
	s := pending(t, st, viewOnce(), 1, start)
	loser, winner := newKey(s.ID), newKey(s.ID)
	check(t, st.BeginAttempt(t.Context(), s.ID, winner, start, start)) // due at once
	check(t, st.BeginAttempt(t.Context(), s.ID, loser, start, start))
	s.commit(t, st, winner, start)
	for now := start; now.Before(s.ExpiresAt); now = now.Add(12 * time.Hour) {
		for _, d := range claimAll(t, st, now) {
			if slices.Contains(d.Keys, winner) {
				t.Fatalf("at %v the purge would delete the bytes of a stored blob: %v", now, d)
			}
		}
	}
	due := claimAll(t, st, s.ExpiresAt)
	if len(due) != 1 || !sameKeys(due[0].Keys, winner, loser) {
		t.Fatalf("due at the deadline: %v", due)
	}
}

func sameKeys(got []blobstore.Key, want ...blobstore.Key) bool {
	got = slices.Clone(got)
	slices.Sort(got)
	slices.Sort(want)
	return slices.Equal(got, want)
}
