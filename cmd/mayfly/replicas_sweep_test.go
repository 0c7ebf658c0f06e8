package main

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
	"mayfly/internal/faultproxy"
)

// sweepTurn is how long a turn lasts, in package expiry.
const sweepTurn = 5 * time.Minute

// TestSweepTakesTurns lets two replicas ask for the turn at the sweep at the same
// moment, kills the one that gets it in the middle, and sees that it keeps the others
// waiting no longer than its time. What is after that is done in this process, as by
// another replica, whose clock goes as the test wants.
func TestSweepTakesTurns(t *testing.T) {
	t.Parallel()
	s := sharedSite(t)
	names := []string{"a-" + rand.Text(), "b-" + rand.Text()}
	var replicas []*server
	var sweeps []*held
	unlock := lock(t, s.database, "LOCK TABLE turns IN ACCESS EXCLUSIVE MODE")
	for _, name := range names {
		proxied, proxy := s.as(t, name).through(t)
		sweeps = append(sweeps, holdCalls(t, proxy, listsAll))
		replicas = append(replicas, proxied.start(t)) // a sweep comes right at the start
	}
	const asking = `SELECT COUNT(DISTINCT application_name) = $1 FROM pg_stat_activity
		WHERE application_name = ANY($2) AND state <> 'idle' AND query LIKE '%turns%'`
	waitUntil(t, s.database, asking, len(names), names)
	unlock()

	sweeping, waiting := 0, 1
	select {
	case <-sweeps[0].begun:
	case <-sweeps[1].begun:
		sweeping, waiting = 1, 0
	case <-replicas[0].logged:
		t.Fatal(replicas[0].log)
	case <-replicas[1].logged:
		t.Fatal(replicas[1].log)
	}
	waitUntil(t, s.database, asking, 0, names) // the other has its answer too
	killed := time.Now()
	replicas[sweeping].kill(t)
	sweeps[sweeping].drop()

	db, blobs := s.open(t)
	const orphan = blobstore.Key("0193b1c26d2f7b3a8f6051b0d3f0a9c4-0123456789abcd00")
	if err := blobs.Put(t.Context(), orphan, strings.NewReader("stray"), 5); err != nil {
		t.Fatal(err)
	}
	_, turn, err := db.TakeTurn(t.Context(), sweepJob, uuid.New(), killed, killed.Add(time.Minute))
	if err != nil || turn.Done || turn.Until.After(killed.Add(sweepTurn)) {
		t.Fatalf("%+v of a sweep that was killed at %v, %v", turn, killed, err)
	}
	almost := turn.Until.Add(-time.Microsecond)
	if taken, _, err := db.TakeTurn(t.Context(), sweepJob, uuid.New(), almost, almost.Add(time.Minute)); err != nil || taken {
		t.Fatalf("another took the turn before its time was over: %v, %v", taken, err)
	}
	// run is a replica's sweep when the turn of the dead is over.
	run := func() (r expiry.SweepResult) {
		t.Helper()
		another := expiry.Turn{Turns: db, Job: sweepJob, Holder: uuid.New(), Now: func() time.Time { return turn.Until }}
		err := another.Run(t.Context(), func(ctx context.Context) (err error) {
			later := func() time.Time { return time.Now().Add(30 * 24 * time.Hour) }
			r, err = (&expiry.Sweep{Queue: db, Blobs: blobs, Now: later}).Run(ctx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := run(); r.Deleted != 1 {
		t.Errorf("the sweep after the dead one's: %+v", r)
	}
	if r := run(); r.Listed != 0 {
		t.Errorf("a sweep right after another: %+v", r)
	}
	replicas[waiting].stop(t)
	if n := sweeps[waiting].calls(); n != 0 {
		t.Errorf("both replicas swept: the one that had no turn listed the bucket %d times", n)
	}
	s.checkBucketIsEmpty(t)
}

// listsAll tells a sweep's listing from that of a single blob's versions.
func listsAll(c faultproxy.Call) bool {
	return c.Op == faultproxy.ListObjectVersions && c.Query.Get("prefix") == "pictures/"
}
