package client

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"mayfly/internal/openapi"
)

// planning is for calls behind which the server walks through all blobs. They are not
// repeated: one that is has found things changed, by the first.
var planning = bounds{tries: 1, stall: 10 * time.Minute}

// Policy is a policy as it holds for a tenant, or for all that have none of their own.
// TTLs and windows are seconds. In JSON it is as in the API, as are the others here.
type Policy struct {
	Name string `json:"name"`
	// Origin is builtin, installation or tenant.
	Origin string `json:"origin"`
	// Base is a digest of all this.
	Base         string `json:"base"`
	Internal     bool   `json:"internal"`
	Unlimited    bool   `json:"unlimited"`
	SharedTicket bool   `json:"shared_ticket"`
	UnopenedTTL  int64  `json:"unopened_ttl"`
	ReportWindow int64  `json:"report_window"`
	ResumeWindow int64  `json:"resume_window"`
	UploadTTL    int64  `json:"upload_ttl"`
	TombstoneTTL int64  `json:"tombstone_ttl"`
	MaxSize      int64  `json:"max_size"`
}

// PolicyFields are what is to be set. A nil one is as in the policy beneath.
type PolicyFields struct {
	Unlimited, SharedTicket                                          *bool
	UnopenedTTL, ReportWindow, ResumeWindow, UploadTTL, TombstoneTTL *int64
	MaxSize                                                          *int64
}

// PolicyRequest asks for a change of one policy.
type PolicyRequest struct {
	// Tenant whose policy it is; empty for the key's own choice.
	Tenant, Name  string
	Fields        PolicyFields
	ApplyToStored bool
	// DryRun only plans.
	DryRun bool
	// Expect is a plan that must still hold, if there is one.
	Expect *PolicyPlan
}

// PolicyChange is who changed which policy, when, from what to what.
type PolicyChange struct {
	// ID is nil of what was only planned, and where nothing was to be changed.
	ID            *uuid.UUID `json:"id,omitempty"`
	Tenant        string     `json:"tenant,omitempty"`
	Name          string     `json:"name"`
	ChangedAt     time.Time  `json:"changed_at"`
	ChangedBy     string     `json:"changed_by"`
	Before        *Policy    `json:"before,omitempty"`
	After         Policy     `json:"after"`
	ApplyToStored bool       `json:"apply_to_stored"`
	// PolicyAmount of stored blobs that go earlier, so far.
	PolicyAmount
	// FinishedAt is nil as long as stored blobs have still to follow.
	FinishedAt *time.Time `json:"finished_at,omitempty"`
}

// PolicyPlan is which stored blobs a change lets go earlier, and when.
type PolicyPlan struct {
	Base        string         `json:"base"`
	DueNow      PolicyAmount   `json:"due_now"`
	Days        []PolicyAmount `json:"days"`
	Later       PolicyAmount   `json:"later"`
	OldestDueAt *time.Time     `json:"oldest_due_at,omitempty"`
	NewestDueAt *time.Time     `json:"newest_due_at,omitempty"`
}

// PolicyAmount is a number of blobs and of their bytes.
type PolicyAmount struct {
	Blobs int64 `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

// PolicyAnswer is a change and what it does to stored blobs.
type PolicyAnswer struct {
	Change PolicyChange `json:"change"`
	Plan   PolicyPlan   `json:"plan"`
}

// Policies are those that hold. tenant is empty for the key's own choice. Needs a key
// of role ops, like the other calls here. Fails like Announce.
func (c *Client) Policies(ctx context.Context, tenant string) ([]Policy, error) {
	var answer struct{ Policies []Policy }
	err := c.callAs(ctx, shortly, &answer, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.ListPolicies(ctx, &openapi.ListPoliciesParams{Tenant: textOrNil(tenant)}, bearer(c.Key))
	})
	return answer.Policies, err
}

// SetPolicy changes a policy, or plans to. It is not repeated when its answer is lost.
func (c *Client) SetPolicy(ctx context.Context, r PolicyRequest) (PolicyAnswer, error) {
	f := r.Fields
	body := openapi.PolicyFields{
		Unlimited: f.Unlimited, SharedTicket: f.SharedTicket, UnopenedTTL: f.UnopenedTTL, ReportWindow: f.ReportWindow,
		ResumeWindow: f.ResumeWindow, UploadTTL: f.UploadTTL, TombstoneTTL: f.TombstoneTTL, MaxSize: f.MaxSize,
	}
	if r.Expect != nil {
		body.Plan = &openapi.ExpectedPlan{Base: r.Expect.Base, BlobsDueNow: r.Expect.DueNow.Blobs}
	}
	params := &openapi.SetPolicyParams{Tenant: textOrNil(r.Tenant), DryRun: &r.DryRun, ApplyToStored: &r.ApplyToStored}
	var answer PolicyAnswer
	err := c.callAs(ctx, planning, &answer, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.SetPolicy(ctx, r.Name, params, body, bearer(c.Key))
	})
	return answer, err
}

// RemovePolicy gives a policy up for the one beneath it.
func (c *Client) RemovePolicy(ctx context.Context, tenant, name string) (PolicyAnswer, error) {
	var answer PolicyAnswer
	err := c.callAs(ctx, once, &answer, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.RemovePolicy(ctx, name, &openapi.RemovePolicyParams{Tenant: textOrNil(tenant)}, bearer(c.Key))
	})
	return answer, err
}

// PolicyChanges are the next changes after that one; none at the end.
func (c *Client) PolicyChanges(ctx context.Context, tenant string, after uuid.UUID) ([]PolicyChange, error) {
	var answer struct{ Changes []PolicyChange }
	err := c.callAs(ctx, shortly, &answer, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.ListPolicyChanges(ctx, &openapi.ListPolicyChangesParams{Tenant: textOrNil(tenant), After: &after}, bearer(c.Key))
	})
	return answer.Changes, err
}

// callAs is call for those that need the key.
func (c *Client) callAs(ctx context.Context, b bounds, answer any, send func(context.Context, *openapi.Client) (*http.Response, error)) error {
	if c.Key.IsZero() {
		return ErrNoKey
	}
	return c.call(ctx, b, http.StatusOK, answer, send)
}

func textOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
