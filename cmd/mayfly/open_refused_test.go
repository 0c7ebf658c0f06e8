package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/client/clienttest"
)

func TestOpenRefused(t *testing.T) {
	for state, want := range map[string]string{
		"opened": "this link was opened before", "expired": "this link has expired", "revoked": "the sender has taken this link back",
		"erased": "is deleted", "delivered": "this link was opened before",
	} {
		t.Run(state, func(t *testing.T) {
			on(t, func(x *exchange) {
				l := x.link([]byte("media"))
				x.server.SetState(l.ticket, state)
				if _, err := x.open(l, openCmd{Output: x.dir}); err == nil || !strings.HasPrefix(err.Error(), want) && !strings.Contains(err.Error(), want) {
					x.Errorf("got %v", err)
				}
				// The attempt reached the server, which counts it for the sender.
				if calls := x.server.Requests(); !slices.Contains(calls, post) {
					x.Errorf("calls: %v", calls)
				}
				x.files()
			})
		})
	}
	t.Run("not uploaded", func(t *testing.T) {
		on(t, func(x *exchange) {
			l := newLink(x.T, "http://localhost", "")
			l.ticket = x.server.Pending()
			if _, err := x.open(l, openCmd{Output: x.dir}); err == nil || !strings.Contains(err.Error(), "not complete yet. The link stays good") {
				x.Errorf("got %v", err)
			}
		})
	})
	t.Run("unknown", func(t *testing.T) {
		on(t, func(x *exchange) {
			l := newLink(x.T, "http://localhost", "")
			if _, err := x.open(l, openCmd{Output: x.dir}); err == nil || !strings.Contains(err.Error(), "the server does not know this link") {
				x.Errorf("got %v", err)
			}
			if strings.Contains(strings.Join(x.server.Requests(), " "), post) {
				x.Error("asked to open what is unknown")
			}
		})
	})
	t.Run("unreachable", func(t *testing.T) {
		on(t, func(x *exchange) {
			x.net.SetDown(true)
			_, err := x.open(x.link([]byte("media")), openCmd{Output: x.dir})
			if err == nil || !strings.Contains(err.Error(), "the link stays good: no answer from localhost") {
				x.Errorf("got %v", err)
			}
			x.files()
		})
	})
	t.Run("unavailable", func(t *testing.T) {
		on(t, func(x *exchange) {
			l := x.link([]byte("media"))
			x.server.Fail(post, slices.Repeat([]clienttest.Fault{clienttest.Refuse(503, "unavailable", "1")}, 10)...)
			_, err := x.open(l, openCmd{Output: x.dir})
			if err == nil || !strings.Contains(err.Error(), "The link stays good") || x.server.State(l.ticket) != "ready" {
				x.Errorf("got %v", err)
			}
		})
	})
	t.Run("no answer", func(t *testing.T) {
		on(t, func(x *exchange) {
			l := x.link([]byte("media"))
			x.server.Fail(post, slices.Repeat([]clienttest.Fault{clienttest.LoseAnswer}, 100)...)
			_, err := x.open(l, openCmd{Output: x.dir})
			if err == nil || !strings.Contains(err.Error(), "never said whether it did") || strings.Contains(err.Error(), "stays good") {
				x.Errorf("got %v", err)
			}
		})
	})
	t.Run("taken back on the way", func(t *testing.T) {
		on(t, func(x *exchange) {
			l := x.link(make([]byte, 200_000))
			x.server.Fail(post, clienttest.CutAt(100_000))
			x.server.Fail(get, clienttest.Refuse(410, "revoked", ""))
			_, err := x.open(l, openCmd{Output: x.dir})
			if err == nil || !strings.Contains(err.Error(), "the ticket is spent, and the rest did not come: Title of revoked") {
				x.Errorf("got %v", err)
			}
			x.files()
		})
	})
}

func TestOpenInterrupted(t *testing.T) {
	for name, c := range map[string]struct {
		call  string
		fault clienttest.Fault
		want  string
	}{
		"before":          {"GET /v1/ticket", clienttest.Stall, "the link stays good"},
		"while it opens":  {post, clienttest.Stall, "never said whether it did"},
		"in the transfer": {post, clienttest.StallAt(100_000), "the ticket is spent, and what could have fetched the rest ends with this command"},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(x *exchange) {
				l := x.link(make([]byte, 200_000))
				x.server.Fail(c.call, c.fault)
				ctx, cancel := context.WithCancel(x.Context())
				time.AfterFunc(10*time.Second, cancel)
				err := (&openCmd{Output: x.dir}).open(ctx, x.terminal(""), x.client, l)
				if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), c.want) {
					x.Errorf("got %v", err)
				}
				x.keepsSecrets(err.Error())
				x.files()
			})
		})
	}
}
