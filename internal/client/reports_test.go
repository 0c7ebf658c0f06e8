package client_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/internal/client"
	"mayfly/internal/client/clienttest"
	"mayfly/tickets"
)

const fileReport = "POST /v1/reports"

// filing takes reports as the server does: the same Idempotency-Key has the same answer.
type filing struct {
	s      *setting
	handle tickets.Token
	keys   []string
	bodies []string
}

func (s *setting) filing() *filing {
	return &filing{s: s, handle: tickets.NewToken(tickets.KindReport, uuid.New())}
}

// take is a call that happens.
func (f *filing) take(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	body, _ := io.ReadAll(r.Body)
	f.keys, f.bodies = append(f.keys, r.Header.Get("Idempotency-Key")), append(f.bodies, string(body))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"id":%q,"state":"awaiting_media","token":%q,"media_until":"2026-12-01T00:00:00Z"}`, f.handle.ID(), f.handle.Reveal())
}

// lose is one whose answer is lost.
func (f *filing) lose(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	clienttest.LoseAnswer(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.take(w, r, nil) }))
}

func aReport(ticket tickets.Token) client.NewReport {
	return client.NewReport{
		Ticket: ticket, Reason: "threat", Comment: "twice", Statement: "mayfly-1", Locale: "en", SealedKey: "sealed",
	}
}

// An answer that is lost is asked for again, with the same key, and it is the same report.
func TestReportIsFiledOnce(t *testing.T) {
	in(t, func(s *setting) {
		f := s.filing()
		ticket := s.server.Store([]byte("media"))
		s.server.Fail(fileReport, f.lose, clienttest.Refuse(503, "unavailable", "7"), f.lose, clienttest.Plain(502, "a proxy"), f.take)
		filed, err := s.client.File(s.Context(), aReport(ticket))
		if err != nil || filed.Handle.Reveal() != f.handle.Reveal() || filed.ID != f.handle.ID() || filed.State != "awaiting_media" ||
			filed.MediaUntil == nil || filed.MediaUntil.Year() != 2026 {
			s.Fatalf("%+v, %v", filed, err)
		}
		if len(f.keys) != 3 || len(f.keys[0]) < 16 || len(slices.Compact(f.keys)) != 1 || len(slices.Compact(f.bodies)) != 1 {
			s.Errorf("keys %q, bodies %q", f.keys, f.bodies)
		}
		var body, want any
		_ = json.Unmarshal([]byte(f.bodies[0]), &body)
		_ = json.Unmarshal([]byte(`{"reason":"threat","comment":"twice","sealed_key":"sealed","consent":{"granted":true,"statement":"mayfly-1","locale":"en"}}`), &want)
		if fmt.Sprint(body) != fmt.Sprint(want) {
			s.Errorf("sent %v", body)
		}
		if state := s.server.State(ticket); state != "ready" {
			s.Errorf("the ticket is %s", state)
		}
		s.keepsSecrets(filed)
		// Another report has another key.
		s.server.Fail(fileReport, f.take)
		if _, err := s.client.File(s.Context(), aReport(ticket)); err != nil || f.keys[len(f.keys)-1] == f.keys[0] {
			s.Errorf("%v, keys %q", err, f.keys)
		}
	})
}

// Once there is a handle that may be lost, it is waited for long; and if it is, that is said.
func TestReportIsUnanswered(t *testing.T) {
	for name, c := range map[string]struct {
		faults  []clienttest.Fault
		down    bool
		doubt   bool
		waits   int
		problem string
	}{
		"lost for ever":      {faults: slices.Repeat([]clienttest.Fault{clienttest.Abort}, 60), doubt: true, waits: 15},
		"failed within":      {faults: slices.Repeat([]clienttest.Fault{clienttest.Refuse(500, "internal", "")}, 60), doubt: true, waits: 15},
		"nobody is there":    {down: true, waits: 4},
		"too much to do":     {faults: slices.Repeat([]clienttest.Fault{clienttest.Refuse(429, "rate_limited", "1")}, 60), waits: 4, problem: "rate_limited"},
		"refused":            {faults: []clienttest.Fault{clienttest.Refuse(409, "already_reported", "")}, problem: "already_reported"},
		"lost, then refused": {faults: []clienttest.Fault{clienttest.Abort, clienttest.Refuse(422, "unknown_recipient", "")}, doubt: true, waits: 1, problem: "unknown_recipient"},
		"no report":          {faults: []clienttest.Fault{clienttest.Plain(201, `{}`)}, doubt: true},
		"another's handle":   {faults: []clienttest.Fault{clienttest.Plain(201, `{"id":"0193b1c2-6d2f-7b3a-8f60-51b0d3f0a9c4","state":"open","token":"`+tickets.NewToken(tickets.KindReport, uuid.New()).Reveal()+`"}`)}, doubt: true},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(s *setting) {
				s.server.Fail(fileReport, c.faults...)
				s.net.SetDown(c.down)
				_, err := s.client.File(s.Context(), aReport(s.server.Store(nil)))
				var unanswered *client.UnansweredReportError
				if err == nil || errors.As(err, &unanswered) != c.doubt || len(s.waits) < c.waits || c.waits < 10 && len(s.waits) != c.waits {
					s.Errorf("%v after %d waits", err, len(s.waits))
				}
				s.keepsSecrets(err)
				if c.problem != "" {
					if p := fails[*client.Problem](s, err); p.Code != c.problem {
						s.Errorf("got %s", p.Code)
					}
				}
			})
		})
	}
}

func TestModeration(t *testing.T) {
	in(t, func(s *setting) {
		const call = "GET /v1/moderation/recipients"
		answer := func(text, sum string) string {
			return `{"recipients":[{"id":"1","recipient":"age1x"},{"id":"2","recipient":"age1y"}],"statements":[{"id":"mayfly-1","locale":"en","text":"` +
				text + `","sha256":"` + sum + `"}],"reasons":["threat","other"]}`
		}
		sum := fmt.Sprintf("%x", sha256.Sum256([]byte("I agree.")))
		var authorization string
		s.server.Fail(call, clienttest.Abort, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			authorization = r.Header.Get("Authorization")
			io.WriteString(w, answer("I agree.", sum))
		})
		m, err := s.client.Moderation(s.Context())
		if err != nil || fmt.Sprint(m.Recipients, m.Reasons) != "[age1x age1y] [threat other]" || len(m.Statements) != 1 ||
			m.Statements[0].Text != "I agree." || m.Statements[0].Locale != "en" || authorization != "" {
			s.Errorf("%+v, %v, sent %d bytes of authorization", m, err, len(authorization))
		}
		// A statement that is not what would be on record.
		s.server.Fail(call, clienttest.Plain(200, answer("I agree to all.", sum)), clienttest.Plain(200, `{}`))
		if _, err := s.client.Moderation(s.Context()); !errors.Is(err, client.ErrAnswer) {
			s.Error(err)
		}
		if m, err := s.client.Moderation(s.Context()); err != nil || len(m.Recipients)+len(m.Statements)+len(m.Reasons) != 0 {
			s.Errorf("%+v, %v", m, err)
		}
	})
}

