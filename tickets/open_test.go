package tickets_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
	"mayfly/expiry"
	"mayfly/tickets"
)

const (
	claimA = "AAAAAAAAAAAAAAAAAAAAAAAA"
	claimB = "BBBBBBBBBBBBBBBBBBBBBBBB"
)

var none tickets.ClaimKey

func TestOpenOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token := h.stored(picture, tickets.Request{}).Tickets[0].Token
	got, err := h.opens(token, none)
	h.served("the first open", got, err, picture)
	_, err = h.opens(token, none)
	h.refused("the second", err, tickets.ErrOpened)
	_, err = h.opens(token, claimKey(t, claimA))
	h.refused("the third, with a claim key", err, tickets.ErrOpened)
	_, err = h.resumes(token, claimKey(t, claimA), 0)
	h.refused("a resume of a strict open", err, tickets.ErrOpened)
	_, err = h.opens(tickets.NewToken(tickets.KindTicket, token.ID()), none)
	h.refused("another token with the same id", err, tickets.ErrUnknownTicket)
}

// P2: of many racers one gets a body.
func TestRacingOpens(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token := h.stored(picture, tickets.Request{}).Tickets[0].Token
	var won, lost atomic.Int64
	var racers sync.WaitGroup
	start := make(chan struct{})
	for i := range 64 {
		claim := none
		if i%2 == 0 {
			claim = claimKey(t, fmt.Sprintf("racer%03d%016d", i, i))
		}
		racers.Go(func() {
			<-start
			switch _, err := h.opens(token, claim); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, tickets.ErrOpened):
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	close(start)
	racers.Wait()
	if won.Load() != 1 || lost.Load() != 63 {
		t.Errorf("%d won and %d lost", won.Load(), lost.Load())
	}
	// Those who lost after the row was read are counted like those before.
	if err := h.FlushContests(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := h.contested(token); n != 63 {
		t.Errorf("contested %d times, want 63", n)
	}
}

// P3: the holder of ticket and claim key gets the rest, and nobody else does.
func TestResume(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token := h.stored(picture, tickets.Request{}).Tickets[0].Token
	mine, other := claimKey(t, claimA), claimKey(t, claimB)

	_, err := h.resumes(token, mine, 0)
	h.refused("a resume before the open", err, tickets.ErrNotOpened)
	got, err := h.opens(token, mine)
	h.served("the open", got, err, picture)
	for _, offset := range []int64{0, 3, int64(len(picture)) - 1, int64(len(picture))} {
		got, err := h.resumes(token, mine, offset)
		h.served(fmt.Sprint("from ", offset), got, err, picture[offset:])
	}
	_, err = h.resumes(token, other, 0)
	h.refused("another claim key", err, tickets.ErrOpened)
	_, err = h.resumes(token, none, 0)
	h.refused("no claim key", err, tickets.ErrOpened)
	_, err = h.opens(token, other)
	h.refused("an open with another claim key", err, tickets.ErrOpened)
	got, err = h.opens(token, mine)
	h.served("the open again, after a lost answer", got, err, picture)
	if opened := h.openedAt(token); !opened.Equal(h.clock.Now()) {
		t.Errorf("a retry moved the time of the open to %v", opened)
	}

	h.clock.forward(15*time.Minute - time.Microsecond)
	got, err = h.resumes(token, mine, 3)
	h.served("in the last moment of the window", got, err, picture[3:])
	h.clock.forward(time.Microsecond)
	_, err = h.resumes(token, mine, 3)
	h.refused("behind the window", err, tickets.ErrOpened)
	_, err = h.opens(token, mine)
	h.refused("the open again, behind the window", err, tickets.ErrOpened)
}

// contested is what the sender sees of a blob's only ticket.
func (h *house) contested(token tickets.Token) int64 {
	h.t.Helper()
	_, b, err := h.Peek(h.t.Context(), token)
	if err != nil {
		h.t.Fatal(err)
	}
	_, ts := h.state(b.ID)
	return ts[0].Contested
}

func (h *house) openedAt(token tickets.Token) time.Time {
	h.t.Helper()
	tk, _, err := h.Peek(h.t.Context(), token)
	if err != nil {
		h.t.Fatal(err)
	}
	return tk.OpenedAt
}

func TestAcknowledge(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token := h.stored(picture, tickets.Request{}).Tickets[0].Token
	mine, other := claimKey(t, claimA), claimKey(t, claimB)
	ack := func(c tickets.ClaimKey) error { return h.Acknowledge(t.Context(), token, c) }

	h.refused("before the open", ack(mine), tickets.ErrNotOpened)
	if _, err := h.opens(token, mine); err != nil {
		t.Fatal(err)
	}
	h.refused("without a claim key", ack(none), tickets.ErrClaimRequired)
	h.refused("with another one", ack(other), tickets.ErrOpened)
	for range 2 {
		if err := ack(mine); err != nil {
			t.Error(err)
		}
	}
	h.refused("with another one, afterwards", ack(other), tickets.ErrOpened)
	_, err := h.resumes(token, mine, 0)
	h.refused("a resume of what was acknowledged", err, tickets.ErrOpened)
	_, err = h.opens(token, mine)
	h.refused("an open of what was acknowledged", err, tickets.ErrOpened)
	if tk, _, err := h.Peek(t.Context(), token); err != nil || tk.State != tickets.TicketDelivered || tk.DeliveredAt.IsZero() {
		t.Errorf("%+v, %v", tk, err)
	}
}

// P4: from the deadline on, not a microsecond earlier or later, whether a purge has
// run or not.
func TestDeadline(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	issued := h.stored(picture, tickets.Request{Recipients: []string{"early", "late"}, ExpiresIn: time.Hour})
	early, late := issued.Tickets[0].Token, issued.Tickets[1].Token
	h.clock.forward(time.Hour - time.Microsecond)
	got, err := h.opens(early, claimKey(t, claimA))
	h.served("in the last moment", got, err, picture)
	h.clock.forward(time.Microsecond)
	_, err = h.opens(late, none)
	h.refused("at the deadline", err, tickets.ErrExpired)
	h.refused("an acknowledgement", h.Acknowledge(t.Context(), late, claimKey(t, claimB)), tickets.ErrExpired)
	if _, err := h.AddTickets(t.Context(), tenant, issued.Blob.ID, []string{"later"}); !errors.Is(err, tickets.ErrExpired) {
		t.Errorf("a ticket after the deadline: %v", err)
	}
	// Who opened in time may fetch the rest, and the bytes are kept for that.
	if r := h.purges(); r.Erased != 0 {
		t.Errorf("purged early: %+v", r)
	}
	got, err = h.resumes(early, claimKey(t, claimA), 3)
	h.served("the rest", got, err, picture[3:])
	h.clock.forward(72 * time.Hour)
	if r := h.purges(); r.Erased != 1 {
		t.Errorf("not purged: %+v", r)
	}
	h.keptNothing()
	_, err = h.opens(late, none)
	h.refused("after the purge", err, tickets.ErrExpired)
	if b, ts := h.state(issued.Blob.ID); b.State != tickets.BlobErased || *b.SHA256 != *digest(picture) || len(ts) != 2 {
		t.Errorf("the tombstone is %+v with %d tickets", b, len(ts))
	}
	h.clock.forward(90 * 24 * time.Hour)
	h.purges()
	_, err = h.opens(late, none)
	h.refused("after the tombstone", err, tickets.ErrUnknownTicket)
}

// Tickets of unlimited policies open until the deadline, for as many as hold them.
func TestUnlimited(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"disappearing-24h", "disappearing-7d", "disappearing-90d", "channel-30d"} {
		h := newHouse(t)
		issued := h.stored(picture, tickets.Request{Policy: policy})
		token := issued.Tickets[0].Token
		_, err := h.resumes(token, none, 0)
		h.refused(policy+": a GET before the first open", err, tickets.ErrNotOpened)
		for i := range 3 {
			got, err := h.opens(token, none)
			h.served(fmt.Sprint(policy, ": open ", i), got, err, picture)
			got, err = h.resumes(token, none, 3)
			h.served(policy+": the rest", got, err, picture[3:])
		}
		if err := h.Acknowledge(t.Context(), token, claimKey(t, claimA)); err != nil {
			t.Error(err)
		}
		h.clock.forward(issued.Blob.ExpiresAt.Sub(h.clock.Now()) - time.Microsecond)
		got, err := h.opens(token, none)
		h.served(policy+": in the last moment", got, err, picture)
		h.clock.forward(time.Microsecond)
		_, err = h.opens(token, none)
		h.refused(policy+": at the deadline", err, tickets.ErrExpired)
		_, err = h.resumes(token, none, 0)
		h.refused(policy+": a resume at the deadline", err, tickets.ErrExpired)
		// The last open was a moment ago: its transfer has the resume window.
		if r := h.purges(); r.Erased != 0 {
			t.Errorf("%s: purged under a transfer: %+v", policy, r)
		}
		h.clock.forward(15 * time.Minute)
		if r := h.purges(); r.Erased != 1 {
			t.Errorf("%s: not purged: %+v", policy, r)
		}
		h.keptNothing()
	}
}

// P3: what fails on our side before the first byte leaves the ticket unspent.
func TestOpenFaults(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	issued := h.stored(picture, tickets.Request{})
	token := issued.Tickets[0].Token
	var ours *tickets.StoreError
	for _, mode := range []blobstoretest.Mode{blobstoretest.Failed, blobstoretest.FailedButApplied} {
		h.blobs.Fail(blobstoretest.Always(blobstoretest.Open, mode))
		if _, err := h.opens(token, none); !errors.As(err, &ours) {
			t.Errorf("the blob store is down: %v", err)
		}
	}
	h.blobs.Fail(nil)
	h.rows.fail("Spend", false)
	if _, err := h.opens(token, none); !errors.As(err, &ours) {
		t.Errorf("the spend failed: %v", err)
	}
	if tk, _, err := h.Peek(t.Context(), token); err != nil || tk.State != tickets.TicketReady {
		t.Errorf("the ticket is not as before: %+v, %v", tk, err)
	}
	if n := h.contested(token); n != 0 {
		t.Errorf("our own faults count as %d attempts of somebody", n)
	}
	got, err := h.opens(token, none)
	h.served("once it works again", got, err, picture)
}

// A spend whose answer is lost is found by its claim, with a claim key and without:
// the client gets its bytes, and only it.
func TestSpendAnswerLost(t *testing.T) {
	t.Parallel()
	for _, claim := range []tickets.ClaimKey{none, claimKey(t, claimA)} {
		h := newHouse(t)
		token := h.stored(picture, tickets.Request{}).Tickets[0].Token
		h.rows.fail("Spend", true)
		got, err := h.opens(token, claim)
		h.served("the answer of the spend was lost", got, err, picture)
		_, err = h.opens(token, none)
		h.refused("the second open", err, tickets.ErrOpened)
	}
	// Lost, and somebody else was faster: theirs is the claim.
	h := newHouse(t)
	token := h.stored(picture, tickets.Request{}).Tickets[0].Token
	h.rows.method, h.rows.before = "Spend", func() {
		got, err := h.opens(token, claimKey(t, claimB))
		h.served("the faster one", got, err, picture)
	}
	_, err := h.opens(token, claimKey(t, claimA))
	h.refused("the slower one", err, tickets.ErrOpened)
}

// A live ticket whose bytes the store has lost is our broken promise (P1), not an
// answer that clients get used to.
func TestLostBytes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	issued := h.stored(picture, tickets.Request{})
	if err := h.blobs.Store.Delete(t.Context(), issued.Blob.Key); err != nil {
		t.Fatal(err)
	}
	_, err := h.opens(issued.Tickets[0].Token, none)
	var ours *tickets.StoreError
	if !errors.As(err, &ours) || !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if tk, _, _ := h.Peek(t.Context(), issued.Tickets[0].Token); tk.State != tickets.TicketReady {
		t.Errorf("the ticket is %s", tk.State)
	}
}

// A blob of another size than was stored is damaged: nothing of it flows, and the
// ticket is not spent.
func TestDamagedBytes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	issued := h.stored(picture, tickets.Request{})
	if err := h.blobs.Store.Delete(t.Context(), issued.Blob.Key); err != nil {
		t.Fatal(err)
	}
	if err := h.blobs.Store.Put(t.Context(), issued.Blob.Key, strings.NewReader("short"), 5); err != nil {
		t.Fatal(err)
	}
	_, err := h.opens(issued.Tickets[0].Token, none)
	h.refused("an open of damaged bytes", err, tickets.ErrDamaged)
	if tk, _, _ := h.Peek(t.Context(), issued.Tickets[0].Token); tk.State != tickets.TicketReady {
		t.Errorf("the ticket is %s", tk.State)
	}
}

