package api

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"mayfly/internal/keys"
	"mayfly/internal/openapi"
	"mayfly/tickets"
)

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

type moderatorCall struct {
	call    string
	options []with
}

// moderatorCalls are all that a moderator can do with one report.
func moderatorCalls(report string) []moderatorCall {
	until := time.Now().Add(400 * 24 * time.Hour).UTC().Format(time.RFC3339)
	return []moderatorCall{
		{"GET " + report, nil},
		{"POST " + report + "/claim", nil},
		{"POST " + report + "/release", nil},
		{"POST " + report + "/decision", []with{jsonBody(`{"outcome":"upheld"}`)}},
		{"POST " + report + "/reopen", nil},
		{"PUT " + report + "/hold", []with{jsonBody(`{"class":"legal","reason":"x","until":"` + until + `"}`)}},
		{"DELETE " + report + "/hold", nil},
		{"POST " + report + "/tickets", nil},
	}
}

// Each key does what it is for, in its own tenant, and nothing else. Nobody learns by it
// what there is.
func TestWhoMayModerate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	media := content(100)
	blob, tokens := w.store(media, "recipient=a&recipient=b")
	created := w.file(tokens[0], w.filing(blob, media))
	w.copyDue(1)
	other := w.reported(content(100))
	alice, stranger := w.moderator(), w.newKey(keys.RoleModerator, "others")
	operator := w.newKey(keys.RoleOps, keys.EveryTenant)
	pulled := func() openapi.EvidenceTicket { w.claim(created, alice); return w.pull(created, alice) }()

	w.unchanged("a call by somebody else", func() {
		for _, c := range moderatorCalls("/v1/reports/" + created.ID.String()) {
			w.refused(404, "unknown_report", c.call, stranger, c.options...)
			w.refused(401, "token_required", c.call, "", c.options...)
			for _, key := range []string{w.key, w.ops, operator} {
				w.refused(403, "forbidden", c.call, key, c.options...)
			}
			for _, token := range []string{tokens[0], pulled.Token, mistyped(alice)} {
				w.refused(401, "malformed_token", c.call, token, c.options...)
			}
			if c.call != "GET "+path(created, "") {
				w.refused(401, "malformed_token", c.call, created.Token, c.options...)
			}
		}
		for _, c := range moderatorCalls("/v1/reports/0193b1c4-1f2e-7a3b-9c4d-5e6f708192a3") {
			w.refused(404, "unknown_report", c.call, alice, c.options...)
		}
		for _, c := range moderatorCalls("/v1/reports/nonsense") {
			w.refused(400, "invalid_request", c.call, alice, c.options...)
		}
		for _, key := range []string{w.key, w.ops, operator} {
			w.refused(403, "forbidden", "GET /v1/reports", key)
		}
		if _, b := w.want(200, "GET /v1/reports", stranger); len(decode[openapi.Reports](w, b).Reports) != 0 {
			t.Errorf("another tenant's queue: %s", b)
		}

		// A moderator is no backend and no operator.
		for call, options := range map[string][]with{
			"POST /v1/blobs":                      {jsonBody(`{"size":1}`)},
			"GET /v1/blobs/" + blob:               nil,
			"DELETE /v1/blobs/" + blob:            nil,
			"GET /v1/policies":                    nil,
			"POST /v1/purge":                      nil,
			"PUT /v1/policies/evidence":           {jsonBody(`{"unopened_ttl":60}`)},
			"POST /v1/blobs/" + blob + "/tickets": {jsonBody(`{"recipients":["x"]}`)},
			"DELETE /v1/blobs/" + blob + "/tickets/" + w.status(blob).Tickets[0].ID.String(): nil,
		} {
			w.refused(403, "forbidden", call, alice, options...)
		}

		// Evidence is no blob of the backend's.
		evidence := "/v1/blobs/" + created.ID.String()
		w.refused(404, "unknown_blob", "GET "+evidence, w.key)
		w.refused(404, "unknown_blob", "DELETE "+evidence, w.key)
		w.refused(404, "unknown_blob", "POST "+evidence+"/tickets", w.key, jsonBody(`{"recipients":["x"]}`))
		w.refused(404, "unknown_blob", "DELETE "+evidence+"/tickets/"+pulled.ID.String(), w.key)

		// A handle is for its report.
		for _, handle := range []string{other.Token, tickets.NewToken(tickets.KindReport, created.ID).Reveal(), tickets.NewToken(tickets.KindReport, [16]byte{1}).Reveal()} {
			w.refused(404, "unknown_report", "GET "+path(created, ""), handle)
			w.refused(404, "unknown_report", "DELETE "+path(created, ""), handle)
			w.refused(404, "unknown_report", "PUT "+path(created, "/media"), handle, bytesBody(media))
		}
		w.refused(401, "malformed_token", "GET "+path(created, ""), mistyped(created.Token))
		w.refused(401, "malformed_token", "DELETE "+path(created, ""), alice)
		w.refused(401, "malformed_token", "PUT "+path(created, "/media"), alice, bytesBody(media))
		for _, call := range []string{"GET /v1/reports?token=" + alice, "GET " + path(created, "?token=") + created.Token, "POST /v1/reports?ticket=" + tokens[1]} {
			w.refused(400, "invalid_request", call, alice)
		}
	})
	p, _ := w.refused(403, "forbidden", "GET /v1/audit", w.key)
	if *p.Detail != "The call needs a key with the role ops or moderator." {
		t.Error(*p.Detail)
	}
	w.want(200, "POST /v1/download", pulled.Token)
}

