package storetest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"mayfly/expiry"
	"mayfly/tickets"
)

// testShorten: stored blobs follow a policy that became shorter, and nothing else does.
func testShorten(t *testing.T, open func(*testing.T) Database) {
	t.Run("only its own", func(t *testing.T) {
		t.Parallel()
		shortenOnlyItsOwn(t, open(t))
	})
	t.Run("longer", func(t *testing.T) {
		t.Parallel()
		neverLonger(t, open(t))
	})
	t.Run("during an upload", func(t *testing.T) {
		t.Parallel()
		shortenDuringUpload(t, open(t))
	})
	t.Run("rule", func(t *testing.T) {
		t.Parallel()
		shortenByTheRule(t, open(t))
	})
	t.Run("many", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		const blobs = 20 // several pages
		for range blobs {
			stored(t, db, viewOnce(), 1, start)
		}
		done := apply(t, db, tenant, policy("view-once", day), start)
		same(t, "amount", expiry.Amount{Blobs: blobs, Bytes: blobs * 65536}, done.Amount)
		// The purge finds them then, and not before (P4).
		same(t, "due too early", 0, len(claimAll(t, db, start.Add(day-time.Microsecond))))
		same(t, "due", blobs, len(claimAll(t, db, start.Add(day))))
	})
	t.Run("plan", func(t *testing.T) {
		t.Parallel()
		planTellsWhen(t, open(t))
	})
	t.Run("race", func(t *testing.T) {
		t.Parallel()
		raceShorten(t, open(t))
	})
	for _, seed := range []uint64{1, 2, rand.Uint64()} {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			h := &history{t: t, st: open(t), rand: rand.New(rand.NewPCG(seed, 1)), now: start}
			for i := range 300 {
				h.now = h.now.Add(time.Duration(h.rand.ExpFloat64() * float64(4*time.Hour))).Truncate(time.Microsecond)
				h.event()
				if i%10 == 9 {
					h.shorten()
				}
			}
			for _, event := range []string{"shorten: stored", "shorten: pending", "shorten: opened", "shorten: purging"} {
				if h.count[event] == 0 && seed <= 2 {
					t.Errorf("chance passed over %q: %v", event, h.count)
				}
			}
		})
	}
}

// shorten sets a policy of all or of the tenant, and compares the plan and every blob.
func (h *history) shorten() {
	p := policy("view-once", time.Duration(1+h.rand.IntN(400))*time.Hour)
	p.ReportWindow = time.Duration(h.rand.IntN(90)) * time.Hour
	p.ResumeWindow = time.Duration(h.rand.IntN(20)) * time.Minute
	p.TombstoneTTL = time.Duration(1+h.rand.IntN(50)) * time.Hour
	scope := []string{tenant, expiry.AllTenants}[h.rand.IntN(2)]
	if scope == tenant {
		h.ownPolicy = true
	}
	reached := scope == tenant || !h.ownPolicy

	var want expiry.PolicyPlan
	for _, o := range h.all {
		before := o.blob
		if !reached || !o.shortened(p) {
			continue
		}
		h.happened("shorten: %s", before.State)
		if len(o.openedAt) > 0 {
			h.happened("shorten: opened")
		}
		if o.blob.PurgeAt.Before(before.PurgeAt) && before.PurgeAt.After(h.now) {
			part := &want.Later
			switch days := (o.blob.PurgeAt.Sub(h.now) + day - 1) / day; {
			case !o.blob.PurgeAt.After(h.now):
				part = &want.DueNow
			case days <= expiry.PlanDays:
				part = &want.Days[days-1]
			}
			part.Blobs++
			part.Bytes += o.blob.Size
			want.Extend(o.blob.PurgeAt, o.blob.PurgeAt)
		}
	}
	for _, o := range h.all {
		if !o.gone && (o.blob.State == tickets.BlobPurging || o.blob.State == tickets.BlobErased) {
			h.happened("shorten: purging") // and nothing happens to it
		}
	}
	c := changeTo(scope, p, h.now)
	c.ApplyToStored, c.FinishedAt = true, time.Time{}
	setTo(h.t, h.st, c)
	h.same("plan", want, planOf(h.t, h.st, scope, p, h.now))
	done := finish(h.t, h.st, c.ID, h.now)
	h.same("change", want.Total(), done.Amount)
	for _, o := range h.all {
		h.look(o)
	}
}