// A purge that takes the bytes between our look at the row and at the store is told
// as what it is.
func TestOpenAgainstPurge(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	issued := h.stored(picture, tickets.Request{ExpiresIn: time.Hour})
	h.blobs.Fail(func(c blobstoretest.Call) blobstoretest.Mode {
		if c.Method == blobstoretest.Open && c.N == 1 {
			h.clock.forward(time.Hour)
			h.purges()
		}
		return blobstoretest.Pass
	})
	_, err := h.opens(issued.Tickets[0].Token, none)
	h.refused("an open that a purge overtook", err, tickets.ErrExpired)
}

func TestUnsend(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	issued := h.stored(picture, tickets.Request{Recipients: []string{"opened", "ready"}})
	opened, ready := issued.Tickets[0].Token, issued.Tickets[1].Token
	mine := claimKey(t, claimA)
	d, err := h.Open(t.Context(), opened, mine)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for range 2 {
		if err := h.Unsend(t.Context(), tenant, issued.Blob.ID); err != nil {
			t.Error(err)
		}
	}
	if d.Context().Err() == nil {
		t.Error("the transfer under way was not cut")
	}
	_, err = h.opens(ready, none)
	h.refused("a ready ticket", err, tickets.ErrRevoked)
	_, err = h.resumes(opened, mine, 0)
	h.refused("a resume", err, tickets.ErrErased)
	_, err = h.opens(opened, mine)
	h.refused("the open again", err, tickets.ErrOpened)
	if r := h.purges(); r.Erased != 1 {
		t.Errorf("not due at once: %+v", r)
	}
	h.keptNothing()
	if b, _ := h.state(issued.Blob.ID); b.State != tickets.BlobErased || b.Reason != tickets.ReasonUnsent {
		t.Errorf("the tombstone is %+v", b)
	}
	if err := h.Unsend(t.Context(), tenant, issued.Blob.ID); err != nil {
		t.Errorf("after the purge: %v", err)
	}
}