// One moderator has a report at a time, and decides it once.
func TestClaimAndDecide(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.moderator(), w.moderator()
	r := w.reported(content(100))
	upheld := jsonBody(`{"outcome":"upheld"}`)
	decide := "POST " + path(r, "/decision")

	w.unchanged("what needs a claim", func() {
		w.refused(409, "not_claimed", decide, alice, upheld)
		w.refused(409, "not_claimed", "POST "+path(r, "/release"), alice)
		w.refused(409, "not_decided", "POST "+path(r, "/reopen"), alice)
	})
	claimed := w.claim(r, alice)
	if claimed.State != "claimed" || *claimed.ClaimedBy != keyUUID(w, alice) || claimed.ClaimedUntil.Sub(w.now()).Round(time.Minute) != 30*time.Minute {
		t.Errorf("%+v", claimed)
	}
	w.unchanged("another's claim", func() {
		w.refused(409, "claimed", "POST "+path(r, "/claim"), bob)
		w.refused(409, "claimed", "POST "+path(r, "/release"), bob)
		w.refused(409, "claimed", decide, bob, upheld)
		w.refused(409, "claimed", "POST "+path(r, "/tickets"), bob)
	})
	// Claimed again it lasts longer; given back it is anybody's.
	w.advance(20 * time.Minute)
	if again := w.claim(r, alice); !again.ClaimedUntil.After(claimed.ClaimedUntil.Add(19 * time.Minute)) {
		t.Errorf("%v, then %v", claimed.ClaimedUntil, again.ClaimedUntil)
	}
	w.want(204, "POST "+path(r, "/release"), alice)
	w.claim(r, bob)
	w.advance(29 * time.Minute)
	w.refused(409, "claimed", decide, alice, upheld)
	w.advance(2 * time.Minute) // bob's claim has run out
	if view := w.see(r, alice); view.State != "open" || view.ClaimedBy != nil || view.ClaimedUntil != nil {
		t.Errorf("a claim that ran out is shown: %+v", view)
	}
	w.refused(409, "not_claimed", decide, bob, upheld)
	w.claim(r, alice)
	w.refused(409, "claimed", decide, bob, upheld)

	w.unchanged("no decision", func() {
		for body, fields := range map[string]string{
			`{}`:                      "outcome is required",
			`{"outcome":"open"}`:      "outcome is malformed",
			`{"outcome":"withdrawn"}`: "outcome is malformed",
			`{"outcome":"upheld","note":"` + strings.Repeat("x", 4001) + `"}`:  "note is longer than 4000 characters",
			`{"outcome":"upheld","policy":"` + strings.Repeat("x", 257) + `"}`: "policy is longer than 256 characters",
			`{"outcome":"upheld","note":"\u0000"}`:                             "note is not UTF-8 text without NUL",
		} {
			_, text := w.want(400, decide, alice, jsonBody(body))
			checkFields(t, text, fields)
		}
	})
	decided := w.decide(r, alice, "upheld")
	if decided.State != "upheld" || *decided.DecidedBy != keyUUID(w, alice) || *decided.Policy != "terms:4" || decided.ClaimedBy != nil ||
		decided.EvidenceExpiresAt.Sub(w.now()).Round(time.Hour) != 200*24*time.Hour {
		t.Errorf("%+v", decided)
	}
	w.unchanged("a decided report", func() {
		w.refused(409, "not_open", decide, alice, upheld)
		w.refused(409, "not_open", decide, bob, upheld)
		w.refused(409, "not_open", "POST "+path(r, "/claim"), bob)
		w.refused(409, "same_person", "POST "+path(r, "/reopen"), alice)
	})
	if view := w.see(r, r.Token); view.State != "upheld" || view.DecidedAt == nil || view.DecidedBy != nil || view.Note != nil {
		t.Errorf("the reporter is told %+v", view)
	}
	_, b := w.want(200, "POST "+path(r, "/reopen"), bob)
	if reopened := decode[openapi.Report](w, b); reopened.State != "open" || *reopened.ReopenedBy != keyUUID(w, bob) {
		t.Errorf("%s", b)
	}
	w.refused(409, "same_person", "POST "+path(r, "/claim"), alice)
	w.refused(409, "not_claimed", decide, alice, upheld)
	w.claim(r, bob)
	w.decide(r, bob, "dismissed")
	w.wantActs(r.ID, "filed", "copied", "claimed", "claimed", "released", "claimed", "claimed", "upheld", "reopened", "claimed", "dismissed")
}
