package api

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"mayfly/expiry"
	"mayfly/internal/keys"
	"mayfly/internal/openapi"
)

// policy is the policy by that name as it holds for the key's tenant.
func (w *world) policy(key, name, query string) openapi.Policy {
	w.Helper()
	_, b := w.want(200, "GET /v1/policies"+query, key)
	for _, p := range decode[openapi.Policies](w, b).Policies {
		if p.Name == name {
			return p
		}
	}
	w.Fatalf("no policy %s in %s", name, b)
	return openapi.Policy{}
}

func (w *world) setPolicy(key, nameAndQuery, body string) openapi.PolicyAnswer {
	w.Helper()
	_, b := w.want(200, "PUT /v1/policies/"+nameAndQuery, key, jsonBody(body))
	return decode[openapi.PolicyAnswer](w, b)
}

func (w *world) changes(key, query string) []openapi.PolicyChange {
	w.Helper()
	_, b := w.want(200, "GET /v1/policy-changes"+query, key)
	return decode[openapi.PolicyChanges](w, b).Changes
}

// A policy is shortened with a preview, for new blobs and for stored ones, and who did
// it is on record.
func TestShortenPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	operator := w.newKey(keys.RoleOps, keys.EveryTenant)
	if p := w.policy(operator, "view-once", ""); p.Origin != "builtin" || p.UnopenedTTL != 14*86400 || p.ReportWindow != 3*86400 || p.MaxSize != 2<<30 {
		t.Errorf("%+v", p)
	}
	old, tokens := w.store(content(1000), "")
	fresh, _ := w.store(content(10), "")
	w.advance(2 * time.Hour)
	later, _ := w.store(content(100), "")
	const hour = `{"unopened_ttl":3600}`

	planned := w.setPolicy(operator, "view-once?dry_run=true&apply_to_stored=true", hour)
	plan := planned.Plan
	if plan.DueNow != (openapi.PolicyAmount{Blobs: 2, Bytes: 1010}) || plan.Days[0] != (openapi.PolicyAmount{Blobs: 1, Bytes: 100}) ||
		plan.OldestDueAt == nil || plan.NewestDueAt == nil || planned.Change.ID != nil {
		t.Errorf("%+v", planned)
	}
	if p := w.policy(operator, "view-once", ""); p.Origin != "builtin" || len(w.changes(operator, "")) != 0 {
		t.Errorf("a dry run changed something: %+v", p)
	}

	// New blobs alone.
	made := w.setPolicy(operator, "view-once", hour)
	if c := made.Change; c.ID == nil || c.FinishedAt == nil || c.Before.UnopenedTTL != 14*86400 || c.After.UnopenedTTL != 3600 || c.Blobs != 0 || made.Plan.DueNow.Blobs != 0 {
		t.Errorf("%+v", made)
	}
	if b := w.status(fresh); b.ExpiresAt.Sub(*b.StoredAt) != 14*24*time.Hour {
		t.Errorf("a stored blob follows unasked: %+v", b)
	}
	short, _ := w.store(content(10), "")
	if b := w.status(short); b.ExpiresAt.Sub(*b.StoredAt) != time.Hour {
		t.Errorf("a new blob does not follow: %+v", b)
	}

	// The plan was for another policy; a new one holds.
	p, _ := w.refused(409, "plan_drifted", "PUT /v1/policies/view-once?apply_to_stored=true", operator,
		jsonBody(fmt.Sprintf(`{"unopened_ttl":3600,"plan":{"base":%q,"blobs_due_now":2}}`, plan.Base)))
	if p.Detail == nil || !strings.Contains(*p.Detail, "not the one that was planned for") {
		t.Errorf("%+v", p)
	}
	plan = w.setPolicy(operator, "view-once?dry_run=true&apply_to_stored=true", hour).Plan
	made = w.setPolicy(operator, "view-once?apply_to_stored=true",
		fmt.Sprintf(`{"unopened_ttl":3600,"plan":{"base":%q,"blobs_due_now":%d}}`, plan.Base, plan.DueNow.Blobs))
	if c := made.Change; c.FinishedAt == nil || c.Blobs != 3 || c.Bytes != 1110 || !c.ApplyToStored {
		t.Errorf("%+v", c)
	}
	w.refused(410, "expired", "POST /v1/download", tokens[0])
	if b := w.status(later); b.ExpiresAt.Sub(*b.StoredAt) != time.Hour {
		t.Errorf("%+v", b)
	}
	w.purge()
	if w.status(old).State != "erased" || w.status(later).State != "stored" {
		t.Error("the purge took others than planned")
	}

	// The record, and lengthening.
	all := w.changes(operator, "")
	if len(all) != 2 || *all[1].ID != *made.Change.ID || all[0].ChangedBy != keyID(w, operator) || all[0].Before.Origin != "builtin" || all[0].After.Origin != "installation" {
		t.Errorf("%+v", all)
	}
	if rest := w.changes(operator, "?after="+all[0].ID.String()); len(rest) != 1 || *rest[0].ID != *all[1].ID {
		t.Errorf("%+v", rest)
	}
	w.setPolicy(operator, "view-once?apply_to_stored=true", `{"unopened_ttl":864000}`)
	if b := w.status(later); b.ExpiresAt.Sub(*b.StoredAt) != time.Hour {
		t.Errorf("a stored blob became longer: %+v", b)
	}
	// Back to what Mayfly comes with; nothing to do is nothing on record.
	_, b := w.want(200, "DELETE /v1/policies/view-once", operator)
	if c := decode[openapi.PolicyAnswer](w, b).Change; c.After.Origin != "builtin" {
		t.Errorf("%+v", c)
	}
	w.refused(404, "unknown_policy", "DELETE /v1/policies/view-once", operator)
	before := len(w.changes(operator, ""))
	w.setPolicy(operator, "view-once", `{}`)
	if c := w.setPolicy(operator, "view-once", `{}`).Change; c.ID != nil || len(w.changes(operator, "")) != before+1 {
		t.Errorf("%+v, %d changes", c, len(w.changes(operator, "")))
	}
}

