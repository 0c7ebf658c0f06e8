package expiry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"mayfly/expiry"
)

// policyStore is a PolicyStore in memory, over blobs that are only counted.
type policyStore struct {
	expiry.PolicyStore
	stored  []expiry.StoredPolicy
	changes []expiry.PolicyChange
	reads   int
	err     error
	longest time.Duration
	since   time.Time
	// dueNow is what each of the pages of a plan says. left are the pages that Shorten
	// has before it, and failing says which of its calls fail.
	pages   []int64
	left    int
	failing func() error
	// meanwhile runs before a change is decided.
	meanwhile func()
}

func (s *policyStore) Policies(_ context.Context, tenant string) ([]expiry.StoredPolicy, error) {
	s.reads++
	return s.of(tenant), s.err
}

func (s *policyStore) of(tenant string) (of []expiry.StoredPolicy) {
	for _, p := range s.stored {
		if p.Tenant == tenant || p.Tenant == expiry.AllTenants {
			of = append(of, p)
		}
	}
	return of
}

func (s *policyStore) LongestUploadTTL(_ context.Context, since time.Time) (time.Duration, error) {
	s.since = since
	return s.longest, s.err
}

func (s *policyStore) SetPolicy(_ context.Context, tenant, name string, decide func([]expiry.StoredPolicy) (expiry.PolicyChange, error)) (expiry.PolicyChange, error) {
	if s.meanwhile != nil {
		s.meanwhile()
	}
	c, err := decide(s.of(tenant))
	if err != nil {
		return c, err
	}
	s.changes = append(s.changes, c)
	s.stored = slices.DeleteFunc(s.stored, func(p expiry.StoredPolicy) bool { return p.Tenant == tenant && p.Name == name })
	if c.After.Origin == expiry.OriginTenant || tenant == "" && c.After.Origin == expiry.OriginInstallation {
		p := c.After.Policy
		p.Internal = false // it is the name's, and has no column
		s.stored = append(s.stored, expiry.StoredPolicy{Tenant: tenant, Policy: p})
	}
	return c, nil
}

func (s *policyStore) PlanPolicy(_ context.Context, _ string, _ expiry.Policy, after uuid.UUID, _ int, _ time.Time) (plan expiry.PolicyPlan, last uuid.UUID, err error) {
	page := int(after[0])
	if page == len(s.pages) {
		return plan, after, s.err
	}
	plan.DueNow = expiry.Amount{Blobs: s.pages[page], Bytes: 10 * s.pages[page]}
	return plan, uuid.UUID{byte(page + 1)}, s.err
}

func (s *policyStore) Shorten(_ context.Context, id uuid.UUID, _ int, now time.Time) (expiry.PolicyChange, error) {
	if s.failing != nil {
		if err := s.failing(); err != nil {
			return expiry.PolicyChange{}, err
		}
	}
	i := slices.IndexFunc(s.changes, func(c expiry.PolicyChange) bool { return c.ID == id })
	if s.left == 0 {
		s.changes[i].FinishedAt = now
	} else {
		s.left--
		s.changes[i].Blobs++
	}
	return s.changes[i], nil
}

func (s *policyStore) OpenChanges(context.Context, int) (open []expiry.PolicyChange, err error) {
	for _, c := range s.changes {
		if c.FinishedAt.IsZero() {
			open = append(open, c)
		}
	}
	return open, s.err
}

// newPolicies are policies on an empty store, at a clock that the test moves.
func newPolicies() (p *expiry.Policies, s *policyStore, now *time.Time) {
	s, now = new(policyStore), new(start)
	return &expiry.Policies{Store: s, Now: func() time.Time { return *now }}, s, now
}

func ttl(d time.Duration) expiry.PolicyFields { return expiry.PolicyFields{UnopenedTTL: &d} }

const day = 24 * time.Hour

