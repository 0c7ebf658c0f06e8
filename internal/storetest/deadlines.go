package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/tickets"
)

// testDeadlines lets chance choose what happens to some blobs, and compares the rows
// with the oracle after each event. To repeat a run, set its seed as the first.
func testDeadlines(t *testing.T, open func(*testing.T) Database) {
	seeds := []uint64{1, 2, 3, rand.Uint64(), rand.Uint64()}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			h := &history{t: t, st: open(t), rand: rand.New(rand.NewPCG(seed, 0)), now: start}
			for i := range 300 {
				h.now = h.now.Add(time.Duration(h.rand.ExpFloat64() * float64(4*time.Hour)))
				h.now = h.now.Truncate(time.Microsecond)
				if h.event(); i%20 == 19 {
					for _, o := range h.all { // what concerns one must leave the others alone
						h.look(o)
					}
				}
			}
			if seed <= 3 {
				h.allHappened()
			}
		})
	}
}

// history is a run of random events, and what the rows must look like after them.
type history struct {
	t    *testing.T
	st   Store
	rand *rand.Rand
	now  time.Time
	all  []*oracle
	log  string
	// ownPolicy: the tenant has one, and the installation's is not about it any more.
	ownPolicy bool
	// count of what happened, by event and outcome: chance must not pass over any.
	count map[string]int
}

// event lets one thing happen, and looks at what became of the blob.
func (h *history) event() {
	live := slices.DeleteFunc(slices.Clone(h.all), func(o *oracle) bool { return o.gone })
	if len(live) < 5 {
		h.begin()
		return
	}
	o := live[h.rand.IntN(len(live))]
	if h.rand.IntN(30) == 0 {
		o = h.all[h.rand.IntN(len(h.all))]
	}
	events := []func(*oracle){
		h.commit, h.spend, h.spend, h.spend, h.spend, h.acknowledge, h.revoke, h.add, h.unsend,
		h.claim, h.erase, h.erase, h.putOff, h.forget,
	}
	events[h.rand.IntN(len(events))](o)
	h.look(o)
}

// look compares a blob's rows with the oracle.
func (h *history) look(o *oracle) {
	b, ts, err := h.st.Blob(h.t.Context(), tenant, o.blob.ID, tickets.MaxTickets)
	if o.gone {
		wantErr(h.t, err, tickets.ErrUnknownBlob)
		return
	}
	h.check(err)
	h.same("blob", o.blob, b)
	h.same("tickets", o.tickets, ts)
}

// clock is what the replica that does the next thing takes for now: some are wrong.
func (h *history) clock() time.Time {
	if h.rand.IntN(4) == 0 {
		return h.now.Add(time.Duration(h.rand.IntN(600)-300) * time.Second)
	}
	return h.now
}

func (h *history) happened(format string, args ...any) {
	if h.count == nil {
		h.count = make(map[string]int)
	}
	h.count[fmt.Sprintf(format, args...)]++
	h.log += fmt.Sprintf("%s  %s\n", h.now.Format(time.RFC3339), fmt.Sprintf(format, args...))
}

// check and same fail with the history that led there.
func (h *history) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("%v, after\n%s", err, h.log)
	}
}

func (h *history) same(what string, want, got any) {
	h.t.Helper()
	defer func() {
		if h.t.Failed() {
			h.t.Logf("after\n%s", h.log)
		}
	}()
	same(h.t, what, want, got)
}

func (h *history) begin() {
	terms := viewOnce()
	terms.UnopenedTTL = time.Duration(1+h.rand.IntN(400)) * time.Hour
	terms.UploadTTL = 3 * day
	terms.ReportWindow = time.Duration(h.rand.IntN(3)) * 40 * time.Hour
	terms.TombstoneTTL = 2 * day
	terms.Unlimited = h.rand.IntN(3) == 0
	s := pending(h.t, h.st, terms, 1+h.rand.IntN(3), h.now)
	o := &oracle{blob: s.Blob, tickets: s.tickets}
	h.all = append(h.all, o)
	h.happened("begin")
	if h.rand.IntN(3) > 0 {
		h.commit(o)
	}
}

func (h *history) commit(o *oracle) {
	now, key := h.clock(), newKey(o.blob.ID)
	attemptErr := h.st.BeginAttempt(h.t.Context(), o.blob.ID, key, o.blob.UploadUntil, now)
	c := commitOf(o.blob, key, now)
	c.Expires = now.Add(o.blob.Terms.UnopenedTTL)
	err := h.st.Commit(h.t.Context(), c)
	if !o.uploadable(now) {
		want := tickets.ErrTooLate
		if o.blob.State == tickets.BlobStored {
			want = tickets.ErrAlreadyStored
		}
		wantErr(h.t, err, want)
		wantErr(h.t, attemptErr, tickets.ErrTooLate)
		h.happened("commit: %v", want)
		return
	}
	h.check(attemptErr)
	h.check(err)
	o.stored(c)
	h.happened("commit")
}

