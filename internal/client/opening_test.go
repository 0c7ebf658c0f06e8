package client_test

import (
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"mayfly/internal/client"
	"mayfly/internal/client/clienttest"
	"mayfly/tickets"

	"github.com/google/uuid"
)

func TestOpen(t *testing.T) {
	for _, size := range []int{0, 1, 300_000} {
		t.Run("", func(t *testing.T) {
			in(t, func(s *setting) {
				want := content(size)
				s.same(s.opens(s.server.Store(want)), want)
				s.calls(post, ack)
				if len(s.waits) != 0 {
					s.Errorf("waited %v: %v", s.waits, s.errs)
				}
			})
		})
	}
}

// The second open of a spent ticket has another claim key, and gets nothing.
func TestOpenTwice(t *testing.T) {
	in(t, func(s *setting) {
		token := s.server.Store(content(10))
		s.opens(token)
		_, err := s.client.Open(s.Context(), token)
		if p := fails[*client.Problem](s, err); p.Code != "opened" || p.Status != 410 || p.RequestID == "" {
			s.Errorf("%#v", p)
		}
		if claims := s.server.Secrets(); len(slices.Compact(slices.Sorted(slices.Values(claims)))) != 4 { // grant, ticket, two claim keys
			s.Errorf("%d secrets: each open needs a claim key of its own", len(claims))
		}
	})
}

// As long as nothing was sent, nothing is at stake, and whoever waits is told soon.
func TestUnreachable(t *testing.T) {
	in(t, func(s *setting) {
		token := s.server.Store(content(10))
		s.net.SetDown(true)
		begin := time.Now()
		_, err := s.client.Open(s.Context(), token)
		if u := fails[*client.UnreachableError](s, err); u.Host != "mayfly.test" {
			s.Errorf("%+v", u)
		}
		if uncertain := new(*client.UncertainError); errors.As(err, uncertain) {
			s.Errorf("nothing was sent, and yet: %v", err)
		}
		if took := time.Since(begin); took > 15*time.Second || s.net.Dials() != 5 {
			s.Errorf("%d tries, %v", s.net.Dials(), took)
		}
		if s.server.State(token) != "ready" {
			s.Error("spent")
		}
	})
}

// A ticket that may be spent is asked for longer than one that is not.
func TestPatienceForSpentTicket(t *testing.T) {
	for name, fault := range map[string]clienttest.Fault{
		"answers lost": clienttest.LoseAnswer, "gateway": clienttest.Plain(502, "bad gateway"),
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(s *setting) {
				s.server.Fail(post, slices.Repeat([]clienttest.Fault{fault}, 8)...)
				s.opens(s.server.Store(content(10)))
			})
		})
	}
}

// When a request went out and no answer came, nobody knows.
func TestUncertain(t *testing.T) {
	for name, faults := range map[string][]clienttest.Fault{
		"answers lost":      slices.Repeat([]clienttest.Fault{clienttest.LoseAnswer}, 100),
		"gateway":           slices.Repeat([]clienttest.Fault{clienttest.Plain(502, "")}, 100),
		"then refused":      append([]clienttest.Fault{clienttest.LoseAnswer}, slices.Repeat([]clienttest.Fault{clienttest.Refuse(503, "unavailable", "")}, 100)...),
		"not its answer":    {clienttest.Plain(200, "<h1>Welcome to our hotel</h1>")},
		"spent, but broken": slices.Repeat([]clienttest.Fault{clienttest.HappenThenRefuse(503, "unavailable")}, 100),
		"broken":            slices.Repeat([]clienttest.Fault{clienttest.HappenThenRefuse(500, "internal")}, 100),
		"then redirected":   {clienttest.LoseAnswer, clienttest.Redirect(302, "http://other.test")},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(s *setting) {
				s.server.Fail(post, faults...)
				_, err := s.client.Open(s.Context(), s.server.Store(content(10)))
				fails[*client.UncertainError](s, err)
			})
		})
	}
}

