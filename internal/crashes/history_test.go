package crashes

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"mayfly/tickets"
)

// TestReplicas lets chance choose what happens at two replicas whose clocks are a minute
// apart, with deadlines so short that most of it happens about them. TestMovingClock does
// so at one whose clock jumps by a month. Each thing must happen exactly as the clock of
// the replica that does it has it, and nothing that another has promised gets shorter.
func TestReplicas(t *testing.T) {
	histories(t, []time.Duration{0, minute}, func(h *history) {
		h.forward(time.Duration(h.rand.ExpFloat64() * float64(40*time.Second)))
	})
}

func TestMovingClock(t *testing.T) {
	histories(t, []time.Duration{0}, func(h *history) {
		switch h.rand.IntN(12) {
		case 0:
			h.forward(month)
		case 1:
			h.forward(-month)
		default:
			h.forward(time.Duration(h.rand.ExpFloat64() * float64(40*time.Second)))
		}
	})
}

// histories runs them. To repeat one, set its seed as the first.
func histories(t *testing.T, clocks []time.Duration, pass func(*history)) {
	for _, seed := range []uint64{1, rand.Uint64()} {
		for _, c := range combinations {
			t.Run(fmt.Sprintf("%s, seed %d", c.name, seed), func(t *testing.T) {
				t.Parallel()
				h := &history{T: t, rand: rand.New(rand.NewPCG(seed, 0)), count: make(map[string]int)}
				site := c.site(t)
				for _, ahead := range clocks {
					l := newLife(t, site, false)
					l.Policies = h.policies
					h.replicas = append(h.replicas, l)
					l.clock.now = h.replicas[0].clock.now.Add(ahead)
				}
				for range 150 {
					pass(h)
					h.event()
					if t.Failed() {
						t.Fatalf("after\n%s", h.log)
					}
				}
				h.replicas[0].check()
				if seed != 1 {
					return
				}
				// Chance must not have passed over what this is about.
				for _, event := range []string{"open: <nil>", "open: ticket is expired", "resume: <nil>", "resume: ticket is opened", "erased"} {
					if h.count[event] == 0 {
						t.Errorf("chance passed over %q: %v", event, h.count)
					}
				}
			})
		}
	}
}

// history is what happened, and what must be so after it.
type history struct {
	*testing.T
	rand     *rand.Rand
	replicas []*life
	all      []*past
	log      string
	count    map[string]int
}

// past is a blob as the deadlines have it that clients were told.
type past struct {
	*blob
	keep    time.Duration
	expires time.Time
	kept    time.Time // until when an open needs the bytes, the latest one
	opened  map[*ticket]time.Time
	erased  bool
}

// purgeAt is when its bytes are due (design §4).
func (p *past) purgeAt() time.Time {
	if len(p.opened) == 0 || len(p.opened) < len(p.tickets) && p.expires.After(p.kept) {
		return p.expires
	}
	return p.kept
}

func (h *history) forward(d time.Duration) {
	for _, l := range h.replicas {
		l.clock.move(d.Truncate(time.Microsecond))
	}
}

func (h *history) happened(l *life, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	h.count[what]++
	h.log += l.clock.Now().Format(time.RFC3339Nano) + "  " + what + "\n"
}

// event lets one thing happen at one replica.
func (h *history) event() {
	l := h.replicas[h.rand.IntN(len(h.replicas))]
	var live []*past
	for _, p := range h.all {
		if !p.erased {
			live = append(live, p)
		}
	}
	if len(live) < 3 {
		h.upload(l)
		return
	}
	p := live[h.rand.IntN(len(live))]
	switch h.rand.IntN(8) {
	case 0:
		h.purge(l)
	case 1:
		h.sweep(l)
	case 2, 3, 4:
		h.resume(l, p, p.tickets[h.rand.IntN(len(p.tickets))])
	default:
		h.open(l, p, p.tickets[h.rand.IntN(len(p.tickets))])
	}
	if !p.erased {
		h.look(l, p)
	}
}

// look: the row says when its bytes are due, and no clock has made that sooner.
func (h *history) look(l *life, p *past) {
	h.Helper()
	b, _, err := l.db.Blob(l.ctx, tenant, p.id, 1)
	if err != nil || !b.PurgeAt.Equal(p.purgeAt()) || !b.ExpiresAt.Equal(p.expires) {
		h.Errorf("it expires at %v and is due at %v (%v), not %v and %v", b.ExpiresAt, b.PurgeAt, err, p.expires, p.purgeAt())
	}
}