func TestReportable(t *testing.T) {
	in(t, func(s *setting) {
		ticket := s.server.Store([]byte("media"))
		const id = "0193b1c2-6d2f-7b3a-8f60-51b0d3f0a9c4"
		sum := sha256.Sum256([]byte("media"))
		s.server.Fail("GET /v1/ticket",
			clienttest.Plain(200, fmt.Sprintf(`{"state":"expired","blob_id":%q,"size":5,"sha256":"%x","expires_at":"2026-12-01T00:00:00Z"}`, id, sum)),
			clienttest.Plain(200, `{"state":"ready","blob_id":"`+id+`","size":5,"expires_at":"2026-12-01T00:00:00Z"}`),
			clienttest.Plain(200, `{"state":"ready","size":5,"expires_at":"2026-12-01T00:00:00Z"}`))
		what, err := s.client.Reportable(s.Context(), ticket)
		if err != nil || what.Blob.String() != id || what.Size != 5 || what.SHA256 == nil || *what.SHA256 != sum {
			s.Errorf("%+v, %v", what, err)
		}
		if what, err := s.client.Reportable(s.Context(), ticket); err != nil || what.SHA256 != nil {
			s.Errorf("%+v, %v", what, err)
		}
		if _, err := s.client.Reportable(s.Context(), ticket); !errors.Is(err, client.ErrAnswer) {
			s.Error(err)
		}
	})
}

