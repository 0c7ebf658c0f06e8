package storetest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
	"mayfly/tickets"
)

// testQueueRaces has the purge meet those who use what it takes. Each race has a
// database of its own, as a claim takes whatever is due.
func testQueueRaces(t *testing.T, open func(*testing.T) Database) {
	run := func(name string, test func(*testing.T, []Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			test(t, []Store{db, db.Again(t)})
		})
	}
	run("spend and claim", raceSpendClaim)
	run("commit and unsend", raceCommitUnsend)
	run("commit and claim of the blob", raceCommitClaim)
	run("commit and claim of the attempt", raceCommitClaimAttempt)
	run("many workers", raceWorkers)
}

// raceSpendClaim: at the deadline either the open comes first, and keeps the bytes,
// or the purge, and nothing opens.
func raceSpendClaim(t *testing.T, stores []Store) {
	for i := range rounds {
		now := start.Add(time.Duration(i) * 20 * day)
		s := stored(t, stores[0], viewOnce(), 1, now)
		sp := spendOf(s.tickets[0], s.ExpiresAt.Add(-time.Microsecond))
		var won bool
		var due []expiry.Due
		var spendErr, claimErr error
		together(
			func() { won, spendErr = stores[i%2].Spend(t.Context(), sp) },
			func() { due, claimErr = stores[i/2%2].Claim(t.Context(), time.Time{}, s.ExpiresAt, time.Hour, 10) },
		)
		check(t, errors.Join(spendErr, claimErr))
		if won == (len(due) == 1) || len(due) > 1 {
			t.Fatalf("spend: %v, and claimed: %v", won, due)
		}
		if won {
			due = claimAll(t, stores[0], sp.Now.Add(72*time.Hour))
		}
		check(t, stores[0].Erase(t.Context(), due, now))
	}
}

// raceCommitUnsend: whoever is first, the purge learns of the bytes.
func raceCommitUnsend(t *testing.T, stores []Store) {
	for i := range rounds {
		s := newSample(viewOnce(), 1, start)
		key := newKey(s.ID)
		check(t, stores[0].Begin(t.Context(), s.Blob, s.tickets, s.grant))
		check(t, stores[0].BeginAttempt(t.Context(), s.ID, key, s.UploadUntil, s.CreatedAt))
		c := commitOf(s.Blob, key, start)
		var commitErr, unsendErr error
		together(
			func() { commitErr = stores[i%2].Commit(t.Context(), c) },
			func() { unsendErr = stores[i/2%2].Unsend(t.Context(), tenant, s.ID, start) },
		)
		check(t, unsendErr)
		if commitErr != nil {
			wantErr(t, commitErr, tickets.ErrTooLate)
		}
		if !owned(t, stores[0], key) {
			t.Fatalf("commit: %v, and nobody knows the key", commitErr)
		}
		due := claimAll(t, stores[1], start)
		if len(due) != 1 || due[0].ID != s.ID || !slices.Equal(due[0].Keys, []blobstore.Key{key}) {
			t.Fatalf("commit: %v, claimed: %v", commitErr, due)
		}
		check(t, stores[0].Erase(t.Context(), due, start))
		if owned(t, stores[0], key) {
			t.Fatal("erased, and the key still has a row")
		}
	}
}

func raceCommitClaim(t *testing.T, stores []Store) {
	for i := range rounds {
		s := newSample(viewOnce(), 1, start.Add(time.Duration(i)*20*day))
		key := newKey(s.ID)
		check(t, stores[0].Begin(t.Context(), s.Blob, s.tickets, s.grant))
		check(t, stores[0].BeginAttempt(t.Context(), s.ID, key, s.UploadUntil, s.CreatedAt))
		c := commitOf(s.Blob, key, s.UploadUntil.Add(-time.Microsecond))
		raceCommitWith(t, stores, i, s, c, s.UploadUntil)
	}
}

