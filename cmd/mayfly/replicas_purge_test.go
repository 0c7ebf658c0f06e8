package main

import (
	"context"
	"testing"
	"time"

	"mayfly/blobstore"
	"mayfly/expiry"
	"mayfly/internal/faultproxy"
	"mayfly/internal/world"
)

// purgeLease is expiry's, which the program does not change.
const purgeLease = 5 * time.Minute

// TestPurgeOfTheDead kills a replica whose purge has claimed blobs and not deleted
// them: another takes all the rest at once, and those when their lease runs out and not
// before. The other is a purge in this process, whose clock goes as the test wants.
func TestPurgeOfTheDead(t *testing.T) {
	t.Parallel()
	const blobs = 20
	s := sharedSite(t)
	proxied, proxy := s.through(t)
	dying := proxied.start(t, "--purge-schedule", "@every 1s")
	j := &job{t: t, s: dying}
	var ids []string
	for range blobs {
		ids = append(ids, j.sendBytes("picture").ID)
	}

	deleting := holdCalls(t, proxy, func(c faultproxy.Call) bool { return c.Op == faultproxy.DeleteObjects })
	claimedAfter := time.Now()
	for _, id := range ids[:blobs/2] {
		j.call("DELETE", "/v1/blobs/"+id, dying.key, "", "", nil).want(204)
	}
	deleting.await(t, dying)
	claimedBefore := time.Now()
	for _, id := range ids[blobs/2:] {
		j.call("DELETE", "/v1/blobs/"+id, dying.key, "", "", nil).want(204)
	}
	dying.kill(t)
	deleting.drop()

	db, bytes := s.open(t)
	purgeAt := func(now time.Time) int64 {
		t.Helper()
		p := expiry.Purge{Queue: db, Blobs: bytes, Now: func() time.Time { return now }}
		r, err := p.Run(t.Context())
		if err != nil || r.Failed > 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		return r.Erased
	}
	rest := purgeAt(claimedAfter.Add(purgeLease - time.Millisecond))
	if rest < blobs/2 || rest == blobs {
		t.Fatalf("of %d blobs, of which the dead had claimed some of half, the other erased %d", blobs, rest)
	}
	if n := countBlobs(t, bytes); n != blobs-rest {
		t.Errorf("the other deleted what the dead had claimed: the bytes of %d are left, not of %d", n, blobs-rest)
	}
	if n := purgeAt(claimedBefore.Add(purgeLease + time.Millisecond)); n != blobs-rest {
		t.Errorf("when the lease had run out, %d were erased, not %d", n, blobs-rest)
	}
	if err := world.Check(t.Context(), db, bytes); err != nil {
		t.Error(err)
	}
	s.checkBucketIsEmpty(t)
}

func countBlobs(t *testing.T, blobs blobstore.Store) (n int64) {
	t.Helper()
	for _, err := range blobs.All(context.WithoutCancel(t.Context())) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// sendBytes makes a blob of its bytes, in one call.
func (j *job) sendBytes(content string) createdBlob {
	j.t.Helper()
	return j.created(j.call("POST", "/v1/blobs", j.s.key, "application/octet-stream", content, nil), 201)
}