// The handle leads to the report, and is sent as every token.
func TestReportHandle(t *testing.T) {
	in(t, func(s *setting) {
		handle := tickets.NewToken(tickets.KindReport, uuid.New())
		path := "/v1/reports/" + handle.ID().String()
		var tokens []string
		answer := func(status int, body string) clienttest.Fault {
			return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				tokens = append(tokens, r.Header.Get("Authorization"))
				w.WriteHeader(status)
				io.WriteString(w, body)
			}
		}
		s.server.Fail("GET "+path, answer(200, `{"id":"`+handle.ID().String()+`","state":"open","reason":"threat","filed_at":"2026-11-22T10:00:00Z","size":5,"on_hold":true}`),
			answer(200, `{"id":"0193b1c2-6d2f-7b3a-8f60-51b0d3f0a9c4","state":"open"}`), answer(200, `{"id":"`+handle.ID().String()+`","state":"burnt"}`))
		r, err := s.client.FiledStatus(s.Context(), handle)
		if err != nil || r.ID != handle.ID() || r.State != "open" || r.Reason != "threat" || !r.OnHold || *r.Size != 5 {
			s.Errorf("%+v, %v", r, err)
		}
		for range 2 {
			if _, err := s.client.FiledStatus(s.Context(), handle); !errors.Is(err, client.ErrAnswer) {
				s.Errorf("another report is taken: %v", err)
			}
		}
		s.server.Fail("DELETE "+path, clienttest.Abort, answer(204, ""), clienttest.Refuse(409, "on_hold", ""))
		if err := s.client.Withdraw(s.Context(), handle); err != nil {
			s.Error(err)
		}
		if p := fails[*client.Problem](s, s.client.Withdraw(s.Context(), handle)); p.Code != "on_hold" {
			s.Error(p)
		}
		if tokens = slices.Compact(tokens); len(tokens) != 1 || tokens[0] != "Bearer "+handle.Reveal() {
			s.Errorf("%d tokens", len(tokens))
		}
	})
}

func TestBringMedia(t *testing.T) {
	for name, size := range map[string]int{"none": 0, "some": 200_000} {
		t.Run(name, func(t *testing.T) {
			in(t, func(s *setting) {
				want := content(size)
				handle := tickets.NewToken(tickets.KindReport, uuid.New())
				path := "/v1/reports/" + handle.ID().String()
				stored := clienttest.Plain(200, `{"id":"`+handle.ID().String()+`","state":"open"}`)
				var got []byte
				take := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Authorization") != "Bearer "+handle.Reveal() || r.Header.Get("Content-Type") != "application/octet-stream" || r.ContentLength != int64(size) {
						s.Errorf("headers of %d bytes: %d", r.ContentLength, len(r.Header))
					}
					got, _ = io.ReadAll(r.Body)
					stored(w, r, nil)
				})
				media := client.Media{Size: int64(size), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(want)), nil }}
				// The first is not there, the second answer is lost, and then the bytes are awaited no more.
				s.server.Fail("PUT "+path+"/media", clienttest.Abort,
					func(w http.ResponseWriter, r *http.Request, _ http.Handler) { clienttest.LoseAnswer(w, r, take) },
					func(w http.ResponseWriter, r *http.Request, next http.Handler) {
						_, _ = io.Copy(io.Discard, r.Body)
						clienttest.Refuse(409, "media_not_awaited", "")(w, r, next)
					})
				s.server.Fail("GET "+path, stored)
				if r, err := s.client.BringMedia(s.Context(), handle, media); err != nil || r.State != "open" {
					s.Fatalf("%+v, %v", r, err)
				}
				s.same(got, want)
				// Who never sent all of it did not bring it.
				s.server.Fail("PUT "+path+"/media", clienttest.Refuse(422, "digest_mismatch", ""))
				if p := fails[*client.Problem](s, second(s.client.BringMedia(s.Context(), handle, media))); p.Code != "digest_mismatch" {
					s.Error(p)
				}
				media.Size++
				s.server.Fail("PUT "+path+"/media", func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
					_, _ = io.Copy(io.Discard, r.Body)
					stored(w, r, nil)
				})
				if _, err := s.client.BringMedia(s.Context(), handle, media); !errors.Is(err, client.ErrLength) {
					s.Errorf("got %v", err)
				}
			})
		})
	}
}

func second[T any](_ T, err error) error { return err }

// An interrupt ends it, and says that nobody knows.
func TestReportInterrupted(t *testing.T) {
	in(t, func(s *setting) {
		ctx, cancel := context.WithTimeoutCause(s.Context(), time.Second, errors.New("ctrl-c"))
		defer cancel()
		s.server.Fail(fileReport, clienttest.Stall)
		_, err := s.client.File(ctx, aReport(s.server.Store(nil)))
		if e := fails[*client.UnansweredReportError](s, err); !strings.Contains(e.Error(), "ctrl-c; it may be filed") {
			s.Errorf("got %v", err)
		}
	})
}