func keyID(w *world, token string) string {
	all, err := w.db.Keys(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	for _, k := range all {
		if k.Tenant == keys.EveryTenant {
			return k.ID.String()
		}
	}
	w.Fatal("no operator's key")
	return ""
}

// A tenant's own policies go before the installation's, and are its own business.
func TestTenantPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	operator, stranger := w.newKey(keys.RoleOps, keys.EveryTenant), w.newKey(keys.RoleOps, "others")
	w.setPolicy(operator, "view-once", `{"unopened_ttl":36000,"max_size":500}`)
	w.setPolicy(w.ops, "view-once", `{"unopened_ttl":3600}`)
	if p := w.policy(w.ops, "view-once", ""); p.Origin != "tenant" || p.UnopenedTTL != 3600 || p.MaxSize != 500 {
		t.Errorf("%+v", p)
	}
	if p := w.policy(operator, "view-once", "?tenant=acme"); p.Origin != "tenant" {
		t.Errorf("%+v", p)
	}
	if p := w.policy(stranger, "view-once", "?tenant=others"); p.Origin != "installation" || p.UnopenedTTL != 36000 {
		t.Errorf("%+v", p)
	}
	id, _ := w.store(content(100), "")
	if b := w.status(id); b.ExpiresAt.Sub(*b.StoredAt) != time.Hour {
		t.Errorf("%+v", b)
	}
	w.refused(413, "too_large", "POST /v1/blobs", w.key, bytesBody(content(501)))

	// The operator's change does not reach the blobs of who has a policy of its own.
	if a := w.setPolicy(operator, "view-once?apply_to_stored=true", `{"unopened_ttl":60}`); a.Change.Blobs != 0 {
		t.Errorf("%+v", a)
	}
	// A policy of the tenant alone.
	w.refused(400, "invalid_request", "POST /v1/blobs?policy=memo", w.key, bytesBody(content(10)))
	w.setPolicy(w.ops, "memo", `{"unopened_ttl":120,"unlimited":true}`)
	id, _ = w.store(content(10), "policy=memo")
	if b := w.status(id); b.Policy != "memo" || b.ExpiresAt.Sub(*b.StoredAt) != 2*time.Minute {
		t.Errorf("%+v", b)
	}
	w.refused(409, "policy_needed", "DELETE /v1/policies/memo", w.ops)
	w.want(200, "DELETE /v1/policies/view-once", w.ops)
	if p := w.policy(w.ops, "view-once", ""); p.Origin != "installation" || p.UnopenedTTL != 60 {
		t.Errorf("%+v", p)
	}

	for _, call := range []string{
		"GET /v1/policies?tenant=acme", "GET /v1/policy-changes?tenant=acme", "DELETE /v1/policies/view-once?tenant=acme",
	} {
		w.refused(403, "forbidden", call, stranger)
		w.refused(403, "forbidden", call, w.key)
	}
	w.refused(403, "forbidden", "PUT /v1/policies/view-once?tenant=acme", stranger, jsonBody(`{}`))
	if all := w.changes(stranger, ""); len(all) != 2 { // the installation's
		t.Errorf("%+v", all)
	}
	if all := w.changes(w.ops, ""); len(all) != 5 || all[1].Tenant == nil || *all[1].Tenant != "acme" {
		t.Errorf("%+v", all)
	}
}

func TestRefusedPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	operator := w.newKey(keys.RoleOps, keys.EveryTenant)
	for _, c := range []struct{ name, call, body, fields string }{
		{"bounds", "view-once", `{"unopened_ttl":59,"report_window":7776001,"resume_window":-1,"upload_ttl":604801,"tombstone_ttl":86399,"max_size":0}`,
			"max_size must be at least 1; report_window must be at most 7776000; resume_window must be at least 0; tombstone_ttl must be at least 86400; unopened_ttl must be at least 60; upload_ttl must be at most 604800"},
		{"for ever", "view-once", `{"unopened_ttl":31536001,"max_size":5497558138881}`, "max_size must be at most 5497558138880; unopened_ttl must be at most 31536000"},
		{"kind", "channel-30d", `{"unlimited":false,"shared_ticket":false}`, "unlimited cannot be changed for a builtin policy; shared_ticket cannot be changed for a builtin policy"},
		{"internal", "evidence", `{"report_window":1,"resume_window":1,"max_size":1}`,
			"report_window cannot be changed for an internal policy; resume_window cannot be changed for an internal policy; max_size cannot be changed for an internal policy"},
		{"internal and stored", "evidence?apply_to_stored=true", `{"unopened_ttl":86400}`, "query apply_to_stored cannot be asked for an internal policy"},
		{"new", "mine", `{"max_size":5}`, "unopened_ttl is required for a new policy"},
		{"name", "Mine", `{"unopened_ttl":60}`, "name must match ^[a-z0-9][a-z0-9-]*$"},
		{"long name", strings.Repeat("x", 65), `{"unopened_ttl":60}`, "name is longer than 64 characters"},
		{"escaped name", "%2e%2e", `{"unopened_ttl":60}`, "name must match ^[a-z0-9][a-z0-9-]*$"},
		{"unknown field", "view-once", `{"unopened":60}`, "unopened is not a field of this call"},
		{"text", "view-once", `{"unopened_ttl":"7d"}`, "unopened_ttl must be a whole number"},
		{"plan", "view-once", `{"plan":{"base":"x"}}`, "plan.base must match ^[0-9a-f]{64}$; plan.blobs_due_now is required"},
		{"dry run", "view-once?dry_run=maybe", `{}`, "query dry_run must be true or false"},
		{"tenant", "view-once?tenant=" + url.QueryEscape("*"), `{}`, "query tenant must match ^[a-z0-9][a-z0-9._-]*$"},
		{"unknown parameter", "view-once?dry=true", `{}`, "query dry is not a parameter of this call"},
		{"twice", "view-once?dry_run=true&dry_run=false", `{}`, "query dry_run is given more than once"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.in(t)
			_, text := w.want(400, "PUT /v1/policies/"+c.call, operator, jsonBody(c.body))
			checkFields(t, text, c.fields)
		})
	}
	if all := w.changes(operator, ""); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	w.setPolicy(operator, "evidence", `{"unopened_ttl":86400,"tombstone_ttl":864000}`)
	w.want(400, "GET /v1/policy-changes?after=x", operator)
	w.want(400, "DELETE /v1/policies/Mine", operator)
	w.refused(415, "unsupported_media_type", "PUT /v1/policies/view-once", operator, bytesBody([]byte("{}")))

	w.rows.fail(func(method string) error { return errRows })
	w.refused(503, "unavailable", "GET /v1/policies", operator)
	w.refused(503, "unavailable", "PUT /v1/policies/view-once", operator, jsonBody(`{}`))
	w.rows.fail(nil)
	policies := w.api.Policies
	w.api.Policies = nil
	w.refused(503, "unavailable", "GET /v1/policies", operator)
	w.api.Policies = policies

	// As many as can be set, and while stored blobs follow none can.
	for i := range 99 {
		w.setPolicy(operator, fmt.Sprintf("p-%d", i), `{"unopened_ttl":60}`)
	}
	w.refused(409, "too_many_policies", "PUT /v1/policies/p-99", operator, jsonBody(`{"unopened_ttl":60}`))
	w.setPolicy(operator, "p-98", `{"unopened_ttl":61}`)
	_, err := w.db.SetPolicy(t.Context(), "", "p-1", func([]expiry.StoredPolicy) (expiry.PolicyChange, error) {
		c := expiry.PolicyChange{ID: [16]byte{0xff}, Name: "p-1", At: w.now(), ApplyToStored: true}
		c.After.Policy = expiry.Builtin()[0]
		c.After.Name, c.After.Origin = "p-1", expiry.OriginInstallation
		return c, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.refused(409, "policy_changing", "PUT /v1/policies/p-1", operator, jsonBody(`{"unopened_ttl":60}`))
	w.refused(409, "policy_changing", "PUT /v1/policies/p-1", w.ops, jsonBody(`{"unopened_ttl":60}`))
	if _, err := policies.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.setPolicy(operator, "p-1", `{"unopened_ttl":60}`)
}

// The bounds stand in two places, and are the same.
func TestPolicyBoundsAreTheDomains(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, property := range document().Components.Schemas["PolicyFields"].Value.Properties {
		schema := property.Value
		if schema.Min == nil {
			continue
		}
		for edge, inside := range map[float64]float64{*schema.Min: 0, *schema.Max: 0} {
			body, _ := json.Marshal(map[string]any{"unopened_ttl": 60, name: int64(edge + inside)})
			w.setPolicy(w.ops, "edge", string(body))
		}
		for _, outside := range []int64{int64(*schema.Min) - 1, int64(*schema.Max) + 1} {
			p := expiry.Builtin()[0]
			p.Name = "edge"
			set := map[string]func(){
				"unopened_ttl":  func() { p.UnopenedTTL = time.Duration(outside) * time.Second },
				"report_window": func() { p.ReportWindow = time.Duration(outside) * time.Second },
				"resume_window": func() { p.ResumeWindow = time.Duration(outside) * time.Second },
				"upload_ttl":    func() { p.UploadTTL = time.Duration(outside) * time.Second },
				"tombstone_ttl": func() { p.TombstoneTTL = time.Duration(outside) * time.Second },
				"max_size":      func() { p.MaxSize = outside },
			}[name]
			set()
			if err := p.Check(); err == nil || !strings.HasPrefix(err.Error(), name+" must be ") {
				t.Errorf("%s of %d: %v", name, outside, err)
			}
		}
	}
}
