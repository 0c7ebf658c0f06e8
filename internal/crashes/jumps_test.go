package crashes

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"mayfly/expiry"
	"mayfly/tickets"
)

// TestJumps lets the clock jump by a month before each step of an upload, an open, a
// resume and a purge. Whatever then becomes of it: rows and bytes agree, a download was
// begun only if the clock that the spend saw was before the deadline, and nothing remains
// once the clock is right again and all is due. One combination is enough: both kinds of
// rows are told the time by the same callers, and bytes know none.
func TestJumps(t *testing.T) {
	for _, c := range combinations[:1] {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLife(t, c.site(t), false)
			for _, s := range jumping {
				for _, by := range []time.Duration{month, -month} {
					for k, steps := 0, 0; k <= steps; k++ { // at first it does not jump
						t.Run(fmt.Sprintf("%s/%v before step %d", s.name, by, k), func(t *testing.T) {
							l.again(t)
							s.before(l)
							l.process.before = func(number int) {
								if number == k {
									l.clock.move(by)
								}
							}
							l.arm(nil)
							s.run(l, by)
							made, _ := l.restart()
							steps = max(steps, len(made))
							l.check()
							l.clock.move(-by)
							l.clock.move(2 * month) // what was stored a month ahead is due too
							l.finish()
						})
					}
				}
			}
		})
	}
}

var jumping = []struct {
	name   string
	before func(*life)
	run    func(l *life, by time.Duration)
}{
	{
		"upload in one call", func(*life) {}, func(l *life, by time.Duration) {
			began := l.clock.Now()
			body := newBody()
			issued, err := l.UploadNow(l.ctx, request(body), bytes.NewReader(body))
			switch {
			case err != nil && !errors.Is(err, tickets.ErrTooLate):
				l.Errorf("upload: %v", err)
			case err == nil && issued.Blob.ExpiresAt != issued.Blob.StoredAt.Add(terms.UnopenedTTL):
				l.Errorf("stored at %v until %v", issued.Blob.StoredAt, issued.Blob.ExpiresAt)
			case err == nil && issued.Blob.StoredAt != began && issued.Blob.StoredAt != began.Add(by):
				l.Errorf("begun at %v and stored at %v", began, issued.Blob.StoredAt)
			}
		},
	},
	{
		"upload by grant", func(l *life) { l.announces() }, func(l *life, _ time.Duration) {
			if err := l.sends(l.known[0]); err != nil && !errors.Is(err, tickets.ErrTooLate) {
				l.Errorf("upload: %v", err)
			}
		},
	},
	{
		"open", func(l *life) { l.stored() }, func(l *life, by time.Duration) {
			ticket := l.known[0].tickets[0]
			err := l.opens(l.known[0], ticket, ticket.claim)
			row, b, findErr := l.db.FindTicket(l.ctx, ticket.token.ID(), ticket.token.Hash())
			l.must("find", findErr)
			switch inTime := row.OpenedAt.Before(b.ExpiresAt); {
			case err == nil && (row.State != tickets.TicketOpened || !inTime):
				l.Errorf("served: the ticket is %s at %v, its deadline %v (P4)", row.State, row.OpenedAt, b.ExpiresAt)
			case err != nil && (by < 0 || !errors.Is(err, tickets.ErrExpired)):
				l.Errorf("open: %v", err)
			case err != nil && (ticket.got || row.State != tickets.TicketReady):
				l.Errorf("refused, and %s (P3)", row.State)
			}
		},
	},
	{
		"resume", func(l *life) { l.opened() }, func(l *life, by time.Duration) {
			ticket := l.known[0].tickets[0]
			if err := l.resumes(l.known[0], ticket, ticket.claim); err != nil && (by < 0 || !errors.Is(err, tickets.ErrOpened)) {
				l.Errorf("resume: %v", err)
			}
		},
	},
	{
		"purge", func(l *life) {
			l.storedFor(day)
			l.clock.move(2 * day)
			l.stored()
		}, func(l *life, by time.Duration) {
			// What is claimed at a clock that went back was due before, by the same clock.
			if r, err := l.purge.Run(l.ctx); err != nil || by < 0 && r.Erased > 1 {
				l.Errorf("purge: %+v, %v", r, err)
			}
		},
	},
}

// TestBrake: a clock that jumps ahead makes everything due. The brake stands between:
// nothing is purged, and once the clock is right again every ticket opens.
func TestBrake(t *testing.T) {
	for _, c := range combinations {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLife(t, c.site(t), false)
			l.purge.Allowed = 3
			for range 4 {
				l.stored()
			}
			l.clock.move(month)
			for range 2 { // it does not wear off
				if r, err := l.purge.Run(l.ctx); !errors.Is(err, expiry.ErrBrake) || r.Erased > 0 {
					t.Fatalf("%+v, %v", r, err)
				}
			}
			for _, b := range l.known { // P4 all the same
				l.refused("an open", l.opens(b, &ticket{token: b.tickets[0].token}, newClaim()), tickets.ErrExpired)
			}
			l.clock.move(-month)
			l.check()
			if r, err := l.purge.Run(l.ctx); err != nil || r.Erased > 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			l.settle(l.process)
			// Number 9: so few are what any day may bring. The brake lets them pass.
			l.purge.Allowed = 4
			l.clock.move(month)
			if r, err := l.purge.Run(l.ctx); err != nil || r.Erased != 4 {
				t.Fatalf("%+v, %v", r, err)
			}
			l.clock.move(-month)
			for _, b := range l.known {
				l.closed(b)
			}
			l.check()
		})
	}
}