// The tenant's own goes before the installation's, and that before the builtin one; what
// a request does not say is as beneath.
func TestPoliciesInUse(t *testing.T) {
	t.Parallel()
	p, s, _ := newPolicies()
	set := func(tenant, name string, f expiry.PolicyFields) {
		t.Helper()
		if _, _, err := p.Set(t.Context(), expiry.PolicyRequest{Tenant: tenant, Name: name, Fields: f}); err != nil {
			t.Fatal(err)
		}
	}
	size := int64(5)
	f := ttl(day)
	f.MaxSize = &size
	set("acme", "view-once", ttl(time.Hour))
	set("", "view-once", f)
	set("acme", "zoo", ttl(2*time.Hour))
	set("", "alpha", ttl(3*time.Hour))
	set("", "evidence", ttl(day))

	want := func(tenant string, want ...string) {
		t.Helper()
		all, err := p.InUse(t.Context(), tenant)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, u := range all {
			got = append(got, fmt.Sprintf("%s %s %s %d %v", u.Name, u.Origin, u.UnopenedTTL, u.MaxSize, u.Internal))
		}
		same(t, "policies of "+tenant, want, got)
	}
	const gib2 = "2147483648 false"
	beneath := []string{
		"disappearing-24h builtin 24h0m0s " + gib2, "disappearing-7d builtin 168h0m0s " + gib2,
		"disappearing-90d builtin 2160h0m0s " + gib2, "channel-30d builtin 720h0m0s " + gib2,
		"evidence installation 24h0m0s 2147483648 true", "alpha installation 3h0m0s " + gib2,
	}
	want("others", append([]string{"view-once installation 24h0m0s 5 false"}, beneath...)...)
	// Set before the installation's, it has kept its size.
	want("acme", append(append([]string{"view-once tenant 1h0m0s " + gib2}, beneath...), "zoo tenant 2h0m0s "+gib2)...)
	set("acme", "view-once", ttl(time.Hour))
	want("acme", append(append([]string{"view-once tenant 1h0m0s 5 false"}, beneath...), "zoo tenant 2h0m0s "+gib2)...)
	if len(s.changes) != 6 {
		t.Errorf("%d changes on record", len(s.changes))
	}

	for name, wantErr := range map[string]error{"zoo": expiry.ErrOnlyPolicy, "alpha": expiry.ErrUnknownPolicy, "view-once": nil} {
		_, _, err := p.Set(t.Context(), expiry.PolicyRequest{Tenant: "acme", Name: name, Remove: true})
		if !errors.Is(err, wantErr) {
			t.Errorf("remove %s: %v, want %v", name, err, wantErr)
		}
	}
	want("acme", append(append([]string{"view-once installation 24h0m0s 5 false"}, beneath...), "zoo tenant 2h0m0s "+gib2)...)
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: (-want +got)\n%s", what, diff)
	}
}

// All that is wrong with a policy is told at once. The bounds themselves are compared with
// openapi.yaml's in package api.
func TestPolicyCheck(t *testing.T) {
	t.Parallel()
	bad := expiry.Policy{
		Name: "-x", UnopenedTTL: time.Second, ReportWindow: -1, ResumeWindow: 25 * time.Hour,
		UploadTTL: 8 * day, TombstoneTTL: 401 * day, MaxSize: 5<<40 + 1,
	}
	var fields []string
	for line := range strings.Lines(bad.Check().Error()) {
		field, _, _ := strings.Cut(line, " ")
		fields = append(fields, field)
	}
	same(t, "fields", []string{"name", "unopened_ttl", "report_window", "resume_window", "upload_ttl", "tombstone_ttl", "max_size"}, fields)

	for _, builtin := range expiry.Builtin() {
		if err := builtin.Check(); err != nil {
			t.Errorf("%s: %v", builtin.Name, err)
		}
		for field, p := range map[string]expiry.Policy{
			"unlimited": flipped(builtin, true, false), "shared_ticket": flipped(builtin, false, true),
		} {
			if err := p.Check(); err == nil || err.Error() != field+" cannot be changed for a builtin policy" {
				t.Errorf("%s: %v", builtin.Name, err)
			}
			p.Name = "mine"
			if err := p.Check(); err != nil {
				t.Errorf("%s of one's own: %v", field, err)
			}
		}
		builtin.UnopenedTTL += time.Millisecond
		if err := builtin.Check(); err == nil || err.Error() != "unopened_ttl must be a whole number of seconds" {
			t.Errorf("%s: %v", builtin.Name, err)
		}
	}
}

