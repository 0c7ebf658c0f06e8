package storetest

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
	"mayfly/reports"
	"mayfly/tickets"
)

// testReportRaces has reports meet the purge, and each other.
func testReportRaces(t *testing.T, open func(*testing.T) Database) {
	for _, order := range []raceOrder{reportFirst, purgeFirst, atOnce} {
		t.Run("report and purge, "+string(order), func(t *testing.T) {
			t.Parallel()
			db := open(t)
			raceReportPurge(t, []Store{db, db.Again(t)}, order)
		})
	}
	run := func(name string, test func(*testing.T, []Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			test(t, []Store{db, db.Again(t)})
		})
	}
	run("hold and purge", raceHoldPurge)
	run("reports of one ticket", raceFilings)
	run("one request, many times", raceReplays)
	run("last copies", raceLastCopies)
	run("report and last copy", raceFileCopied)
	run("withdrawal and copy", raceWithdrawCopied)
	run("copies", raceClaimCopies)
	run("moderators", raceModerators)
}

// raceOrder is who begins.
type raceOrder string

const (
	reportFirst raceOrder = "report first"
	purgeFirst  raceOrder = "purge first"
	atOnce      raceOrder = "at once"
)

const (
	// reportRounds is how often a report meets a purge in each order; at once it is half
	// of that.
	reportRounds      = 5000
	shortReportRounds = 500
	// reportBatch is how many of these are at it together.
	reportBatch = 250
	// raceTenants is how many tenants they are of: each has a log of its own.
	raceTenants = 25
)

// raceReportPurge: whether a blob that is due is kept for a report or purged is decided
// once. Either the report has its bytes, and no purge takes them, or the purge does, and
// the report waits for the reporter's.
func raceReportPurge(t *testing.T, stores []Store, order raceOrder) {
	rounds := reportRounds
	if order == atOnce {
		rounds /= 2
	}
	if testing.Short() {
		rounds = shortReportRounds
	}
	kept, purged := 0, 0
	for n := range rounds / reportBatch {
		// What is pinned in one batch stays so in all the others.
		race := &purgeRace{t: t, stores: stores, now: start.Add(20 * day).Add(time.Duration(n) * time.Minute), due: make(map[uuid.UUID]expiry.Due)}
		race.prepare()
		switch order {
		case reportFirst:
			race.file()
			race.purge(true)
		case purgeFirst:
			race.purge(n%2 == 0) // purging, or erased
			race.file()
		default:
			together(race.file, func() { race.purge(true) }, func() { race.purge(true) })
		}
		if t.Failed() {
			return
		}
		k, p := race.judge()
		kept, purged = kept+k, purged+p
	}
	t.Logf("%d kept for their reports, %d purged", kept, purged)
	switch {
	case kept+purged != rounds,
		order == reportFirst && purged > 0,
		order == purgeFirst && kept > 0,
		order == atOnce && (kept < rounds/50 || purged < rounds/50):
		t.Fatalf("of %d: %d kept, %d purged", rounds, kept, purged)
	}
}

// purgeRace is a batch of due blobs, each of which is reported once.
type purgeRace struct {
	t       *testing.T
	stores  []Store
	now     time.Time
	samples []sample
	reports []reports.Report

	mu  sync.Mutex
	due map[uuid.UUID]expiry.Due
}

func (r *purgeRace) prepare() {
	r.samples, r.reports = make([]sample, reportBatch), make([]reports.Report, reportBatch)
	for i := range r.samples {
		r.samples[i] = newSample(viewOnce(), 1, start)
		r.samples[i].Tenant = "tenant" + string(rune('a'+i%raceTenants))
	}
	createAll(r.t, r.stores[0], r.samples, start)
}

func (r *purgeRace) file() {
	order := rand.Perm(reportBatch)
	abreast(reportBatch, func(n int) {
		i := order[n]
		x, _, err := r.stores[i%2].File(r.t.Context(), filingOf(r.samples[i].tickets[0], r.now))
		if err != nil {
			r.t.Error(err)
		}
		r.reports[i] = x
	})
}

func (r *purgeRace) purge(erase bool) {
	for i := 0; ; i++ {
		due, err := r.stores[i%2].Claim(r.t.Context(), time.Time{}, r.now, 30*time.Second, 10)
		if err == nil && erase {
			err = r.stores[i%2].Erase(r.t.Context(), due, r.now)
		}
		if err != nil {
			r.t.Error(err)
		}
		if err != nil || len(due) == 0 {
			return
		}
		r.mu.Lock()
		for _, d := range due {
			r.due[d.ID] = d
		}
		r.mu.Unlock()
	}
}

