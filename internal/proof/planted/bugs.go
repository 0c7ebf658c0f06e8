package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"mayfly/tickets"
)

// selectThenUpdate looks whether the ticket is ready, and turns it if it was: whoever
// looks in between is told the same.
type selectThenUpdate struct{ tickets.Store }

func (s selectThenUpdate) Spend(ctx context.Context, sp tickets.Spend) (bool, error) {
	t, _, err := s.FindTicket(ctx, sp.Ticket, sp.Hash)
	if err != nil || t.State != tickets.TicketReady {
		return false, err
	}
	_, err = s.Store.Spend(ctx, sp)
	return err == nil, err
}

// countAtTheEnd says yes at once, and counts the download when it is complete.
type countAtTheEnd struct{ tickets.Store }

// counted is where a request's context keeps what to count.
type counted struct{}

func (s countAtTheEnd) Spend(ctx context.Context, sp tickets.Spend) (bool, error) {
	spends := ctx.Value(counted{}).(*[]tickets.Spend)
	*spends = append(*spends, sp)
	return true, nil
}

func (s countAtTheEnd) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var spends []tickets.Spend
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), counted{}, &spends)))
		if len(spends) == 0 {
			return
		}
		_ = http.NewResponseController(w).Flush()
		for _, sp := range spends {
			_, _ = s.Store.Spend(context.WithoutCancel(r.Context()), sp) // it is a bug
		}
	})
}

// answerBeforeCommit decides once and for all within its process, answers, and commits
// a moment later. The other replica does not know yet, and a kill makes it forgotten.
type answerBeforeCommit struct {
	tickets.Store

	mu    sync.Mutex
	spent map[uuid.UUID]tickets.Spend
}

// commitAfter is what the answers are faster by.
const commitAfter = 100 * time.Millisecond

func (s *answerBeforeCommit) FindTicket(ctx context.Context, id uuid.UUID, h tickets.Hash) (tickets.Ticket, tickets.Blob, error) {
	t, b, err := s.Store.FindTicket(ctx, id, h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if sp, ok := s.spent[id]; ok && err == nil && t.State == tickets.TicketReady {
		t.State, t.Claim, t.OpenedAt = tickets.TicketOpened, sp.Claim, sp.Now
	}
	return t, b, err
}

func (s *answerBeforeCommit) Spend(ctx context.Context, sp tickets.Spend) (bool, error) {
	t, _, err := s.FindTicket(ctx, sp.Ticket, sp.Hash)
	if err != nil || t.State != tickets.TicketReady {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, lost := s.spent[sp.Ticket]; lost {
		return false, nil
	}
	if s.spent == nil {
		s.spent = make(map[uuid.UUID]tickets.Spend)
	}
	s.spent[sp.Ticket] = sp
	time.AfterFunc(commitAfter, func() { _, _ = s.Store.Spend(context.WithoutCancel(ctx), sp) })
	return true, nil
}