// Mayfly's own failure leaves the ticket unspent, unless it was its database's
// answer that was lost. Then the ticket is spent, and by this open.
func TestSpentByAFailure(t *testing.T) {
	in(t, func(s *setting) {
		want := content(10)
		s.server.Fail(post, slices.Repeat([]clienttest.Fault{clienttest.HappenThenRefuse(503, "unavailable")}, 7)...)
		s.same(s.opens(s.server.Store(want)), want)
	})
}

func TestLookFails(t *testing.T) {
	in(t, func(s *setting) {
		s.server.Fail(post, slices.Repeat([]clienttest.Fault{clienttest.Refuse(503, "unavailable", "")}, 100)...)
		s.server.Fail("GET /v1/ticket", clienttest.Refuse(503, "unavailable", ""))
		_, err := s.client.Open(s.Context(), s.server.Store(nil))
		fails[*client.UncertainError](s, err)
		if len(s.server.Requests()) != 6 {
			s.Errorf("%v", s.server.Requests())
		}
	})
}

func TestNotSpent(t *testing.T) {
	for name, c := range map[string]struct {
		faults []clienttest.Fault
		code   string
		tries  int
	}{
		"unavailable":          {slices.Repeat([]clienttest.Fault{clienttest.Refuse(503, "unavailable", "1")}, 100), "unavailable", 6}, // and a look
		"an hour's wait":       {[]clienttest.Fault{clienttest.Refuse(503, "unavailable", "3600")}, "unavailable", 2},
		"limited":              {slices.Repeat([]clienttest.Fault{clienttest.Refuse(429, "rate_limited", "")}, 100), "rate_limited", 5},
		"not uploaded":         {[]clienttest.Fault{clienttest.Refuse(409, "not_uploaded", "5")}, "not_uploaded", 1},
		"a race that was lost": {[]clienttest.Fault{clienttest.Stall, clienttest.Refuse(410, "opened", "")}, "opened", 2},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(s *setting) {
				token := s.server.Store(content(10))
				s.server.Fail(post, c.faults...)
				_, err := s.client.Open(s.Context(), token)
				if p := fails[*client.Problem](s, err); p.Code != c.code {
					s.Errorf("%#v", p)
				}
				if uncertain := new(*client.UncertainError); errors.As(err, uncertain) {
					s.Errorf("%v", err)
				}
				if n := len(s.server.Requests()); n != c.tries {
					s.Errorf("%d tries", n)
				}
			})
		})
	}
}

func TestRefused(t *testing.T) {
	for _, state := range []string{"opened", "expired", "revoked", "erased"} {
		t.Run(state, func(t *testing.T) {
			in(t, func(s *setting) {
				token := s.server.Store(content(10))
				s.server.SetState(token, state)
				_, err := s.client.Open(s.Context(), token)
				if p := fails[*client.Problem](s, err); p.Code != state {
					s.Errorf("%#v", p)
				}
				s.calls(post)
			})
		})
	}
	t.Run("unknown", func(t *testing.T) {
		in(t, func(s *setting) {
			_, err := s.client.Open(s.Context(), tickets.NewToken(tickets.KindTicket, uuid.New()))
			if p := fails[*client.Problem](s, err); p.Code != "unknown_ticket" {
				s.Errorf("%#v", p)
			}
		})
	})
	t.Run("not uploaded", func(t *testing.T) {
		in(t, func(s *setting) {
			_, err := s.client.Open(s.Context(), s.server.Pending())
			if p := fails[*client.Problem](s, err); p.Code != "not_uploaded" || p.RetryAfter != 5*time.Second {
				s.Errorf("%#v", p)
			}
		})
	})
	// The sender takes the blob back while it is on its way.
	t.Run("during the download", func(t *testing.T) {
		in(t, func(s *setting) {
			token := s.server.Store(content(100_000))
			s.server.Fail(post, clienttest.CutAt(5000))
			d, err := s.client.Open(s.Context(), token)
			if err != nil {
				s.Fatal(err)
			}
			s.server.SetState(token, "revoked")
			got, err := io.ReadAll(d)
			if p := fails[*client.Problem](s, err); p.Code != "revoked" || len(got) != 5000 {
				s.Errorf("%d bytes, %#v", len(got), p)
			}
		})
	})
}