// judge says how many were kept, and how many purged.
func (r *purgeRace) judge() (kept, purged int) {
	t, st := r.t, r.stores[0]
	t.Helper()
	keys := make([]blobstore.Key, len(r.samples))
	for i, s := range r.samples {
		keys[i] = s.Key
	}
	there, err := st.Owned(t.Context(), keys)
	check(t, err)
	copies, err := st.ClaimCopies(t.Context(), r.now, 1000*time.Hour, 10*reportBatch)
	check(t, err)
	sources := make(map[uuid.UUID]blobstore.Key)
	for _, c := range copies {
		sources[c.Report] = c.Source
	}
	var some []reports.Report // of those that are kept
	for i, s := range r.samples {
		x := r.reports[i]
		_, taken := r.due[s.ID]
		switch {
		case x.State == reports.StateCopying && !taken && there[i] && sources[x.ID] == s.Key:
			kept++
			if i%10 == 0 {
				some = append(some, x)
			}
		case x.State == reports.StateAwaitingMedia && taken && sources[x.ID] == "":
			purged++
			if i%10 == 0 {
				b, _, err := st.Blob(t.Context(), s.Tenant, s.ID, 1)
				check(t, err)
				if b.State != tickets.BlobPurging && b.State != tickets.BlobErased {
					t.Fatalf("the blob is %s", b.State)
				}
			}
		default:
			t.Fatalf("the report is %s; claimed: %v, there: %v, source: %q", x.State, taken, there[i], sources[x.ID])
		}
	}
	// The bytes that were kept can be copied, and may go then; no others are left.
	abreast(len(some), func(i int) { copied(t, st, some[i], r.now) })
	due := claimAll(t, st, r.now)
	same(t, "due once they are copied", len(some), len(due))
	check(t, st.Erase(t.Context(), due, r.now))
	check(t, st.Erase(t.Context(), slices.Collect(maps.Values(r.due)), r.now))
	return kept, purged
}

// raceHoldPurge: either the hold is there, and no purge takes the evidence, or the
// moderator hears that it is gone.
func raceHoldPurge(t *testing.T, stores []Store) {
	m := moderator(t, stores[0])
	for i := range rounds {
		filedAt := start.Add(time.Duration(i) * 50 * day)
		r, key := opened(t, stores[0], filedAt)
		now := r.ExpiresAt
		check(t, stores[0].Erase(t.Context(), claimAll(t, stores[0], now.Add(-time.Microsecond)), now))
		var due []expiry.Due
		var holdErr, claimErr error
		together(
			func() {
				_, holdErr = service(stores[i%2], now).PutHold(t.Context(), m, r.ID, reports.NewHold{Class: reports.HoldReview, Reason: "why", Until: now.Add(3000 * day)})
			},
			func() { due, claimErr = stores[i/2%2].Claim(t.Context(), time.Time{}, now, time.Hour, 10) },
		)
		check(t, claimErr)
		switch got := report(t, stores[0], r); {
		case holdErr == nil && len(due) == 0 && got.Hold != nil && got.Evidence == reports.EvidenceStored && owned(t, stores[0], key):
		case errors.Is(holdErr, reports.ErrErased) && len(due) == 1 && got.Hold == nil && got.Evidence == reports.EvidenceGone:
			check(t, stores[0].Erase(t.Context(), due, now))
		default:
			t.Fatalf("hold: %v, claimed: %v; %s", holdErr, due, got.Evidence)
		}
	}
}

func raceFilings(t *testing.T, stores []Store) {
	const callers = 16
	for range rounds / 4 {
		s := stored(t, stores[0], viewOnce(), 1, start)
		var filed atomic.Int64
		abreast(callers, func(i int) {
			_, replayed, err := stores[i%2].File(t.Context(), filingOf(s.tickets[0], start))
			switch {
			case err == nil && !replayed:
				filed.Add(1)
			case !errors.Is(err, reports.ErrAlreadyReported):
				t.Errorf("replayed: %v, %v", replayed, err)
			}
		})
		same(t, "filed", int64(1), filed.Load())
	}
	same(t, "in the log", rounds/4, len(logOf(t, stores[0], tenant)))
}

func raceReplays(t *testing.T, stores []Store) {
	const callers = 16
	for range rounds / 4 {
		s := stored(t, stores[0], viewOnce(), 1, start)
		first := filingOf(s.tickets[0], start)
		first.Idempotency = newHash()
		var fresh atomic.Int64
		ids := make([]uuid.UUID, callers)
		abreast(callers, func(i int) {
			f := filingOf(s.tickets[0], start)
			f.Idempotency, f.Body = first.Idempotency, first.Body
			r, replayed, err := stores[i%2].File(t.Context(), f)
			if err != nil {
				t.Error(err)
			}
			if ids[i] = r.ID; !replayed {
				fresh.Add(1)
			}
		})
		same(t, "filed", int64(1), fresh.Load())
		for _, id := range ids {
			same(t, "report", ids[0], id)
		}
	}
}