// raceCommitClaimAttempt: the bytes of an attempt that a purge has taken can never
// become a stored blob.
func raceCommitClaimAttempt(t *testing.T, stores []Store) {
	for i := range rounds {
		s := pending(t, stores[0], viewOnce(), 1, start.Add(time.Duration(i)*20*day))
		key, due := newKey(s.ID), s.CreatedAt.Add(time.Hour)
		check(t, stores[0].BeginAttempt(t.Context(), s.ID, key, due, s.CreatedAt))
		raceCommitWith(t, stores, i, s, commitOf(s.Blob, key, due), due)
	}
}

func raceCommitWith(t *testing.T, stores []Store, i int, s sample, c tickets.Commit, at time.Time) {
	t.Helper()
	var due []expiry.Due
	var commitErr, claimErr error
	together(
		func() { commitErr = stores[i%2].Commit(t.Context(), c) },
		func() { due, claimErr = stores[i/2%2].Claim(t.Context(), time.Time{}, at, time.Hour, 10) },
	)
	check(t, claimErr)
	b, _ := look(t, stores[0], s.ID)
	switch {
	case commitErr == nil:
		if len(due) != 0 || b.State != tickets.BlobStored {
			t.Fatalf("stored, now %s, and claimed: %v", b.State, due)
		}
	default:
		wantErr(t, commitErr, tickets.ErrTooLate)
		if len(due) != 1 || !slices.Equal(due[0].Keys, []blobstore.Key{c.Key}) {
			t.Fatalf("refused, and claimed: %v", due)
		}
		check(t, stores[0].Erase(t.Context(), due, at))
		if owned(t, stores[0], c.Key) {
			t.Fatal("erased, and the key still has a row")
		}
	}
	// Nothing of this round may be due in the next.
	check(t, stores[0].Unsend(t.Context(), tenant, s.ID, at))
	check(t, stores[0].Erase(t.Context(), claimAll(t, stores[0], at), at))
}

// raceWorkers: each entry is given out once while its lease runs.
func raceWorkers(t *testing.T, stores []Store) {
	const blobs, workers = 120, 8
	ids := make(map[uuid.UUID]int)
	keys := make(map[blobstore.Key]int)
	for i := range blobs {
		s := pending(t, stores[i%2], viewOnce(), 1, start)
		ids[s.ID] = 0
		key := newKey(s.ID)
		keys[key] = 0
		due := s.UploadUntil
		if i%2 == 0 { // with a lone attempt, that is due before its blob
			due = start
			delete(ids, s.ID)
		}
		check(t, stores[0].BeginAttempt(t.Context(), s.ID, key, due, start))
		if i%2 == 0 {
			other := newKey(s.ID)
			check(t, stores[0].BeginAttempt(t.Context(), s.ID, other, s.UploadUntil, start))
			s.commit(t, stores[0], other, start)
		}
	}
	now := start.Add(2 * day)
	var mu sync.Mutex
	all := make([]func(), workers)
	for i := range all {
		all[i] = func() {
			for range 2 * blobs { // more than enough, if each is given out once
				due, err := stores[i%2].Claim(t.Context(), time.Time{}, now, time.Hour, 7)
				if err != nil {
					t.Error(err)
				}
				if len(due) == 0 {
					return
				}
				mu.Lock()
				for _, d := range due {
					if d.ID != (uuid.UUID{}) {
						ids[d.ID]++
					}
					for _, key := range d.Keys {
						keys[key]++
					}
				}
				mu.Unlock()
			}
		}
	}
	together(all...)
	for id, n := range ids {
		if n != 1 {
			t.Errorf("blob %s was given out %d times", id, n)
		}
	}
	for key, n := range keys {
		if n != 1 {
			t.Errorf("key %s was given out %d times", key, n)
		}
	}
	if len(ids) != blobs/2 || len(keys) != blobs {
		t.Errorf("%d blobs and %d keys: something was given out that was not due", len(ids), len(keys))
	}
}
