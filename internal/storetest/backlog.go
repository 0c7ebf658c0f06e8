package storetest

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
	"mayfly/tickets"
)

// previewClaim: a dry run tells what the run would do.
func previewClaim(t *testing.T, st Store) {
	for i := range 4 {
		at := start.Add(time.Duration(i) * time.Hour)
		stored(t, st, viewOnce(), 1, at)
		s := pending(t, st, viewOnce(), 1, at)
		check(t, st.BeginAttempt(t.Context(), s.ID, newKey(s.ID), s.UploadUntil, at)) // a part of the blob
		s = pending(t, st, viewOnce(), 1, at)
		check(t, st.BeginAttempt(t.Context(), s.ID, newKey(s.ID), s.UploadUntil, at)) // will be alone
		key := newKey(s.ID)
		check(t, st.BeginAttempt(t.Context(), s.ID, key, s.UploadUntil, at))
		s.commit(t, st, key, at)
		spend(t, st, s.tickets[0], at, true)
		s = stored(t, st, viewOnce(), 1, at)
		check(t, st.Unsend(t.Context(), tenant, s.ID, at))
	}
	for _, now := range []time.Time{start, start.Add(2 * day), start.Add(4 * day), start.Add(15 * day)} {
		before, err := st.Preview(t.Context(), now)
		check(t, err)
		again, err := st.Preview(t.Context(), now)
		check(t, err)
		same(t, "a second look", before, again)
		due := claimAll(t, st, now)
		same(t, "preview", sumUp(due), before)
		if after, err := st.Preview(t.Context(), now); err != nil || len(after) != 0 {
			t.Fatalf("previewed after the claim: %v, %v", after, err)
		}
		if len(due) > 0 { // one stays put off, and is previewed again by the next look
			check(t, st.Defer(t.Context(), due[0], now.Add(time.Hour)))
			check(t, st.Erase(t.Context(), due[1:], now))
		}
	}
}

// sumUp is what Preview must say of what was claimed.
func sumUp(due []expiry.Due) []expiry.Preview {
	var ps []expiry.Preview
	for _, d := range due {
		i := slices.IndexFunc(ps, func(p expiry.Preview) bool { return p.Reason == d.Reason })
		if i < 0 {
			i = len(ps)
			ps = append(ps, expiry.Preview{Reason: d.Reason, OldestDueAt: d.At})
		}
		ps[i].Blobs++
		ps[i].Bytes += d.Size
		if d.At.Before(ps[i].OldestDueAt) {
			ps[i].OldestDueAt = d.At
		}
	}
	slices.SortFunc(ps, func(a, b expiry.Preview) int { return cmp.Compare(a.Reason, b.Reason) })
	return ps
}

// backlog: what a purge is at, or has put off, still waits, since it became due.
func backlog(t *testing.T, st Store) {
	first := stored(t, st, viewOnce(), 1, start)
	second := stored(t, st, viewOnce(), 1, start.Add(time.Hour))
	now := second.ExpiresAt.Add(time.Hour)
	want := func(due int64, oldest time.Time) {
		t.Helper()
		b, err := st.Backlog(t.Context(), now)
		check(t, err)
		same(t, "backlog", expiry.Backlog{Due: due, OldestDueAt: oldest}, b)
	}
	want(2, first.ExpiresAt)
	due, err := st.Claim(t.Context(), time.Time{}, now, time.Hour, 1)
	check(t, err)
	want(2, first.ExpiresAt)
	check(t, st.Defer(t.Context(), due[0], now.Add(day)))
	want(2, first.ExpiresAt)
	check(t, st.Erase(t.Context(), due, now))
	want(1, second.ExpiresAt)
	check(t, st.Erase(t.Context(), claimAll(t, st, now), now))
	want(0, time.Time{})
}

func testSweep(t *testing.T, open func(*testing.T) Database) {
	st := open(t)
	t.Run("owned", func(t *testing.T) {
		t.Parallel()
		sweepOwned(t, st)
	})
	t.Run("stored", func(t *testing.T) {
		t.Parallel()
		sweepStored(t, open(t))
	})
}

func sweepOwned(t *testing.T, st Store) {
	p := pending(t, st, viewOnce(), 1, start)
	attempt := newKey(p.ID)
	check(t, st.BeginAttempt(t.Context(), p.ID, attempt, p.UploadUntil, start))
	s := stored(t, st, viewOnce(), 1, start)
	purging := stored(t, st, viewOnce(), 1, start)
	check(t, st.Unsend(t.Context(), tenant, purging.ID, start))
	keys := []blobstore.Key{attempt, newKey(p.ID), s.Key, newKey(s.ID), purging.Key, newKey(newID()), "not-one-of-ours"}
	got, err := st.Owned(t.Context(), keys)
	check(t, err)
	same(t, "owned", []bool{true, false, true, false, true, false, false}, got)

	due := claimAll(t, st, start)
	check(t, st.Erase(t.Context(), due, start))
	if owned(t, st, purging.Key) {
		t.Fatal("a tombstone owns the key of its bytes")
	}
	got, err = st.Owned(t.Context(), nil)
	check(t, err)
	if len(got) != 0 {
		t.Fatalf("%v for no keys", got)
	}
}

func sweepStored(t *testing.T, st Store) {
	var want []expiry.StoredBlob
	for i := range 10 {
		s := stored(t, st, viewOnce(), 1, start)
		pending(t, st, viewOnce(), 1, start)
		if i%3 == 0 {
			check(t, st.Unsend(t.Context(), tenant, s.ID, start))
			continue
		}
		want = append(want, expiry.StoredBlob{ID: s.ID, Key: s.Key, Size: s.Size, SHA256: *s.SHA256})
	}
	check(t, st.Erase(t.Context(), claimAll(t, st, start), start))
	var got []expiry.StoredBlob
	var after uuid.UUID
	for {
		page, err := st.Stored(t.Context(), after, 4)
		check(t, err)
		got = append(got, page...)
		if len(page) < 4 {
			break
		}
		after = page[3].ID
	}
	same(t, "stored", want, got)
	if b, _ := look(t, st, want[0].ID); b.State != tickets.BlobStored {
		t.Fatalf("the blob is %s", b.State)
	}
}
