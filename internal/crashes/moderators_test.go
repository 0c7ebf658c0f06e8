package crashes

import (
	"sync"

	"github.com/google/uuid"

	"mayfly/internal/keys"
	"mayfly/reports"
	"mayfly/tickets"
)

var moderatorKey = sync.OnceValue(func() keys.Key {
	key, _, err := keys.New(keys.RoleModerator, tenant, newClock().now)
	if err != nil {
		panic(err)
	}
	return key
})

// moderator is the one of a site; the key is made when it is first needed.
func (l *life) moderator() reports.Moderator {
	l.Helper()
	key := moderatorKey()
	if _, err := l.db.FindKey(l.Context(), key.ID, key.Hash); err != nil {
		l.must("make the moderator's key", l.db.CreateKey(l.Context(), key))
	}
	return reports.Moderator{Tenant: tenant, Key: key.ID}
}

// evidence is what a moderator's ticket opens.
func (r *report) evidence() *blob { return &blob{id: r.id, body: r.blob.body, evidence: true} }

// finds looks the report up in the queue.
func (l *life) finds(r *report) (found bool, err error) {
	l.Helper()
	open, err := l.desk.Reports(l.ctx, tenant, reports.Query{State: reports.StateOpen, Limit: 100})
	for _, x := range open {
		if x.Blob != r.blob.id {
			continue
		}
		if found || r.id != (uuid.UUID{}) && r.id != x.ID {
			l.Errorf("two reports of one ticket")
		}
		r.id, found = x.ID, true
	}
	return found, err
}

func (l *life) claims(r *report) error {
	_, err := l.desk.Claim(l.ctx, l.moderator(), r.id)
	r.claimed = max(r.claimed, l.after(err))
	return err
}

// pulls asks for a ticket to the evidence; nil if none is told.
func (l *life) pulls(r *report) (*ticket, error) {
	t := &ticket{claim: newClaim()}
	_, err := l.desk.Pull(l.ctx, l.moderator(), r.id, func(id uuid.UUID) reports.Hash {
		t.token = tickets.NewToken(tickets.KindTicket, id)
		return reports.Hash(t.token.Hash())
	})
	if l.after(err) != told {
		return nil, err
	}
	r.pulls = append(r.pulls, t)
	return t, nil
}

func (l *life) decides(r *report) error {
	_, err := l.desk.Decide(l.ctx, l.moderator(), r.id, reports.Verdict{Outcome: reports.StateDismissed, Note: "It is a cat."})
	r.decided = l.after(err)
	return err
}

// moderates is a moderator's work on a report, as far as it gets.
func (l *life) moderates(r *report) {
	l.Helper()
	if found, err := l.finds(r); err != nil || !found {
		return
	}
	if l.claims(r) != nil {
		return
	}
	t, err := l.pulls(r)
	if t == nil || err != nil {
		return
	}
	if l.opens(r.evidence(), t, t.claim) != nil {
		return
	}
	_ = l.decides(r)
}