func (h *history) spend(o *oracle) {
	i := h.rand.IntN(len(o.tickets))
	s := spendOf(o.tickets[i], h.clock())
	won, err := h.st.Spend(h.t.Context(), s)
	h.check(err)
	h.happened("spend: %v", won)
	h.same("spend", o.opens(i, s.Now), won)
	if won {
		o.opened(i, s)
	}
}

func (h *history) acknowledge(o *oracle) {
	i := h.rand.IntN(len(o.tickets))
	ticket := &o.tickets[i]
	changed, err := h.st.Acknowledge(h.t.Context(), ticket.ID, ticket.Hash, ticket.Claim, h.now)
	h.check(err)
	h.happened("acknowledge: %v", changed)
	h.same("acknowledge", !o.gone && ticket.State == tickets.TicketOpened, changed)
	if changed {
		ticket.State, ticket.DeliveredAt = tickets.TicketDelivered, h.now
	}
}

func (h *history) revoke(o *oracle) {
	ticket := &o.tickets[h.rand.IntN(len(o.tickets))]
	err := h.st.Revoke(h.t.Context(), tenant, o.blob.ID, ticket.ID, h.now)
	h.happened("revoke a ticket that is %s: %v", ticket.State, err)
	switch {
	case o.gone:
		wantErr(h.t, err, tickets.ErrUnknownBlob)
	case ticket.State == tickets.TicketRevoked:
		h.check(err)
	case ticket.State != tickets.TicketReady && !o.blob.Terms.Unlimited:
		wantErr(h.t, err, tickets.ErrOpened)
	default:
		h.check(err)
		ticket.State, ticket.RevokedAt = tickets.TicketRevoked, h.now
	}
}

func (h *history) add(o *oracle) {
	ts := newTickets(o.blob.ID, 1+h.rand.IntN(2), h.now)
	b, err := h.st.AddTickets(h.t.Context(), tenant, o.blob.ID, ts, tickets.MaxTickets, h.now)
	want := o.takesMore(h.now)
	h.happened("add: %v", want)
	if want != nil {
		wantErr(h.t, err, want)
		return
	}
	h.check(err)
	o.tickets = append(o.tickets, ts...)
	if o.blob.ExpiresAt.After(o.blob.PurgeAt) {
		o.blob.PurgeAt = o.blob.ExpiresAt
	}
	h.same("blob as returned", o.blob, b)
}

func (h *history) unsend(o *oracle) {
	err := h.st.Unsend(h.t.Context(), tenant, o.blob.ID, h.now)
	if o.gone {
		wantErr(h.t, err, tickets.ErrUnknownBlob)
		return
	}
	h.check(err)
	h.happened("unsend: %s", o.blob.State)
	o.unsent(h.now)
}

func (h *history) claim(*oracle) {
	due, err := h.st.Claim(h.t.Context(), time.Time{}, h.now, time.Hour, 100)
	h.check(err)
	got := make(map[uuid.UUID]string)
	for _, d := range due {
		if d.ID != (uuid.UUID{}) {
			got[d.ID] = d.Reason
		}
	}
	want := make(map[uuid.UUID]string)
	for _, o := range h.all {
		if o.due(h.now) {
			o.claimed(h.now.Add(time.Hour))
			want[o.blob.ID] = string(o.blob.Reason)
			h.happened("claim: %s", o.blob.Reason)
		}
	}
	h.same("claimed", want, got)
}

func (h *history) erase(o *oracle) {
	check(h.t, h.st.Erase(h.t.Context(), entries(o), h.now))
	h.happened("erase: %v", o.blob.State == tickets.BlobPurging)
	o.erased(h.now)
}

func (h *history) putOff(o *oracle) {
	retry := h.now.Add(time.Duration(h.rand.IntN(10)) * time.Hour)
	check(h.t, h.st.Defer(h.t.Context(), entries(o)[0], retry))
	h.happened("defer: %v", o.blob.State == tickets.BlobPurging)
	o.retry = retry // counts only while it is purging
}

func (h *history) forget(*oracle) {
	n, err := h.st.Forget(h.t.Context(), h.now, 100)
	h.check(err)
	want := 0
	for _, o := range h.all {
		if !o.gone && o.blob.State == tickets.BlobErased && !h.now.Before(o.blob.ForgetAt) {
			o.gone = true
			want++
			h.happened("forget")
		}
	}
	h.same("forgotten", want, n)
}

// allHappened guards the test itself: an oracle that never sees an event proves
// nothing about it.
func (h *history) allHappened() {
	for _, event := range []string{
		"begin", "commit", "spend: true", "spend: false", "acknowledge: true", "acknowledge: false", "add: <nil>",
		"unsend: stored", "claim: unsent", "claim: not_uploaded", "erase: true", "defer: true", "forget",
	} {
		if h.count[event] == 0 {
			h.t.Errorf("chance passed over %q: %v", event, h.count)
		}
	}
}