// An unsend between the look at the row and the beginning of the transfer is seen:
// there is no gap in which a blob that is unsent begins to flow.
func TestUnsendInTheGap(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"view-once", "disappearing-7d"} {
		for name, get := range map[string]func(*house, tickets.Token, tickets.ClaimKey) (string, error){
			"open again": (*house).opens,
			"resume":     func(h *house, token tickets.Token, c tickets.ClaimKey) (string, error) { return h.resumes(token, c, 0) },
		} {
			h := newHouse(t)
			issued := h.stored(picture, tickets.Request{Policy: policy})
			token, mine := issued.Tickets[0].Token, claimKey(t, claimA)
			if _, err := h.opens(token, mine); err != nil {
				t.Fatal(err)
			}
			h.rows.found = func() {
				if err := h.Unsend(t.Context(), tenant, issued.Blob.ID); err != nil {
					t.Error(err)
				}
			}
			if got, err := get(h, token, mine); err == nil {
				t.Errorf("%s, %s: %q flows after the unsend", policy, name, got)
			}
		}
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	issued := h.stored(picture, tickets.Request{Recipients: []string{"a", "b"}})
	a, b := issued.Tickets[0], issued.Tickets[1]
	revoke := func(t tickets.IssuedTicket) error { return h.Revoke(h.t.Context(), tenant, issued.Blob.ID, t.ID) }
	for range 2 {
		if err := revoke(a); err != nil {
			t.Error(err)
		}
	}
	_, err := h.opens(a.Token, none)
	h.refused("a revoked ticket", err, tickets.ErrRevoked)
	got, err := h.opens(b.Token, none)
	h.served("the other one", got, err, picture)
	h.refused("a revoke after the open", revoke(b), tickets.ErrOpened)
	h.refused("another tenant's revoke", h.Revoke(t.Context(), "other", issued.Blob.ID, b.ID), tickets.ErrUnknownBlob)

	added, err := h.AddTickets(t.Context(), tenant, issued.Blob.ID, []string{"c"})
	if err != nil {
		t.Fatal(err)
	}
	got, err = h.opens(added.Tickets[0].Token, none)
	h.served("a ticket that was added", got, err, picture)
	if _, err := h.AddTickets(t.Context(), "other", issued.Blob.ID, []string{"d"}); !errors.Is(err, tickets.ErrUnknownBlob) {
		t.Errorf("another tenant's ticket: %v", err)
	}
}

