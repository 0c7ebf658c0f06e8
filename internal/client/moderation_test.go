package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/internal/client"
	"mayfly/internal/client/clienttest"
	"mayfly/tickets"
)

var reportID = uuid.MustParse("0193b1c4-1f2e-7a3b-9c4d-5e6f708192a3")

// reportAs is an answer with the fields that are given beside those that all have.
func reportAs(fields string) string {
	return `{"id":"` + reportID.String() + `","reason":"threat","filed_at":"2026-11-22T10:00:00Z"` + fields + `}`
}

// moderation are the calls about a report, each with an answer that it may have.
func (s *setting) moderation() map[string]struct {
	call, path string
	answer     clienttest.Fault
	make       func(context.Context, *client.Client) error
	// done is the report as it is once the call came through, refusal what a repetition then gets.
	done, refusal string
} {
	me := s.client.Key.ID().String()
	open, hold := reportAs(`,"state":"open"`), reportAs(`,"state":"open","hold":{"class":"legal","free_asked_by":"`+me+`"}`)
	type act = struct {
		call, path string
		answer     clienttest.Fault
		make       func(context.Context, *client.Client) error
		done       string
		refusal    string
	}
	return map[string]act{
		"claim": {"POST", "/claim", clienttest.Plain(200, open), func(ctx context.Context, c *client.Client) error {
			return second(c.ClaimReport(ctx, reportID))
		}, "", ""},
		"release": {"POST", "/release", clienttest.Plain(204, ""), func(ctx context.Context, c *client.Client) error {
			return c.ReleaseReport(ctx, reportID)
		}, open, "not_claimed"},
		"decide": {"POST", "/decision", clienttest.Plain(200, open), func(ctx context.Context, c *client.Client) error {
			return second(c.DecideReport(ctx, reportID, client.Decision{Outcome: "upheld", Policy: "4.2", Note: "n"}))
		}, reportAs(`,"state":"upheld","decided_by":"` + me + `","policy":"4.2","note":"n"`), "not_open"},
		"reopen": {"POST", "/reopen", clienttest.Plain(200, open), func(ctx context.Context, c *client.Client) error {
			return second(c.ReopenReport(ctx, reportID))
		}, reportAs(`,"state":"open","reopened_by":"` + me + `"`), "not_decided"},
		"hold": {"PUT", "/hold", clienttest.Plain(200, hold), func(ctx context.Context, c *client.Client) error {
			return second(c.HoldReport(ctx, reportID, client.NewHold{Class: "legal", Reason: "r", Until: time.Date(2027, 12, 1, 0, 0, 0, 0, time.UTC)}))
		}, "", ""},
		"ask to free": {"DELETE", "/hold", clienttest.Plain(202, hold), func(ctx context.Context, c *client.Client) error {
			r, freed, err := c.FreeReport(ctx, reportID)
			if err == nil && (freed || r.Hold == nil) {
				return errors.New("freed by one")
			}
			return err
		}, hold, "same_person"},
		"free": {"DELETE", "/hold", clienttest.Plain(204, ""), func(ctx context.Context, c *client.Client) error {
			_, freed, err := c.FreeReport(ctx, reportID)
			if err == nil && !freed {
				return errors.New("not freed")
			}
			return err
		}, open, "not_on_hold"},
	}
}

func TestModerationCalls(t *testing.T) {
	in(t, func(s *setting) {
		bodies := map[string]string{
			"decide": `{"outcome":"upheld","policy":"4.2","note":"n"}`,
			"hold":   `{"class":"legal","reason":"r","until":"2027-12-01T00:00:00Z"}`,
		}
		for name, a := range s.moderation() {
			call := a.call + " /v1/reports/" + reportID.String() + a.path
			var body []byte
			s.server.Fail(call, clienttest.Refuse(503, "unavailable", ""), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				body, _ = io.ReadAll(r.Body)
				if r.Header.Get("Authorization") != "Bearer "+s.client.Key.Reveal() {
					s.Errorf("%s goes without the key", name)
				}
				a.answer(w, r, next)
			})
			if err := a.make(s.Context(), s.client); err != nil {
				s.Errorf("%s: %v", name, err)
			}
			var got, want any
			_ = json.Unmarshal(body, &got)
			_ = json.Unmarshal([]byte(bodies[name]), &want)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				s.Errorf("%s sent %s", name, body)
			}
			s.server.Fail(call, clienttest.Refuse(409, "claimed", ""))
			if p := fails[*client.Problem](s, a.make(s.Context(), s.client)); p.Code != "claimed" {
				s.Errorf("%s: %v", name, p)
			}
			s.server.Fail(call, clienttest.Plain(200, `{"id":"0193b1c4-1f2e-7a3b-9c4d-5e6f70819299","state":"open"}`))
			if err := a.make(s.Context(), s.client); !errors.Is(err, client.ErrAnswer) {
				s.Errorf("%s takes another report: %v", name, err)
			}
			if err := a.make(s.Context(), &client.Client{Server: "http://127.0.0.1:1"}); !errors.Is(err, client.ErrNoKey) {
				s.Errorf("%s without a key: %v", name, err)
			}
		}
	})
}

