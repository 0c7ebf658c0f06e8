package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/internal/client"
	"mayfly/internal/client/clienttest"
)

const aPolicy = `{"name":"view-once","origin":"tenant","base":"b","internal":false,"unlimited":true,"shared_ticket":true,` +
	`"unopened_ttl":1,"report_window":2,"resume_window":3,"upload_ttl":4,"tombstone_ttl":5,"max_size":6}`

var thePolicy = client.Policy{
	Name: "view-once", Origin: "tenant", Base: "b", Unlimited: true, SharedTicket: true,
	UnopenedTTL: 1, ReportWindow: 2, ResumeWindow: 3, UploadTTL: 4, TombstoneTTL: 5, MaxSize: 6,
}

// What is asked for gets there, and what is answered gets here.
func TestPolicyCalls(t *testing.T) {
	in(t, func(s *setting) {
		s.server.Fail("GET /v1/policies", clienttest.Abort, clienttest.Plain(200, `{"policies":[`+aPolicy+`]}`))
		all, err := s.client.Policies(s.Context(), "acme")
		if err != nil || len(all) != 1 || all[0] != thePolicy {
			s.Errorf("%+v, %v", all, err)
		}
		var body map[string]any
		var query string
		s.server.Fail("PUT /v1/policies/view-once", func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			query = r.URL.RawQuery
			_ = json.NewDecoder(r.Body).Decode(&body)
			_, _ = w.Write([]byte(`{"change":{"id":"0193b1c2-6d2f-7b3a-8f60-51b0d3f0a9c4","name":"view-once","after":` + aPolicy + `,"blobs":7,"bytes":8},"plan":{"base":"b"}}`))
		})
		ttl := int64(60)
		answer, err := s.client.SetPolicy(s.Context(), client.PolicyRequest{
			Tenant: "acme", Name: "view-once", Fields: client.PolicyFields{UnopenedTTL: &ttl}, ApplyToStored: true,
			Expect: &client.PolicyPlan{Base: "b", DueNow: client.PolicyAmount{Blobs: 9}},
		})
		if c := answer.Change; err != nil || c.After != thePolicy || c.Blobs != 7 || c.Bytes != 8 || c.ID == nil || c.FinishedAt != nil {
			s.Errorf("%+v, %v", answer, err)
		}
		plan, _ := body["plan"].(map[string]any)
		if query != "apply_to_stored=true&dry_run=false&tenant=acme" && query != "dry_run=false&apply_to_stored=true&tenant=acme" ||
			len(body) != 2 || body["unopened_ttl"] != 60.0 || plan["base"] != "b" || plan["blobs_due_now"] != 9.0 {
			s.Errorf("%s with %v", query, body)
		}
		s.server.Fail("DELETE /v1/policies/view-once", clienttest.Plain(200, `{"change":{"name":"view-once"},"plan":{}}`))
		if answer, err := s.client.RemovePolicy(s.Context(), "", "view-once"); err != nil || answer.Change.Name != "view-once" {
			s.Errorf("%+v, %v", answer, err)
		}
		s.server.Fail("GET /v1/policy-changes", clienttest.Plain(200, `{"changes":[]}`))
		if changes, err := s.client.PolicyChanges(s.Context(), "", uuid.UUID{}); err != nil || len(changes) != 0 {
			s.Errorf("%+v, %v", changes, err)
		}
	})
}

// A change whose answer is lost is not repeated: it would find what the first has made.
func TestPolicyIsSetOnce(t *testing.T) {
	in(t, func(s *setting) {
		s.server.Fail("PUT /v1/policies/view-once", clienttest.LoseAnswer, clienttest.Plain(200, `{}`))
		_, err := s.client.SetPolicy(s.Context(), client.PolicyRequest{Name: "view-once"})
		if e := fails[*client.UnreachableError](s, err); e == nil || len(s.waits) != 0 {
			s.Errorf("%v after waits %v", err, s.waits)
		}
	})
}

// A server that plans for minutes is waited for, and one that hangs is not.
func TestPlanTakesItsTime(t *testing.T) {
	in(t, func(s *setting) {
		s.server.Fail("PUT /v1/policies/view-once", func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			time.Sleep(5 * time.Minute)
			_, _ = w.Write([]byte(`{"change":{"name":"view-once"},"plan":{}}`))
		}, clienttest.Stall)
		if _, err := s.client.SetPolicy(s.Context(), client.PolicyRequest{Name: "view-once", DryRun: true}); err != nil {
			s.Error(err)
		}
		if _, err := s.client.SetPolicy(s.Context(), client.PolicyRequest{Name: "view-once"}); !errors.Is(err, client.ErrStalled) {
			s.Error(err)
		}
	})
}

func TestPoliciesRefused(t *testing.T) {
	in(t, func(s *setting) {
		none := client.Client{Server: "http://127.0.0.1:1"}
		for name, call := range map[string]func(context.Context, *client.Client) error{
			"list": func(ctx context.Context, c *client.Client) error { _, err := c.Policies(ctx, ""); return err },
			"set": func(ctx context.Context, c *client.Client) error {
				_, err := c.SetPolicy(ctx, client.PolicyRequest{Name: "x"})
				return err
			},
			"remove": func(ctx context.Context, c *client.Client) error { _, err := c.RemovePolicy(ctx, "", "x"); return err },
			"changes": func(ctx context.Context, c *client.Client) error {
				_, err := c.PolicyChanges(ctx, "", uuid.UUID{})
				return err
			},
		} {
			if err := call(s.Context(), &none); !errors.Is(err, client.ErrNoKey) {
				s.Errorf("%s without a key: %v", name, err)
			}
		}
		s.server.Fail("GET /v1/policies", clienttest.Plain(200, `mfk_SESAME`))
		if _, err := s.client.Policies(s.Context(), ""); !errors.Is(err, client.ErrAnswer) {
			s.Error(err)
		}
	})
}
