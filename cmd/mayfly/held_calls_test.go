package main

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/internal/faultproxy"
)

// held are calls of a replica to its bucket that wait, so that the replica can be
// killed where it is; then they are dropped, and the server never hears of them.
type held struct {
	begun   chan struct{} // closed at the first of them
	dropped chan struct{}
	first   sync.Once
	drops   sync.Once
	n       atomic.Int64
}

func holdCalls(t *testing.T, p *faultproxy.Proxy, which func(faultproxy.Call) bool) *held {
	h := &held{begun: make(chan struct{}), dropped: make(chan struct{})}
	p.Fail(func(c faultproxy.Call) faultproxy.Fault {
		if !which(c) {
			return faultproxy.Pass
		}
		h.n.Add(1)
		h.first.Do(func() { close(h.begun) })
		<-h.dropped
		return faultproxy.ResetBefore
	})
	t.Cleanup(h.drop) // before the proxy ends, which waits for its calls
	return h
}

// await returns when the replica is where it is to be killed.
func (h *held) await(t *testing.T, s *server) {
	t.Helper()
	select {
	case <-h.begun:
	case <-s.logged:
		t.Fatalf("the server has ended\n%s", s.log)
	case <-time.After(time.Minute):
		t.Fatalf("the call does not come\n%s", s.log)
	}
}

func (h *held) drop() { h.drops.Do(func() { close(h.dropped) }) }

func (h *held) calls() int64 { return h.n.Load() }