// policies have deadlines of some minutes, and keep the bytes after an open for the
// resume window alone or a little longer.
func (h *history) policies(context.Context, string, string) (tickets.Terms, bool, error) {
	terms := terms
	terms.UnopenedTTL = time.Duration(2+h.rand.IntN(10)) * minute
	terms.ResumeWindow = 3 * minute
	terms.ReportWindow = time.Duration(h.rand.IntN(3)) * 2 * minute
	return terms, true, nil
}

func (h *history) upload(l *life) {
	h.Helper()
	b := l.stored()
	row, _, err := l.db.Blob(l.ctx, tenant, b.id, 1)
	if want := l.clock.Now().Add(row.Terms.UnopenedTTL); err != nil || !row.ExpiresAt.Equal(want) {
		h.Errorf("it expires at %v (%v), not %v", row.ExpiresAt, err, want)
	}
	h.happened(l, "upload")
	h.all = append(h.all, &past{blob: b, keep: row.Terms.Keep(), expires: row.ExpiresAt, opened: make(map[*ticket]time.Time)})
}

// open: by the clock of the replica that spends, and with the same claim key again.
func (h *history) open(l *life, p *past, t *ticket) {
	h.Helper()
	now := l.clock.Now()
	openedAt, opened := p.opened[t]
	err := l.opens(p.blob, t, t.claim)
	h.happened(l, "open: %v", err)
	switch {
	case opened && now.Before(openedAt.Add(3*minute)):
		l.must("an open again", err)
	case opened:
		l.refused("an open again, late", err, tickets.ErrOpened)
	case !now.Before(p.expires):
		l.refused("an open from the deadline on (P4)", err, tickets.ErrExpired)
	default:
		l.must("an open", err)
		p.opened[t] = now
		if kept := now.Add(p.keep); kept.After(p.kept) {
			p.kept = kept
		}
	}
}

func (h *history) resume(l *life, p *past, t *ticket) {
	h.Helper()
	now := l.clock.Now()
	openedAt, opened := p.opened[t]
	err := l.resumes(p.blob, t, t.claim)
	h.happened(l, "resume: %v", err)
	switch {
	case !opened:
		l.refused("a resume of nothing", err, tickets.ErrNotOpened, tickets.ErrExpired)
	case now.Before(openedAt.Add(3 * minute)):
		l.must("a resume", err)
	default:
		l.refused("a resume, late", err, tickets.ErrOpened)
	}
}

// purge takes what is due by its replica's clock and nothing else. By no other clock is
// that more than a minute early.
func (h *history) purge(l *life) {
	h.Helper()
	now := l.clock.Now()
	if _, err := l.purge.Run(l.ctx); err != nil {
		h.Errorf("purge: %v", err)
	}
	h.happened(l, "purge")
	for _, p := range h.all {
		if p.erased {
			continue
		}
		b, _, err := l.db.Blob(l.ctx, tenant, p.id, 1)
		if errors.Is(err, tickets.ErrUnknownBlob) {
			b.State, err = tickets.BlobErased, nil // and forgotten
		}
		p.erased = b.State == tickets.BlobErased
		if due := !now.Before(p.purgeAt()); err != nil || due != p.erased {
			h.Errorf("due at %v it is %s (%v) after a purge at %v (P4)", p.purgeAt(), b.State, err, now)
		}
		if !p.erased {
			continue
		}
		h.happened(l, "erased")
		for _, other := range h.replicas {
			if other.clock.Now().Before(p.purgeAt().Add(-minute)) {
				h.Errorf("purged when a replica had %v, more than a minute before %v", other.clock.Now(), p.purgeAt())
			}
			other.closed(p.blob)
		}
	}
}

// sweep takes nothing that has a row, whatever the clock says of its age.
func (h *history) sweep(l *life) {
	h.Helper()
	r, err := l.sweep.Run(l.ctx)
	if err != nil || r.Orphans+r.Missing+r.Failed > 0 {
		h.Errorf("sweep: %+v, %v", r, err)
	}
	h.happened(l, "sweep")
}