// shortened makes the terms of a blob no longer than the policy's; false if they were
// not longer, or it is too late.
func (o *oracle) shortened(p expiry.Policy) bool {
	if o.gone || o.blob.State != tickets.BlobPending && o.blob.State != tickets.BlobStored {
		return false
	}
	terms := o.blob.Terms
	terms.UnopenedTTL = min(terms.UnopenedTTL, p.UnopenedTTL)
	terms.ReportWindow = min(terms.ReportWindow, p.ReportWindow)
	terms.ResumeWindow = min(terms.ResumeWindow, p.ResumeWindow)
	terms.TombstoneTTL = min(terms.TombstoneTTL, p.TombstoneTTL)
	if terms == o.blob.Terms {
		return false
	}
	var opened time.Time // the latest
	for _, at := range o.openedAt {
		if at.After(opened) {
			opened = at
		}
	}
	// A ticket that was revoked after others were opened can be replaced until the deadline.
	toDeadline := o.anyReady() || terms.Unlimited || o.blob.PurgeAt.After(opened.Add(o.blob.Terms.Keep()))
	o.blob.Terms = terms
	if o.blob.State == tickets.BlobPending {
		return true
	}
	o.blob.ExpiresAt = o.blob.StoredAt.Add(terms.UnopenedTTL)
	purge := o.blob.ExpiresAt
	if len(o.openedAt) > 0 {
		if kept := opened.Add(terms.Keep()); !toDeadline || kept.After(purge) {
			purge = kept
		}
	}
	if purge.Before(o.blob.PurgeAt) {
		o.blob.PurgeAt = purge
	}
	return true
}

func apply(t *testing.T, st Store, tenant string, p expiry.Policy, now time.Time) expiry.PolicyChange {
	t.Helper()
	c := changeTo(tenant, p, now)
	c.ApplyToStored, c.FinishedAt = true, time.Time{}
	setTo(t, st, c)
	return finish(t, st, c.ID, now)
}

func shortenOnlyItsOwn(t *testing.T, db Database) {
	mine := stored(t, db, viewOnce(), 1, start)
	other := stored(t, db, disappearing(), 1, start)
	done := apply(t, db, "stranger", policy("view-once", day), start)
	same(t, "a stranger's", expiry.Amount{}, done.Amount)
	setTo(t, db, changeTo(tenant, policy("view-once", 14*day), start))
	done = apply(t, db, expiry.AllTenants, policy("view-once", day), start)
	same(t, "the installation's, over the tenant's own", expiry.Amount{}, done.Amount)
	for _, s := range []sample{mine, other} {
		b, _ := look(t, db, s.ID)
		same(t, "blob", s.Blob, b)
	}
	back := changeTo(tenant, policy("view-once", day), start)
	back.After.Origin = expiry.OriginInstallation
	setTo(t, db, back)
	done = apply(t, db, expiry.AllTenants, policy("view-once", day), start)
	same(t, "the installation's", expiry.Amount{Blobs: 1, Bytes: mine.Size}, done.Amount)
	b, _ := look(t, db, other.ID)
	same(t, "blob of another policy", other.Blob, b)
	// A finished change is over for those that come later.
	later := stored(t, db, viewOnce(), 1, start)
	same(t, "again", done, finish(t, db, done.ID, start.Add(day)))
	b, _ = look(t, db, later.ID)
	same(t, "later blob", later.Blob, b)
	_, err := db.Shorten(t.Context(), newID(), 7, start)
	wantErr(t, err, expiry.ErrUnknownPolicy)
}

// neverLonger: not by a policy, and not for a blob whose sender has asked for less.
func neverLonger(t *testing.T, db Database) {
	terms := viewOnce()
	terms.UnopenedTTL = time.Hour
	s := stored(t, db, terms, 1, start)
	p := policy("view-once", 300*day)
	p.ReportWindow, p.ResumeWindow, p.TombstoneTTL = 80*day, day, 300*day
	apply(t, db, tenant, p, start)
	b, _ := look(t, db, s.ID)
	same(t, "blob", s.Blob, b)
	p.UnopenedTTL = 2 * time.Hour
	apply(t, db, tenant, p, start)
	b, _ = look(t, db, s.ID)
	same(t, "blob", s.Blob, b)
}

