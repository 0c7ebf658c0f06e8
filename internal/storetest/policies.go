package storetest

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/expiry"
)

// testPolicies: what was set holds, the tenant's own before the installation's, and
// each change is on record.
func testPolicies(t *testing.T, open func(*testing.T) Database) {
	for name, test := range map[string]func(*testing.T, Database){
		"set":                  setPolicies,
		"refused":              refusedPolicy,
		"one change at a time": oneChange,
		"race":                 racePolicies,
		"record":               changesOnRecord,
		"longest upload time":  longestUploadTTL,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func policy(name string, ttl time.Duration) expiry.Policy {
	return expiry.Policy{
		Name: name, UnopenedTTL: ttl, ReportWindow: 72 * time.Hour, ResumeWindow: 15 * time.Minute,
		UploadTTL: day, TombstoneTTL: 90 * day, MaxSize: 1 << 30,
	}
}

// changeTo is the change that sets the policy for the tenant, finished.
func changeTo(tenant string, p expiry.Policy, at time.Time) expiry.PolicyChange {
	origin := expiry.OriginTenant
	if tenant == expiry.AllTenants {
		origin = expiry.OriginInstallation
	}
	return expiry.PolicyChange{
		ID: newID(), Tenant: tenant, Name: p.Name, At: at, By: "operator",
		After: expiry.PolicyInUse{Policy: p, Origin: origin}, FinishedAt: at,
	}
}

// setTo records the change and makes it hold.
func setTo(t *testing.T, st Store, c expiry.PolicyChange) {
	t.Helper()
	got, err := st.SetPolicy(t.Context(), c.Tenant, c.Name, func([]expiry.StoredPolicy) (expiry.PolicyChange, error) { return c, nil })
	check(t, err)
	same(t, "change", c, got)
}

func policiesOf(t *testing.T, st Store, tenant string) []expiry.StoredPolicy {
	t.Helper()
	ps, err := st.Policies(t.Context(), tenant)
	check(t, err)
	return ps
}

func setPolicies(t *testing.T, db Database) {
	if got := policiesOf(t, db, tenant); len(got) != 0 {
		t.Fatalf("an empty database has %v", got)
	}
	all, own, stranger := policy("view-once", day), policy("view-once", 2*day), policy("view-once", 3*day)
	own.Unlimited, own.SharedTicket = true, true // the store does not judge
	setTo(t, db, changeTo(expiry.AllTenants, all, start))
	setTo(t, db, changeTo(tenant, own, start))
	setTo(t, db, changeTo("stranger", stranger, start))
	want := []expiry.StoredPolicy{{Tenant: "", Policy: all}, {Tenant: tenant, Policy: own}}
	same(t, "the tenant's", want, policiesOf(t, db.Again(t), tenant))
	same(t, "the installation's", want[:1], policiesOf(t, db, expiry.AllTenants))

	all.MaxSize = 5
	setTo(t, db, changeTo(expiry.AllTenants, all, start))
	back := changeTo(tenant, all, start)
	back.After.Origin = expiry.OriginInstallation
	setTo(t, db, back)
	same(t, "the tenant's, taken away", []expiry.StoredPolicy{{Tenant: "", Policy: all}}, policiesOf(t, db, tenant))
	same(t, "the stranger's", stranger, policiesOf(t, db, "stranger")[1].Policy)
}

func refusedPolicy(t *testing.T, db Database) {
	refusal := errors.New("no")
	_, err := db.SetPolicy(t.Context(), tenant, "view-once", func(stored []expiry.StoredPolicy) (expiry.PolicyChange, error) {
		return changeTo(tenant, policy("view-once", day), start), refusal
	})
	wantErr(t, err, refusal)
	if got := policiesOf(t, db, tenant); len(got) != 0 {
		t.Fatalf("a refused change is in force: %v", got)
	}
	changes, err := db.Changes(t.Context(), expiry.AllTenants, uuid.UUID{}, 10)
	check(t, err)
	if len(changes) != 0 {
		t.Fatalf("a refused change is on record: %v", changes)
	}
}

// oneChange: no policy changes while blobs still follow its last change.
func oneChange(t *testing.T, db Database) {
	c := changeTo(expiry.AllTenants, policy("view-once", day), start)
	c.ApplyToStored, c.FinishedAt = true, time.Time{}
	setTo(t, db, c)
	again := func(tenant, name string) error {
		_, err := db.SetPolicy(t.Context(), tenant, name, func([]expiry.StoredPolicy) (expiry.PolicyChange, error) {
			return changeTo(tenant, policy(name, day), start), nil
		})
		return err
	}
	wantErr(t, again(expiry.AllTenants, "view-once"), expiry.ErrPolicyChanging)
	wantErr(t, again(tenant, "view-once"), expiry.ErrPolicyChanging)
	check(t, again(tenant, "channel-30d"))
	open, err := db.OpenChanges(t.Context(), 10)
	check(t, err)
	same(t, "open", []expiry.PolicyChange{c}, open)

	finish(t, db, c.ID, start.Add(time.Hour))
	open, err = db.OpenChanges(t.Context(), 10)
	check(t, err)
	same(t, "open", 0, len(open))
	own := changeTo(tenant, policy("view-once", day), start)
	own.ApplyToStored, own.FinishedAt = true, time.Time{}
	setTo(t, db, own)
	wantErr(t, again(expiry.AllTenants, "view-once"), expiry.ErrPolicyChanging)
	check(t, again("stranger", "view-once"))
}

// racePolicies: each change sees what the one before it made.
func racePolicies(t *testing.T, db Database) {
	stores := []Store{db, db.Again(t)}
	setTo(t, db, changeTo(tenant, policy("view-once", 0), start))
	const racers = 8
	all := make([]func(), racers)
	for i := range all {
		all[i] = func() {
			_, err := stores[i%2].SetPolicy(t.Context(), tenant, "view-once", func(stored []expiry.StoredPolicy) (expiry.PolicyChange, error) {
				return changeTo(tenant, policy("view-once", stored[0].UnopenedTTL+time.Second), start), nil
			})
			if err != nil {
				t.Error(err)
			}
		}
	}
	together(all...)
	same(t, "policy", policy("view-once", racers*time.Second), policiesOf(t, db, tenant)[0].Policy)
}

func changesOnRecord(t *testing.T, db Database) {
	first := changeTo(expiry.AllTenants, policy("view-once", day), start)
	second := changeTo(tenant, policy("view-once", 2*day), start.Add(time.Hour))
	second.Before, second.By = &first.After, newID().String()
	third := changeTo("stranger", policy("mine", 3*day), start)
	third.After.Internal = true
	for _, c := range []expiry.PolicyChange{first, second, third} {
		setTo(t, db, c)
	}
	for _, tc := range []struct {
		tenant string
		after  uuid.UUID
		limit  int
		want   []expiry.PolicyChange
	}{
		{expiry.AllTenants, uuid.UUID{}, 10, []expiry.PolicyChange{first, second, third}},
		{expiry.AllTenants, uuid.UUID{}, 2, []expiry.PolicyChange{first, second}},
		{expiry.AllTenants, second.ID, 10, []expiry.PolicyChange{third}},
		{tenant, uuid.UUID{}, 10, []expiry.PolicyChange{first, second}},
		{tenant, first.ID, 10, []expiry.PolicyChange{second}},
		{"nobody", uuid.UUID{}, 10, []expiry.PolicyChange{first}},
	} {
		got, err := db.Changes(t.Context(), tc.tenant, tc.after, tc.limit)
		check(t, err)
		same(t, "changes of "+tc.tenant, tc.want, got)
	}
}

func longestUploadTTL(t *testing.T, db Database) {
	want := func(since time.Time, want time.Duration) {
		t.Helper()
		got, err := db.LongestUploadTTL(t.Context(), since)
		check(t, err)
		same(t, "longest", want, got)
	}
	want(start, 0)
	long, short := policy("view-once", day), policy("view-once", day)
	long.UploadTTL, short.UploadTTL = 5*day, 2*day
	first := changeTo(tenant, long, start)
	setTo(t, db, first)
	want(start.Add(time.Hour), 5*day)
	second := changeTo(tenant, short, start.Add(time.Hour))
	second.Before = &first.After
	setTo(t, db, second)
	want(start, 5*day) // uploads of the old policy may be under way
	want(start.Add(2*time.Hour), 2*day)
}

// finish lets blobs follow the change to its end, some at a time, and says how many it was.
func finish(t *testing.T, st Store, change uuid.UUID, now time.Time) expiry.PolicyChange {
	t.Helper()
	for range 10_000 {
		c, err := st.Shorten(t.Context(), change, 7, now)
		check(t, err)
		if !c.FinishedAt.IsZero() {
			return c
		}
	}
	t.Fatal("it never ends")
	return expiry.PolicyChange{}
}

// planOf walks through all blobs.
func planOf(t *testing.T, st Store, tenant string, p expiry.Policy, now time.Time) expiry.PolicyPlan {
	t.Helper()
	var plan expiry.PolicyPlan
	var after uuid.UUID
	for {
		part, last, err := st.PlanPolicy(t.Context(), tenant, p, after, 7, now)
		check(t, err)
		for i := range plan.Days {
			plan.Days[i].Blobs, plan.Days[i].Bytes = plan.Days[i].Blobs+part.Days[i].Blobs, plan.Days[i].Bytes+part.Days[i].Bytes
		}
		plan.DueNow.Blobs, plan.DueNow.Bytes = plan.DueNow.Blobs+part.DueNow.Blobs, plan.DueNow.Bytes+part.DueNow.Bytes
		plan.Later.Blobs, plan.Later.Bytes = plan.Later.Blobs+part.Later.Blobs, plan.Later.Bytes+part.Later.Bytes
		plan.Extend(part.OldestDueAt, part.NewestDueAt)
		if last == after {
			return plan
		}
		after = last
	}
}

// raceShorten: two processes let blobs follow while their tickets are opened; each blob
// follows once, and nobody waits in a circle.
func raceShorten(t *testing.T, db Database) {
	const blobs = 40
	samples := make([]sample, blobs)
	for i := range samples {
		samples[i] = stored(t, db, viewOnce(), 1, start)
	}
	c := changeTo(tenant, policy("view-once", day), start)
	c.ApplyToStored, c.FinishedAt = true, time.Time{}
	setTo(t, db, c)
	stores := []Store{db, db.Again(t)}
	var all []func()
	for _, st := range stores {
		all = append(all, func() {
			for {
				c, err := st.Shorten(t.Context(), c.ID, 7, start)
				if err != nil {
					t.Error(err)
				}
				if err != nil || !c.FinishedAt.IsZero() {
					return
				}
			}
		})
	}
	var won atomic.Int64
	for i, s := range samples {
		all = append(all, func() {
			ok, err := stores[i%2].Spend(t.Context(), spendOf(s.tickets[0], start.Add(time.Hour)))
			if err != nil {
				t.Error(err)
			}
			if ok {
				won.Add(1)
			}
		})
	}
	together(all...)
	same(t, "opened", int64(blobs), won.Load())
	for _, s := range samples {
		b, _ := look(t, db, s.ID)
		if want := start.Add(day); !b.ExpiresAt.Equal(want) {
			t.Fatalf("expires at %v, want %v", b.ExpiresAt, want)
		}
		if want := start.Add(73 * time.Hour); !b.PurgeAt.Equal(want) {
			t.Fatalf("purge at %v, want %v", b.PurgeAt, want)
		}
	}
}
