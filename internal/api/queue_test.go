package api

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"mayfly/internal/keys"
	"mayfly/internal/openapi"
)

// page is a part of the queue.
func (w *world) queue(key, query string) openapi.Reports {
	w.Helper()
	_, b := w.want(200, "GET /v1/reports"+query, key)
	return decode[openapi.Reports](w, b)
}

// The queue is oldest first, whole over any number of pages, and by what it is asked for.
func TestQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.moderator(), w.moderator()
	var all []uuid.UUID
	byState, byReason := map[string][]uuid.UUID{}, map[string][]uuid.UUID{}
	var held []uuid.UUID
	for i, state := range []string{"copying", "open", "claimed", "dismissed", "upheld", "escalated", "withdrawn", "awaiting_media", "open", "claimed", "open"} {
		media := content(100 + i)
		reason := []string{"threat", "fraud"}[i%2]
		blob, tokens := w.store(media, "")
		if state == "awaiting_media" {
			w.want(204, "DELETE /v1/blobs/"+blob, w.key)
			w.purge()
		}
		r := w.file(tokens[0], w.filing(blob, media).with("reason", reason))
		all = append(all, r.ID)
		byState[state] = append(byState[state], r.ID)
		byReason[reason] = append(byReason[reason], r.ID)
		if state == "copying" {
			// Its turn does not come until the others are filed.
			w.sql(`UPDATE reports SET retry_at = retry_at + 3600000000 WHERE id = ?`, r.ID[:])
			continue
		}
		if state == "awaiting_media" {
			continue
		}
		w.copyDue(1)
		switch state {
		case "claimed":
			w.claim(r, bob)
		case "dismissed", "upheld", "escalated":
			w.claim(r, alice)
			w.decide(r, alice, state)
		case "withdrawn":
			w.want(204, "DELETE "+path(r, ""), r.Token)
		}
		if state == "escalated" {
			held = append(held, r.ID)
		}
	}
	ids := func(rs openapi.Reports) (ids []uuid.UUID) {
		for _, r := range rs.Reports {
			ids = append(ids, r.ID)
		}
		return ids
	}
	check := func(query string, want []uuid.UUID) {
		t.Helper()
		if page := w.queue(alice, query); !slices.Equal(ids(page), want) || page.Next != nil {
			t.Errorf("%s: %v, want %v", query, ids(page), want)
		}
	}
	check("", all)
	for state, want := range byState {
		check("?state="+state, want)
		for _, r := range w.queue(alice, "?state="+state).Reports {
			if string(r.State) != state {
				t.Errorf("%s among %s", r.State, state)
			}
		}
	}
	check("?state=lapsed", nil)
	for reason, want := range byReason {
		check("?reason="+reason, want)
	}
	check("?reason=harassment", nil)
	check("?held=true", held)
	check("?held=false", slices.DeleteFunc(slices.Clone(all), func(id uuid.UUID) bool { return slices.Contains(held, id) }))
	check("?state=open&reason=threat&held=false&limit=100", []uuid.UUID{all[8], all[10]})
	check("?cursor="+all[8].String(), all[9:])
	check("?cursor="+all[10].String(), nil)

	for limit := 1; limit <= len(all)+1; limit++ {
		var walked []uuid.UUID
		pages, query := 0, fmt.Sprintf("?limit=%d", limit)
		for {
			page := w.queue(alice, query)
			pages++
			if len(page.Reports) > limit {
				t.Errorf("%d reports on a page of %d", len(page.Reports), limit)
			}
			walked = append(walked, ids(page)...)
			if page.Next == nil {
				break
			}
			query = fmt.Sprintf("?limit=%d&cursor=%s", limit, page.Next)
		}
		if !slices.Equal(walked, all) || pages != (len(all)+limit-1)/limit {
			t.Errorf("limit %d: %d reports on %d pages", limit, len(walked), pages)
		}
	}

	for query, fields := range map[string]string{
		"?limit=0":                      "query limit must be at least 1",
		"?limit=101":                    "query limit must be at most 100",
		"?limit=ten":                    "query limit must be a whole number",
		"?state=closed":                 "query state is malformed",
		"?state=open&state=claimed":     "query state is given more than once",
		"?held=maybe":                   "query held must be true or false",
		"?reason=Threat":                "query reason must match ^[a-z][a-z0-9_-]*$",
		"?cursor=1":                     "cursor is malformed",
		"?page=2":                       "query page is not a parameter of this call",
		"?reporter=" + all[0].String():  "query reporter is not a parameter of this call",
		"?limit=0&held=&state=&reason=": "query held is malformed; query limit must be at least 1; query reason must match ^[a-z][a-z0-9_-]*$; query state is malformed",
	} {
		_, text := w.want(400, "GET /v1/reports"+query, alice)
		checkFields(t, text, fields)
	}
	if other := w.queue(w.newKey(keys.RoleModerator, "others"), ""); len(other.Reports) != 0 {
		t.Errorf("another tenant's queue: %+v", other)
	}
}

// Of two moderators who claim the same report one has it, each time.
func TestRacingClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	moderators := []string{w.moderator(), w.moderator()}
	r := w.reported(content(100))
	client := &http.Client{Transport: &contract{t: t, next: &http.Transport{MaxIdleConnsPerHost: 8}}}
	const rounds, each = 25, 4
	for round := range rounds {
		var won [2]atomic.Int64
		var lost atomic.Int64
		var group sync.WaitGroup
		begin := make(chan struct{})
		for i := range 2 * each {
			request := w.request("POST "+path(r, "/claim"), moderators[i%2])
			group.Go(func() {
				<-begin
				resp, err := client.Do(request)
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				switch resp.StatusCode {
				case 200:
					won[i%2].Add(1)
				case 409:
					lost.Add(1)
				default:
					t.Errorf("%d", resp.StatusCode)
				}
			})
		}
		close(begin)
		group.Wait()
		a, b := won[0].Load(), won[1].Load()
		if a+b != each || a*b != 0 || lost.Load() != each {
			t.Fatalf("round %d: %d and %d claims, %d refused", round, a, b, lost.Load())
		}
		winner := 0
		if b > 0 {
			winner = 1
		}
		if view := w.see(r, moderators[0]); *view.ClaimedBy != keyUUID(w, moderators[winner]) {
			t.Fatalf("round %d: it is somebody else's", round)
		}
		w.want(204, "POST "+path(r, "/release"), moderators[winner])
	}
}
