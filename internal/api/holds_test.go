package api

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"mayfly/internal/openapi"
)

// holding is the body of a hold.
func holding(class string, until time.Time) with {
	return jsonBody(fmt.Sprintf(`{"class":%q,"reason":"case 7","until":%q}`, class, until.UTC().Format(time.RFC3339Nano)))
}

// A hold keeps the evidence from everything, is never made shorter, and ends by two people.
func TestHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const day = 24 * time.Hour
	alice, bob := w.moderator(), w.moderator()
	media := content(1000)
	blob, tokens := w.store(media, "")
	r := w.file(tokens[0], w.filing(blob, media))
	put, free := "PUT "+path(r, "/hold"), "DELETE "+path(r, "/hold")
	now := w.now()
	w.unchanged("no hold", func() {
		w.refused(409, "no_evidence", put, alice, holding("legal", now.Add(366*day)))
		w.refused(409, "no_evidence", "POST "+path(r, "/tickets"), alice)
		w.refused(409, "not_open", "POST "+path(r, "/claim"), alice)
	})
	w.copyDue(1)
	w.unchanged("no hold", func() {
		for _, c := range []struct{ body, fields string }{
			{fmt.Sprintf(`{"class":"legal","reason":"x","until":%q}`, now.Add(364*day).UTC().Format(time.RFC3339)), "until must be 365 days ahead at least: it is a legal hold"},
			{fmt.Sprintf(`{"class":"review","reason":"x","until":%q}`, now.Add(-time.Second).UTC().Format(time.RFC3339)), "until must be in the future"},
			{fmt.Sprintf(`{"class":"legal","reason":"x","until":%q}`, now.Add(3651*day).UTC().Format(time.RFC3339)), "until must be 3650 days ahead at the most"},
			{fmt.Sprintf(`{"class":"","reason":"x","until":%q}`, now.Add(366*day).UTC().Format(time.RFC3339)), "class is malformed"},
			{fmt.Sprintf(`{"class":"legal","reason":"","until":%q}`, now.Add(366*day).UTC().Format(time.RFC3339)), "reason must have at least 1 characters"},
			{`{"class":"legal","reason":"x","until":"next year"}`, "until is malformed"},
			{`{"class":"legal","reason":"x"}`, "until is required"},
		} {
			_, text := w.want(400, put, alice, jsonBody(c.body))
			checkFields(t, text, c.fields)
		}
		w.refused(409, "not_on_hold", free, alice)
	})

	w.want(200, put, alice, holding("review", now.Add(10*day)))
	w.want(200, put, alice, holding("review", now.Add(10*day))) // not shorter
	w.refused(409, "on_hold", put, bob, holding("review", now.Add(9*day)))
	_, b := w.want(200, put, alice, holding("legal", now.Add(366*day)))
	if h := decode[openapi.Report](w, b); h.Hold.Class != "legal" || h.Hold.By != keyUUID(w, alice) || !*h.OnHold || h.EvidenceExpiresAt.Sub(h.Hold.Until) != 0 {
		t.Errorf("%s", b)
	}
	w.unchanged("a shorter hold", func() {
		w.refused(409, "on_hold", put, alice, holding("legal", now.Add(365*day+time.Hour)))
		w.refused(409, "on_hold", put, bob, holding("review", now.Add(500*day)))
		// Nor does the reporter take it away.
		w.refused(409, "on_hold", "DELETE "+path(r, ""), r.Token)
	})
	if view := w.see(r, r.Token); !*view.OnHold || view.Hold != nil {
		t.Errorf("%+v", view)
	}
	w.claim(r, alice)
	w.decide(r, alice, "dismissed") // a week, without the hold
	w.advance(300 * day)
	w.purge()
	if keys := w.evidenceKeys(); len(keys) != 1 || !bytes.Equal(w.bytesOf(keys[0]), media) {
		t.Error("the hold did not keep the evidence")
	}

	_, b = w.want(202, free, alice)
	if h := decode[openapi.Report](w, b).Hold; h == nil || *h.FreeAskedBy != keyUUID(w, alice) {
		t.Errorf("%s", b)
	}
	w.unchanged("a second try", func() { w.refused(409, "same_person", free, alice) })
	w.refused(409, "on_hold", "DELETE "+path(r, ""), r.Token)
	w.want(204, free, bob)
	w.refused(409, "not_on_hold", free, bob)
	if view := w.see(r, alice); view.Hold != nil || *view.OnHold {
		t.Errorf("%+v", view)
	}
	w.purge()
	if n := len(w.evidenceKeys()); n != 0 {
		t.Errorf("%d copies long after the decision", n)
	}
	erased := w.see(r, r.Token)
	if erased.State != "dismissed" || erased.ErasedAt == nil || *erased.OnHold {
		t.Errorf("%+v", erased)
	}
	w.unchanged("erased evidence", func() {
		w.refused(410, "erased", "POST "+path(r, "/tickets"), alice)
		w.refused(410, "erased", "POST "+path(r, "/reopen"), bob)
		w.refused(410, "erased", put, alice, holding("legal", w.now().Add(366*day)))
	})
	w.wantActs(r.ID, "filed", "copied", "held", "held", "claimed", "dismissed", "free_asked", "freed", "erased")
	if dump := strings.Join(w.everything(), "\n"); strings.Contains(dump, reportersComment) || strings.Contains(dump, "AGE ENCRYPTED") {
		t.Error("the comment or the sealed key outlives the evidence")
	}
}

// A hold that ran out is none, whoever looks.
func TestHoldRunsOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.moderator()
	r := w.reported(content(100))
	w.want(200, "PUT "+path(r, "/hold"), alice, holding("review", w.now().Add(10*24*time.Hour)))
	list := func(query string) int {
		_, b := w.want(200, "GET /v1/reports?"+query, alice)
		return len(decode[openapi.Reports](w, b).Reports)
	}
	if list("held=true") != 1 || list("held=false") != 0 || !*w.see(r, r.Token).OnHold {
		t.Error("the hold is not shown")
	}
	w.advance(11 * 24 * time.Hour)
	view := w.see(r, alice)
	if list("held=true") != 0 || list("held=false") != 1 || view.Hold != nil || *view.OnHold || *w.see(r, r.Token).OnHold {
		t.Errorf("a hold that ran out is shown: %+v", view)
	}
	w.refused(409, "not_on_hold", "DELETE "+path(r, "/hold"), alice)
	w.want(204, "DELETE "+path(r, ""), r.Token)
}

// An escalation is a legal hold of itself, and makes none shorter.
func TestEscalation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const day = 24 * time.Hour
	alice := w.moderator()
	r, held := w.reported(content(100)), w.reported(content(100))
	w.claim(r, alice)
	if view := w.decide(r, alice, "escalated"); view.Hold == nil || view.Hold.Class != "legal" || view.Hold.Until.Sub(w.now()).Round(time.Hour) != 400*day ||
		!view.EvidenceExpiresAt.Equal(view.Hold.Until) {
		t.Errorf("%+v", view)
	}
	w.refused(409, "on_hold", "DELETE "+path(r, ""), r.Token)
	w.want(200, "PUT "+path(held, "/hold"), alice, holding("legal", w.now().Add(1000*day)))
	w.claim(held, alice)
	if view := w.decide(held, alice, "escalated"); view.Hold.Until.Sub(w.now()).Round(time.Hour) != 1000*day || view.Hold.Reason != "case 7" {
		t.Errorf("%+v", view)
	}
	w.wantActs(r.ID, "filed", "copied", "claimed", "escalated", "held")
	w.wantActs(held.ID, "filed", "copied", "held", "claimed", "escalated")
}