// A repetition that is refused, because the try before it came through, is no failure; what
// somebody else has done meanwhile is one.
func TestModerationAnswersAreLost(t *testing.T) {
	in(t, func(s *setting) {
		look := "GET /v1/reports/" + reportID.String()
		for name, a := range s.moderation() {
			call := a.call + " /v1/reports/" + reportID.String() + a.path
			if a.done == "" {
				s.server.Fail(call, clienttest.Abort, a.answer)
				if err := a.make(s.Context(), s.client); err != nil {
					s.Errorf("%s: %v", name, err)
				}
				continue
			}
			s.server.Fail(call, clienttest.Abort, clienttest.Refuse(409, a.refusal, ""))
			s.server.Fail(look, clienttest.Plain(200, a.done))
			if err := a.make(s.Context(), s.client); err != nil {
				s.Errorf("%s: %v", name, err)
			}
			// The same with another moderator's doing.
			other := strings.ReplaceAll(a.done, s.client.Key.ID().String(), uuid.NewString())
			if name == "release" {
				other = reportAs(`,"state":"claimed","claimed_by":"` + s.client.Key.ID().String() + `"`)
			} else if name == "free" {
				other = reportAs(`,"state":"open","hold":{"class":"legal"}`)
			}
			s.server.Fail(call, clienttest.Abort, clienttest.Refuse(409, a.refusal, ""))
			s.server.Fail(look, clienttest.Plain(200, other))
			if p := fails[*client.Problem](s, a.make(s.Context(), s.client)); p.Code != a.refusal {
				s.Errorf("%s: %v", name, p)
			}
			// Without a lost answer nobody looks.
			s.server.Fail(call, clienttest.Refuse(409, a.refusal, ""))
			s.server.Fail(look, clienttest.Plain(200, a.done))
			if p := fails[*client.Problem](s, a.make(s.Context(), s.client)); p.Code != a.refusal {
				s.Errorf("%s: %v", name, p)
			}
			if r, err := s.client.Report(s.Context(), reportID); err != nil || r.ID != reportID { // the look is left over
				s.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestReports(t *testing.T) {
	in(t, func(s *setting) {
		var query string
		next := uuid.New()
		s.server.Fail("GET /v1/reports", func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			query = r.URL.Query().Encode()
			fmt.Fprintf(w, `{"reports":[%s],"next":%q}`, reportAs(`,"state":"claimed"`), next)
		})
		after := uuid.New()
		page, err := s.client.Reports(s.Context(), client.ReportQuery{State: "claimed", Reason: "threat", Held: new(false), After: &after})
		if err != nil || len(page.Reports) != 1 || page.Reports[0].ID != reportID || page.Next == nil || *page.Next != next {
			s.Errorf("%+v, %v", page, err)
		}
		if query != "cursor="+after.String()+"&held=false&reason=threat&state=claimed" {
			s.Errorf("asked for %s", query)
		}
		for name, body := range map[string]string{
			"no end": `{"reports":[],"next":"` + next.String() + `"}`, "no state": `{"reports":[{}]}`, "the same page": `{"reports":[` + reportAs(`,"state":"open"`) + `],"next":"` + after.String() + `"}`,
		} {
			s.server.Fail("GET /v1/reports", clienttest.Plain(200, body))
			if _, err := s.client.Reports(s.Context(), client.ReportQuery{After: &after}); !errors.Is(err, client.ErrAnswer) {
				s.Errorf("%s: %v", name, err)
			}
		}
		s.server.Fail("GET /v1/reports", clienttest.Plain(200, `{"reports":[]}`))
		if page, err := s.client.Reports(s.Context(), client.ReportQuery{}); err != nil || len(page.Reports) != 0 || page.Next != nil {
			s.Errorf("%+v, %v", page, err)
		}
	})
}

func TestPullReport(t *testing.T) {
	in(t, func(s *setting) {
		call := "POST /v1/reports/" + reportID.String() + "/tickets"
		ticket := s.server.Store([]byte("evidence"))
		answer := func(token, sum string) clienttest.Fault {
			return clienttest.Plain(201, fmt.Sprintf(`{"id":%q,"token":%q,"expires_at":"2026-11-22T10:45:00Z","sealed_key":"sealed","blob_id":%q,"size":8,"sha256":%q,"key_commitment":"c"}`,
				ticket.ID(), token, reportID, sum))
		}
		sum := strings.Repeat("0a", 32)
		s.server.Fail(call, clienttest.Abort, answer(ticket.Reveal(), sum))
		e, err := s.client.PullReport(s.Context(), reportID)
		if err != nil || e.Ticket.Reveal() != ticket.Reveal() || e.TicketID != ticket.ID() || e.SealedKey != "sealed" || e.Blob != reportID || e.Size != 8 ||
			e.SHA256.String() != sum || e.KeyCommitment != "c" {
			s.Errorf("%v", err)
		}
		s.keepsSecrets(e)
		if text := fmt.Sprintf("%+v %#v %d", e, e, e); strings.Contains(text, "sealed") {
			s.Errorf("prints %s", text)
		}
		s.same(s.opens(e.Ticket), []byte("evidence"))
		s.server.Fail(call, answer(tickets.NewToken(tickets.KindGrant, uuid.New()).Reveal(), sum), answer(ticket.Reveal(), "x"))
		for range 2 {
			if _, err := s.client.PullReport(s.Context(), reportID); !errors.Is(err, client.ErrAnswer) {
				s.Errorf("got %v", err)
			}
		}
		none := client.Client{Server: "http://127.0.0.1:1"}
		for _, err := range []error{
			second(none.PullReport(s.Context(), reportID)), second(none.Report(s.Context(), reportID)),
			second(none.Reports(s.Context(), client.ReportQuery{})), second(none.Audit(s.Context(), "", 0)),
		} {
			if !errors.Is(err, client.ErrNoKey) {
				s.Errorf("without a key: %v", err)
			}
		}
	})
}

func TestAudit(t *testing.T) {
	in(t, func(s *setting) {
		zeros := strings.Repeat("00", 32)
		page := func(number int, head string) string {
			return fmt.Sprintf(`{"entries":[{"number":%d,"at":"2026-11-22T10:00:00.123456Z","act":"filed","actor":"reporter","report_id":%q,"previous":%q,"hash":%[3]q}],"head":%s}`,
				number, reportID, zeros, head)
		}
		head := `{"tenant":"acme","number":9,"hash":"` + zeros + `"}`
		var query string
		s.server.Fail("GET /v1/audit", clienttest.Abort, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			query = r.URL.Query().Encode()
			io.WriteString(w, page(8, head))
		})
		got, err := s.client.Audit(s.Context(), "acme", 7)
		if err != nil || len(got.Entries) != 1 || got.Head.Number != 9 || got.Head.Tenant != "acme" || query != "after=7&tenant=acme" {
			s.Fatalf("%+v, %v, asked for %s", got, err, query)
		}
		if e := got.Entries[0]; e.Number != 8 || e.At.Nanosecond() != 123456000 || e.Act != "filed" || e.Actor != "reporter" || e.Report != reportID || e.Subject != nil || e.Digest != nil {
			s.Errorf("%+v", e)
		}
		for name, body := range map[string]string{
			"a page that was there": page(7, head), "no head": page(8, `{}`), "no hash": page(8, `{"tenant":"acme","number":9,"hash":"0"}`), "nothing": `{}`,
		} {
			s.server.Fail("GET /v1/audit", clienttest.Plain(200, body))
			if _, err := s.client.Audit(s.Context(), "", 7); !errors.Is(err, client.ErrAnswer) {
				s.Errorf("%s: %v", name, err)
			}
		}
	})
}