func flipped(p expiry.Policy, unlimited, shared bool) expiry.Policy {
	p.Unlimited, p.SharedTicket = p.Unlimited != unlimited, p.SharedTicket != shared
	return p
}

// A plan is carried out as long as it holds, and no change goes past somebody else's.
func TestPlanDrift(t *testing.T) {
	t.Parallel()
	p, s, _ := newPolicies()
	s.pages = []int64{70, 0, 30}
	r := expiry.PolicyRequest{Name: "view-once", Fields: ttl(day), ApplyToStored: true, DryRun: true}
	c, plan, err := p.Set(t.Context(), r)
	if err != nil || plan.DueNow != (expiry.Amount{Blobs: 100, Bytes: 1000}) || c.ID != (uuid.UUID{}) || len(s.changes) != 0 {
		t.Fatalf("%+v, %+v, %v", c, plan, err)
	}
	if _, plan, _ := p.Set(t.Context(), expiry.PolicyRequest{Name: "view-once", Fields: ttl(day), DryRun: true}); plan.DueNow.Blobs != 0 {
		t.Errorf("stored blobs are planned for unasked: %+v", plan)
	}
	for _, tc := range []struct {
		base    string
		planned int64
		want    error
	}{
		{plan.Base, 82, nil}, {plan.Base, 81, expiry.ErrPlanDrifted}, {plan.Base, 0, expiry.ErrPlanDrifted},
		{plan.Base, 1000, nil}, {strings.Repeat("0", 64), 100, expiry.ErrPlanDrifted},
	} {
		r.Expect = &expiry.Expectation{Base: tc.base, DueNow: tc.planned}
		if _, _, err := p.Set(t.Context(), r); !errors.Is(err, tc.want) {
			t.Errorf("%d planned: %v, want %v", tc.planned, err, tc.want)
		}
	}
	r.DryRun, r.Expect = false, nil
	s.meanwhile = func() {
		s.stored = []expiry.StoredPolicy{{Policy: expiry.Builtin()[0]}}
	}
	if _, _, err := p.Set(t.Context(), r); !errors.Is(err, expiry.ErrPlanDrifted) || len(s.changes) != 0 {
		t.Errorf("a change in between: %v", err)
	}
}