// raceLastCopies: of two reports of a blob, whose copies end together, the last one lets
// go of it.
func raceLastCopies(t *testing.T, stores []Store) {
	for i := range rounds {
		now := start.Add(time.Duration(i) * 50 * day)
		s := stored(t, stores[0], viewOnce(), 2, now)
		one, two := file(t, stores[0], s.tickets[0], s.ExpiresAt), file(t, stores[0], s.tickets[1], s.ExpiresAt)
		together(func() { copied(t, stores[i%2], one, s.ExpiresAt) }, func() { copied(t, stores[i/2%2], two, s.ExpiresAt) })
		due := dueOf(t, stores[0], s.ID, s.ExpiresAt)
		check(t, stores[0].Erase(t.Context(), []expiry.Due{due}, s.ExpiresAt))
	}
}

// raceFileCopied: a report that comes while another's copy ends keeps the blob too.
func raceFileCopied(t *testing.T, stores []Store) {
	for i := range rounds {
		s := stored(t, stores[0], viewOnce(), 2, start)
		one := file(t, stores[0], s.tickets[0], s.ExpiresAt)
		together(
			func() { copied(t, stores[i%2], one, s.ExpiresAt) },
			func() { file(t, stores[i/2%2], s.tickets[1], s.ExpiresAt) },
		)
		same(t, "claimed", 0, len(claimAll(t, stores[0], s.ExpiresAt)))
	}
}

// raceWithdrawCopied: whoever is first, the copy is due, and the purge knows its key.
func raceWithdrawCopied(t *testing.T, stores []Store) {
	for i := range rounds {
		s := stored(t, stores[0], viewOnce(), 1, start)
		r := file(t, stores[0], s.tickets[0], start)
		key := blobstore.NewEvidenceKey(r.ID)
		check(t, stores[0].BeginEvidence(t.Context(), r.ID, key, start))
		var storeErr error
		together(
			func() { storeErr = stores[i%2].StoreEvidence(t.Context(), storedEvidence(r, key, start)) },
			func() { withdrawn(t, stores[i/2%2], r, start) },
		)
		if storeErr != nil {
			wantErr(t, storeErr, reports.ErrTooLate)
		}
		due := claimAll(t, stores[0], start)
		if len(due) != 1 || due[0].ID != r.ID || len(due[0].Keys) != 1 || due[0].Keys[0] != key {
			t.Fatalf("stored: %v, claimed: %v", storeErr, due)
		}
		check(t, stores[0].Erase(t.Context(), due, start))
		same(t, "state", reports.StateWithdrawn, report(t, stores[0], r).State)
	}
}

// raceClaimCopies: each copy is given out once while its lease runs.
func raceClaimCopies(t *testing.T, stores []Store) {
	const copies, workers = 60, 8
	samples := make([]sample, copies)
	for i := range samples {
		samples[i] = newSample(viewOnce(), 1, start)
	}
	createAll(t, stores[0], samples, start)
	abreast(copies, func(i int) { file(t, stores[i%2], samples[i].tickets[0], start) })
	var mu sync.Mutex
	given := make(map[uuid.UUID]int)
	abreast(workers, func(i int) {
		for {
			some, err := stores[i%2].ClaimCopies(t.Context(), start, time.Hour, 4)
			if err != nil {
				t.Error(err)
			}
			if len(some) == 0 {
				return
			}
			mu.Lock()
			for _, c := range some {
				given[c.Report]++
			}
			mu.Unlock()
		}
	})
	same(t, "copies", copies, len(given))
	for id, n := range given {
		if n != 1 {
			t.Errorf("%s was given out %d times", id, n)
		}
	}
}

// raceModerators: of many who claim a report one has it, and the log says who.
func raceModerators(t *testing.T, stores []Store) {
	const moderators = 12
	all := make([]reports.Moderator, moderators)
	for i := range all {
		all[i] = moderator(t, stores[0])
	}
	r, _ := opened(t, stores[0], start)
	for round := range rounds / 4 {
		now := start.Add(time.Duration(round) * time.Hour) // the claim before ran out
		var won atomic.Int64
		winner := -1
		abreast(moderators, func(i int) {
			_, err := claimFor(t, stores[i%2], all[i], r, now)
			switch {
			case err == nil:
				won.Add(1)
				winner = i
			case !errors.Is(err, reports.ErrClaimed):
				t.Error(err)
			}
		})
		same(t, "won", int64(1), won.Load())
		got := report(t, stores[1], r)
		same(t, "claim", reports.Claim{By: all[winner].Key, Until: now.Add(30 * time.Minute)}, got.Claim)
		same(t, "state", reports.StateClaimed, got.StateAt(now))
		log := logOf(t, stores[0], tenant)
		same(t, "in the log", 3+round, len(log))
		same(t, "actor", all[winner].Key.String(), log[len(log)-1].Actor)
	}
}