func TestContestsWaitForTheStore(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token := h.stored(picture, tickets.Request{}).Tickets[0].Token
	for range 4 {
		h.opens(token, none)
	}
	h.rows.fail("Contest", false)
	if err := h.FlushContests(t.Context()); err == nil {
		t.Error("a flush that failed said nothing")
	}
	for range 2 {
		if err := h.FlushContests(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if n := h.contested(token); n != 3 {
		t.Errorf("contested %d times, want 3", n)
	}
}

// keptRows tells of each call of Keep, after it.
type keptRows struct {
	tickets.Store
	kept chan time.Time
}

func (r *keptRows) Keep(ctx context.Context, blob uuid.UUID, until time.Time) error {
	err := r.Store.Keep(ctx, blob, until)
	r.kept <- until
	return err
}

// TestKeepReading: the windows of this policy are over the moment that the ticket is
// opened, but nothing is purged while somebody reads it.
func TestKeepReading(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.Policies = func(ctx context.Context, tenant, name string) (tickets.Terms, bool, error) {
		terms, ok, err := builtin(ctx, tenant, name)
		terms.ReportWindow, terms.ResumeWindow = 0, 0
		return terms, ok, err
	}
	rows := &keptRows{h.Store, make(chan time.Time, 1)}
	h.Store = rows
	issued := h.stored("a picture", tickets.Request{})
	d, err := h.Open(t.Context(), issued.Tickets[0].Token, tickets.ClaimKey{})
	if err != nil {
		t.Fatal(err)
	}
	until := <-rows.kept
	if keeps := until.Sub(h.clock.Now()); keeps < time.Minute {
		t.Errorf("a transfer keeps the bytes for %s", keeps)
	}
	purge := func() int64 {
		t.Helper()
		r, err := (&expiry.Purge{Queue: h.rows.Store.(expiry.Queue), Blobs: h.blobs, Now: h.clock.Now}).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return r.Erased
	}
	h.clock.forward(until.Sub(h.clock.Now()) - time.Second)
	if n := purge(); n != 0 {
		t.Errorf("%d blobs were purged while they were read", n)
	}
	d.Close()
	h.clock.forward(time.Second)
	if n := purge(); n != 1 {
		t.Errorf("%d blobs were purged after the transfer", n)
	}
}
