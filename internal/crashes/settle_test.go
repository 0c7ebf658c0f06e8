package crashes

import (
	"errors"

	"mayfly/tickets"
)

// settle lets every client go on, at a server that has no faults, as it would after a
// crash: what it was told must be so, and what it was not told can be had now.
func (l *life) settle(before *process) {
	l.Helper()
	for _, b := range l.known {
		if b.unsent != unasked {
			l.settleUnsent(b)
			continue
		}
		l.settleUpload(b)
		for _, t := range b.tickets {
			l.settleTicket(before, b, t)
		}
	}
	l.settleReports()
}

// must fails the test if the call of a client failed that had to succeed.
func (l *life) must(what string, err error) {
	l.Helper()
	if err != nil {
		l.Errorf("%s: %v", what, err)
	}
}

// refused fails the test unless the call was refused with one of these errors.
func (l *life) refused(what string, err error, with ...error) {
	l.Helper()
	for _, e := range with {
		if errors.Is(err, e) {
			return
		}
	}
	l.Errorf("%s: %v, want one of %v", what, err, with)
}

// settleUpload: whoever has the grant brings the upload to its end.
func (l *life) settleUpload(b *blob) {
	l.Helper()
	if b.grant.IsZero() {
		return // of an upload in one call the sender knows only if it was told
	}
	was := b.stored
	if b.direct != nil && was != told {
		l.brings(b)
	}
	err := l.sends(b)
	if was == told || err != nil {
		// P1: also if only the answer was lost, no second upload takes its place.
		l.refused("an upload again", err, tickets.ErrAlreadyStored)
	}
	b.stored = told
}

// settleTicket: a ticket that was served is spent; one that was not can still be
// opened, or was opened for its own claim key (P2, P3).
func (l *life) settleTicket(before *process, b *blob, t *ticket) {
	l.Helper()
	row, _, err := l.Peek(l.ctx, t.token)
	l.must("look at a ticket (P1)", err)
	spent := row.State != tickets.TicketReady
	switch {
	case t.got && !spent:
		l.Errorf("a ticket that was served is %s (P2)", row.State)
	case t.opened == unasked && spent:
		l.Errorf("a ticket that nobody opened is %s (P3)", row.State)
	case !t.got && spent && !before.did("Spend"):
		l.Errorf("a ticket is %s without a spend (P3)", row.State)
	}
	thief := newClaim()
	l.refused("a stranger's resume", l.resumes(b, t, thief), tickets.ErrOpened, tickets.ErrNotOpened)
	if spent {
		l.refused("a stranger's open (P2)", l.opens(b, &ticket{token: t.token}, thief), tickets.ErrOpened)
	}
	switch {
	case t.delivered == unsure:
		l.must("acknowledge again", l.acknowledges(t))
		fallthrough
	case t.delivered == told:
		l.refused("an open of what was delivered", l.opens(b, t, t.claim), tickets.ErrOpened)
		l.refused("a resume of what was delivered", l.resumes(b, t, t.claim), tickets.ErrOpened)
	case t.claim.IsZero() && spent:
		l.refused("a second open without a claim key (P2)", l.opens(b, t, t.claim), tickets.ErrOpened)
	default:
		l.must("an open (P1, P3)", l.opens(b, t, t.claim))
		if !t.claim.IsZero() {
			l.must("a resume (P3)", l.resumes(b, t, t.claim))
		}
	}
	l.refused("a stranger's open, in the end (P2)", l.opens(b, &ticket{token: t.token}, thief), tickets.ErrOpened)
}

// settleUnsent: what was unsent gives out nothing any more.
func (l *life) settleUnsent(b *blob) {
	l.Helper()
	if b.unsent == unsure {
		l.must("unsend again", l.unsends(b))
	}
	l.closed(b)
}

// closed: no ticket of the blob gives out a byte, nor is that said to be our fault.
func (l *life) closed(b *blob) {
	l.Helper()
	for _, t := range b.tickets {
		over := []error{tickets.ErrExpired, tickets.ErrRevoked, tickets.ErrErased, tickets.ErrOpened, tickets.ErrUnknownTicket}
		l.refused("an open of what is over (P4)", l.opens(b, &ticket{token: t.token}, t.claim), over...)
		l.refused("a resume of what is over (P4)", l.resumes(b, &ticket{token: t.token}, t.claim), over...)
	}
}