// What a request does not finish, because it fails or its caller leaves, Finish does.
func TestFinish(t *testing.T) {
	t.Parallel()
	p, s, _ := newPolicies()
	s.left = 5
	s.failing = func() error {
		if s.left == 3 {
			return errors.New("the database is down")
		}
		return nil
	}
	c, _, err := p.Set(t.Context(), expiry.PolicyRequest{Name: "view-once", Fields: ttl(day), ApplyToStored: true})
	if err != nil || !c.FinishedAt.IsZero() {
		t.Fatalf("%+v, %v: the change is made, and not finished", c, err)
	}
	if _, err := p.Finish(t.Context()); err == nil {
		t.Error("the database is down, and no error")
	}
	s.failing = nil
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Finish(cancelled); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	done, err := p.Finish(t.Context())
	if err != nil || len(done) != 1 || done[0].FinishedAt.IsZero() || done[0].Blobs != 5 {
		t.Fatalf("%+v, %v", done, err)
	}
	if done, err := p.Finish(t.Context()); err != nil || len(done) != 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	// Only asked for, and never of what holds may keep.
	if c, _, err := p.Set(t.Context(), expiry.PolicyRequest{Name: "view-once", Fields: ttl(time.Hour)}); err != nil || c.FinishedAt.IsZero() {
		t.Errorf("%+v, %v", c, err)
	}
	var field *expiry.PolicyFieldError
	if _, _, err := p.Set(t.Context(), expiry.PolicyRequest{Name: "evidence", Fields: ttl(day), ApplyToStored: true}); !errors.As(err, &field) {
		t.Error(err)
	}
	// Setting what is set is no change, but stored blobs may have to follow it yet.
	n := len(s.changes)
	if c, _, err := p.Set(t.Context(), expiry.PolicyRequest{Name: "view-once", Fields: ttl(time.Hour)}); err != nil || c.ID != (uuid.UUID{}) || len(s.changes) != n {
		t.Errorf("%+v, %v", c, err)
	}
	if c, _, err := p.Set(t.Context(), expiry.PolicyRequest{Name: "view-once", Fields: ttl(time.Hour), ApplyToStored: true}); err != nil || c.ID == (uuid.UUID{}) || len(s.changes) != n+1 {
		t.Errorf("%+v, %v", c, err)
	}
}

// Uploads do not read the policies each time, and follow a change within five seconds.
func TestPoliciesForSender(t *testing.T) {
	t.Parallel()
	p, s, now := newPolicies()
	want := func(tenant, name string, want time.Duration, reads int) {
		t.Helper()
		got, ok, err := p.ForSender(t.Context(), tenant, name)
		if err != nil || ok != (want != 0) || got.UnopenedTTL != want || s.reads != reads {
			t.Errorf("%v, %v, %v after %d reads, want %v after %d", got.UnopenedTTL, ok, err, s.reads, want, reads)
		}
	}
	want("acme", "", 14*day, 1)
	want("acme", "evidence", 0, 1)
	want("acme", "nothing", 0, 1)
	want("others", "view-once", 14*day, 2)
	other := expiry.Builtin()[0]
	other.UnopenedTTL = day
	s.stored = []expiry.StoredPolicy{{Policy: other}} // by another replica
	*now = now.Add(5*time.Second - time.Microsecond)
	want("acme", "", 14*day, 2)
	*now = now.Add(time.Microsecond)
	want("acme", "", day, 3)
	*now = now.Add(-time.Hour) // the clock is set back
	want("acme", "", day, 4)

	// Whoever has changed it here sees it at once.
	if _, _, err := p.Set(t.Context(), expiry.PolicyRequest{Name: "view-once", Fields: ttl(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	want("acme", "", time.Hour, 6)
	*now = now.Add(time.Minute)
	s.err = errors.New("the database is down")
	if _, _, err := p.ForSender(t.Context(), "acme", ""); err == nil {
		t.Error("the database is down, and the policy of a minute ago still holds")
	}
	s.err = nil
	for i := range 5000 { // the cache is bounded; this only must not fail
		if _, ok, err := p.ForSender(t.Context(), fmt.Sprint(i), ""); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
}

func TestPolicySweepAge(t *testing.T) {
	t.Parallel()
	p, s, _ := newPolicies()
	for longest, want := range map[time.Duration]time.Duration{0: 2 * day, time.Hour: 2 * day, 7 * day: 14 * day} {
		s.longest = longest
		got, err := p.SweepAge(t.Context())
		if err != nil || got != want {
			t.Errorf("%v: %v, %v, want %v", longest, got, err, want)
		}
	}
	// As far back as an upload may have begun that still runs.
	if start.Sub(s.since) < 7*day {
		t.Errorf("changes since %v", s.since)
	}
	s.err = errors.New("the database is down")
	if _, err := p.SweepAge(t.Context()); err == nil {
		t.Error("a guess would delete what is being uploaded")
	}
}