// shortenDuringUpload: who read the terms before they became shorter does not store by
// the old ones.
func shortenDuringUpload(t *testing.T, db Database) {
	s := pending(t, db, viewOnce(), 1, start)
	key := newKey(s.ID)
	check(t, db.BeginAttempt(t.Context(), s.ID, key, s.UploadUntil, start))
	apply(t, db, tenant, policy("view-once", day), start)
	at := start.Add(time.Hour)
	check(t, db.Commit(t.Context(), commitOf(s.Blob, key, at)))
	b, _ := look(t, db, s.ID)
	if want := at.Add(day); !b.ExpiresAt.Equal(want) || !b.PurgeAt.Equal(want) {
		t.Fatalf("expires at %v, purge at %v, want %v", b.ExpiresAt, b.PurgeAt, want)
	}
	if !b.UploadUntil.Equal(s.UploadUntil) {
		t.Fatal("the grant became shorter: its holder was told otherwise")
	}
}

// shortenByTheRule is design §4 over shorter terms, where chance seldom leads.
func shortenByTheRule(t *testing.T, db Database) {
	strict, unlimited := viewOnce(), viewOnce()
	unlimited.Unlimited = true
	noReport := viewOnce()
	noReport.ReportWindow = 0
	late := start.Add(13 * day)
	for _, tc := range []struct {
		name         string
		terms        tickets.Terms
		tickets      int
		opened       time.Time
		revoke       bool
		ttl          time.Duration
		report       time.Duration
		resume       time.Duration
		before, want time.Time // purge at
	}{
		{"opened", strict, 1, start, false, day, time.Hour, time.Minute, start.Add(3 * day), start.Add(time.Hour)},
		{"opened, no report", noReport, 1, start, false, day, 0, 5 * time.Minute, start.Add(15 * time.Minute), start.Add(5 * time.Minute)},
		{"opened, another ready", strict, 2, start, false, 7 * day, time.Hour, time.Minute, start.Add(14 * day), start.Add(7 * day)},
		{"opened, another revoked", strict, 2, start, true, 7 * day, time.Hour, time.Minute, start.Add(14 * day), start.Add(7 * day)},
		{"opened late, another ready", strict, 2, late, false, 14 * day, time.Hour, time.Minute, late.Add(3 * day), start.Add(14 * day)},
		{"opened late, unlimited", unlimited, 1, late, false, 14 * day, time.Hour, time.Minute, late.Add(3 * day), start.Add(14 * day)},
		{"opened late, done", strict, 1, late, false, 14 * day, time.Hour, time.Minute, late.Add(3 * day), late.Add(time.Hour)},
		{"not opened", strict, 1, time.Time{}, false, day, 0, 0, start.Add(14 * day), start.Add(day)},
	} {
		terms := tc.terms
		terms.Policy = newID().String()
		s := stored(t, db, terms, tc.tickets, start)
		if !tc.opened.IsZero() {
			spend(t, db, s.tickets[0], tc.opened, true)
		}
		if tc.revoke {
			check(t, db.Revoke(t.Context(), tenant, s.ID, s.tickets[1].ID, start))
		}
		b, _ := look(t, db, s.ID)
		same(t, tc.name+": purge at", tc.before, b.PurgeAt)
		p := policy(terms.Policy, tc.ttl)
		p.ReportWindow, p.ResumeWindow = tc.report, tc.resume
		apply(t, db, tenant, p, start)
		b, _ = look(t, db, s.ID)
		same(t, tc.name+": purge at, shorter", tc.want, b.PurgeAt)
		// An open that comes later counts from the new terms.
		if tc.tickets > 1 && !tc.revoke {
			at := start.Add(6 * day)
			spend(t, db, s.tickets[1], at, true)
			want := at.Add(max(tc.report, tc.resume))
			if kept := tc.opened.Add(max(tc.report, tc.resume)); kept.After(want) {
				want = kept
			}
			b, _ = look(t, db, s.ID)
			same(t, tc.name+": purge at, opened again", want, b.PurgeAt)
		}
	}
}

func planTellsWhen(t *testing.T, db Database) {
	now := start.Add(10 * day)
	for _, age := range []time.Duration{10 * day, 9*day + time.Hour, 8 * day, 5 * day, 0} {
		stored(t, db, viewOnce(), 1, now.Add(-age))
	}
	pending(t, db, viewOnce(), 1, now)
	one := expiry.Amount{Blobs: 1, Bytes: 65536}
	want := expiry.PolicyPlan{
		DueNow: expiry.Amount{Blobs: 2, Bytes: 2 * 65536}, Later: one,
		OldestDueAt: now.Add(-day), NewestDueAt: now.Add(9 * day),
	}
	want.Days[0], want.Days[3] = one, one
	same(t, "plan", want, planOf(t, db, tenant, policy("view-once", 9*day), now))
	same(t, "plan of as it is", expiry.PolicyPlan{}, planOf(t, db, tenant, policy("view-once", 14*day), now))
}
