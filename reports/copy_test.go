package reports_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
	"mayfly/reports"
)

func TestCopy(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.sends(photo)
	if _, err := h.opens(s.token); err != nil {
		t.Fatal(err)
	}
	r := h.files(s)
	if c := h.copies(); c.Copied != 1 || c.Failed+c.Awaiting != 0 || len(c.Failures) != 0 {
		t.Errorf("%+v", c)
	}
	r = h.in(r.ID, reports.StateOpen)
	keys := h.evidence()
	if len(keys) != 1 || r.Evidence != reports.EvidenceStored || !r.MediaUntil.IsZero() {
		t.Fatalf("%d copies, %+v", len(keys), r)
	}
	if id, ok := keys[0].Owner(); !ok || id != r.ID {
		t.Errorf("%s is not of report %s", keys[0], r.ID)
	}
	if want := h.clock.Now().Add(30 * day); !r.ExpiresAt.Equal(want) || !r.KeepUntil.Equal(want) {
		t.Errorf("kept until %v and %v, want %v", r.ExpiresAt, r.KeepUntil, want)
	}
	h.keepsPromises()
	if c := h.copies(); c.Copied+c.Failed+c.Awaiting != 0 {
		t.Errorf("a second pass: %+v", c)
	}

	if _, err := h.Claim(t.Context(), h.ann, r.ID); err != nil {
		t.Fatal(err)
	}
	token, p, err := h.pulls(h.ann, r.ID)
	if err != nil || !p.ExpiresAt.Equal(h.clock.Now().Add(reports.TicketTTL)) || p.Ticket.Moderator != h.ann.Key || p.Report.ID != r.ID {
		t.Fatalf("%+v, %v", p, err)
	}
	if got, err := h.opens(token); err != nil || got != photo {
		t.Errorf("the moderator gets %q, %v", got, err)
	}
	if got, err := h.opens(token); err == nil {
		t.Errorf("twice: %q", got)
	}
	h.logged(r.ID, "filed copied claimed ticket_issued opened")
	log := h.log()
	for i, want := range []struct {
		actor  string
		digest *blobstore.Digest
	}{
		{reports.ActorReporter, &r.Consent.SHA256}, {reports.ActorServer, &r.SHA256},
		{h.ann.Key.String(), nil}, {h.ann.Key.String(), nil}, {h.ann.Key.String(), nil},
	} {
		e := log[i]
		if e.Actor != want.actor || (e.Digest == nil) != (want.digest == nil) || e.Digest != nil && *e.Digest != *want.digest {
			t.Errorf("entry %d: %+v", e.Number, e)
		}
		if i >= 3 && e.Subject != token.ID() {
			t.Errorf("entry %d is about %s", e.Number, e.Subject)
		}
	}
	h.endsEmpty()
}

// TestManyCopies: a pass goes on until nothing is due, and one report does not stop the
// others.
func TestManyCopies(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const n = 21 // more than two batches
	lost := h.sends(photo)
	all := []reports.Report{h.files(lost)}
	h.loses(lost)
	for range n - 1 {
		all = append(all, h.files(h.sends(photo)))
	}
	// Two servers at the same time divide the work.
	other := h.restarted()
	var both sync.WaitGroup
	var copied [2]reports.Copied
	both.Go(func() { copied[0], _ = h.CopyDue(t.Context()) })
	both.Go(func() { copied[1], _ = other.CopyDue(t.Context()) })
	both.Wait()
	if c, w := copied[0].Copied+copied[1].Copied, copied[0].Awaiting+copied[1].Awaiting; c != n-1 || w != 1 {
		t.Errorf("%d copied, %d await: %+v", c, w, copied)
	}
	if got := len(h.evidence()); got != n-1 {
		t.Errorf("%d copies", got)
	}
	h.in(all[0].ID, reports.StateAwaitingMedia)
	for _, r := range all[1:] {
		h.in(r.ID, reports.StateOpen)
	}
}

// TestPinKeeps: a purge that comes after the report leaves the bytes until they are copied,
// and takes them at once afterwards; of an unsent blob, too.
func TestPinKeeps(t *testing.T) {
	t.Parallel()
	for name, dies := range map[string]func(*house, sent){
		"opened": func(h *house, s sent) {
			if _, err := h.opens(s.token); err != nil {
				h.t.Fatal(err)
			}
			h.clock.forward(72*time.Hour - time.Second)
			h.purges()
		},
		"unopened": func(h *house, s sent) { h.clock.forward(14*day - time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			s := h.sends(photo)
			dies(h, s)
			r := h.files(s)
			h.clock.forward(day)
			h.purges()
			h.keepsPromises()
			if c := h.copies(); c.Copied != 1 {
				t.Fatalf("%+v", c)
			}
			h.in(r.ID, reports.StateOpen)
			h.purges()
			if b, _, err := h.tickets.Status(t.Context(), tenant, s.ID); err != nil || b.State != "erased" {
				t.Errorf("after the copy the blob is %s, %v", b.State, err)
			}
			h.keepsPromises()
			h.endsEmpty()
		})
	}
	t.Run("unsent", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		s := h.sends(photo)
		r := h.files(s)
		if err := h.tickets.Unsend(t.Context(), tenant, s.ID); err != nil {
			t.Fatal(err)
		}
		h.purges()
		if c := h.copies(); c.Copied != 1 {
			t.Fatalf("%+v", c)
		}
		h.in(r.ID, reports.StateOpen)
		h.purges()
		if b, _, err := h.tickets.Status(t.Context(), tenant, s.ID); err != nil || b.State != "erased" {
			t.Errorf("after the copy the blob is %s, %v", b.State, err)
		}
		h.endsEmpty()
	})
}

// TestSourceMissing: our copy is gone, whoever took it.
func TestSourceMissing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.sends(photo)
	r := h.files(s)
	h.loses(s)
	c := h.copies()
	if c.Awaiting != 1 || c.Copied+c.Failed != 0 || len(c.Failures) != 1 || !errors.Is(c.Failures[0].Err, blobstore.ErrNotFound) {
		t.Errorf("%+v", c)
	}
	r = h.in(r.ID, reports.StateAwaitingMedia)
	if r.Evidence != reports.EvidenceNone || !r.MediaUntil.After(h.clock.Now()) {
		t.Errorf("%+v", r)
	}
	h.logged(r.ID, "filed awaiting_media")
	if len(h.evidence()) != 0 {
		t.Error("something was copied")
	}
	h.endsEmpty()
}

// TestReportAfterPurge: a report that comes later than the purge asks for the bytes at once.
func TestReportAfterPurge(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.sends(photo)
	h.clock.forward(14 * day)
	h.purges()
	forgotten := h.clock.Now().Add(90 * day)
	h.clock.forward(day)
	r := h.files(s)
	if r.State != reports.StateAwaitingMedia || !r.MediaUntil.Equal(forgotten) {
		t.Errorf("%s until %v, want %v", r.State, r.MediaUntil, forgotten)
	}
	h.logged(r.ID, "filed awaiting_media")
	if c := h.copies(); c.Awaiting+c.Copied+c.Failed != 0 {
		t.Errorf("%+v", c)
	}
}

// TestDamagedSource: bytes that are not what the sender uploaded are never evidence. It may
// have been the way, once; not twice.
func TestDamagedSource(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.sends(photo)
	r := h.files(s)
	h.damages(h.key(s))
	if c := h.copies(); c.Failed != 1 || len(c.Failures) != 1 || !errors.Is(c.Failures[0].Err, reports.ErrDamaged) {
		t.Errorf("%+v", c)
	}
	h.in(r.ID, reports.StateCopying)
	if n := len(h.evidence()); n != 0 {
		t.Errorf("%d damaged copies are kept", n)
	}
	if c := h.copies(); c.Failed+c.Awaiting != 0 {
		t.Errorf("tried again at once: %+v", c)
	}
	h.clock.forward(time.Minute)
	if c := h.copies(); c.Awaiting != 1 || !errors.Is(c.Failures[0].Err, reports.ErrDamaged) {
		t.Errorf("%+v", c)
	}
	h.in(r.ID, reports.StateAwaitingMedia)
	if n := len(h.evidence()); n != 0 {
		t.Errorf("%d damaged copies are kept", n)
	}
	h.logged(r.ID, "filed awaiting_media")
	// What the reporter has is whole.
	if _, err := h.brings(r.ID, strings.NewReader(photo), int64(len(photo))); err != nil {
		t.Error(err)
	}
	h.in(r.ID, reports.StateOpen)
	h.endsEmpty()
}

// A copy that arrives damaged is tried again, and then it may be right.
func TestDamagedOnTheWay(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.sends(photo)
	r := h.files(s)
	h.blobs.Fail(func(c blobstoretest.Call) blobstoretest.Mode {
		if c.Method == blobstoretest.Open && c.N == 1 {
			h.damages(c.Key) // the copy, before it is verified
		}
		return blobstoretest.Pass
	})
	if c := h.copies(); c.Failed != 1 {
		t.Errorf("%+v", c)
	}
	h.clock.forward(time.Minute)
	if c := h.copies(); c.Copied != 1 {
		t.Errorf("%+v", c)
	}
	h.in(r.ID, reports.StateOpen)
	h.keepsPromises()
	h.endsEmpty()
}

// TestShortCopy: a store that truncates, and says that all is well.
func TestShortCopy(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.files(h.sends(photo))
	h.blobs.Fail(blobstoretest.Always(blobstoretest.Open, blobstoretest.BreakAfter(5)))
	c := h.copies()
	if c.Failed != 1 || errors.Is(c.Failures[0].Err, reports.ErrDamaged) {
		t.Errorf("a read that fails: %+v", c)
	}
	// Such a store may fail for days: that is no damage, and the copy is not given up.
	for range 5 {
		h.clock.forward(time.Hour)
		h.copies()
	}
	h.in(r.ID, reports.StateCopying)
	h.blobs.Fail(nil)
	h.clock.forward(time.Hour)
	h.copies()
	h.in(r.ID, reports.StateOpen)
}

// TestPinEnds: a copy that never succeeds keeps nothing for ever.
func TestPinEnds(t *testing.T) {
	t.Parallel()
	for _, tried := range []bool{true, false} {
		h := newHouse(t)
		s := h.sends(photo)
		if _, err := h.opens(s.token); err != nil {
			t.Fatal(err)
		}
		r := h.files(s)
		h.blobs.Fail(blobstoretest.Always(blobstoretest.Copy, blobstoretest.Failed))
		if tried {
			h.copies()
		}
		h.clock.forward(7*day - time.Second)
		if tried {
			if c := h.copies(); c.Failed != 1 {
				t.Errorf("%+v", c)
			}
		}
		h.purges()
		h.in(r.ID, reports.StateCopying)
		h.key(s) // is stored still
		h.clock.forward(time.Hour)
		if !tried { // no server has lived to try
			h.purges()
		}
		if c := h.copies(); c.Awaiting != 1 {
			t.Errorf("tried %v: %+v", tried, c)
		}
		r = h.in(r.ID, reports.StateAwaitingMedia)
		h.purges()
		b, _, err := h.tickets.Status(t.Context(), tenant, s.ID)
		if err != nil || b.State != "erased" {
			t.Errorf("tried %v: the blob is %s, %v", tried, b.State, err)
		}
		if _, err := h.brings(r.ID, strings.NewReader(photo), int64(len(photo))); err != nil {
			t.Error(err)
		}
		h.in(r.ID, reports.StateOpen)
		h.logged(r.ID, "filed awaiting_media media_received")
		h.blobs.Fail(nil)
		h.endsEmpty()
	}
}

// copyUntilOpen lets time pass as long as a copy needs.
func (h *house) copyUntilOpen(s *reports.Service, id [16]byte) {
	h.t.Helper()
	for range 12 {
		h.clock.forward(20 * time.Minute)
		if _, err := s.CopyDue(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		if r := h.report(id); r.State == reports.StateOpen {
			return
		}
	}
	h.t.Errorf("the report is still %s", h.report(id).State)
}

// TestCopyFaults lets every call of a copy, to rows and to the blob store, fail: alone, or
// as the last one before a crash. Afterwards there is one copy, and in the end none.
func TestCopyFaults(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name    string
		applied bool
		crash   bool
		missing bool // the source is, so that the copy is given up
	}{
		{name: "failed"}, {name: "failed but applied", applied: true},
		{name: "died before", crash: true}, {name: "died after", applied: true, crash: true},
		{name: "of a missing source: failed", missing: true}, {name: "of a missing source: failed but applied", applied: true, missing: true},
		{name: "of a missing source: died before", crash: true, missing: true}, {name: "of a missing source: died after", applied: true, crash: true, missing: true},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			for n := 1; ; n++ {
				s := h.sends(photo)
				r := h.files(s)
				if kind.missing {
					h.loses(s)
				}
				var mu sync.Mutex
				calls := 0
				// next says whether a call fails, and whether it is applied all the same.
				next := func() (fails, applied bool) {
					mu.Lock()
					defer mu.Unlock()
					calls++
					switch {
					case calls == n:
						return true, kind.applied
					case calls > n:
						return kind.crash, false
					}
					return false, false
				}
				h.rows.fail(func(string) fault {
					switch fail, applied := next(); {
					case applied:
						return failsButApplied
					case fail:
						return fails
					}
					return passes
				})
				h.blobs.Fail(func(blobstoretest.Call) blobstoretest.Mode {
					switch fail, applied := next(); {
					case applied:
						return blobstoretest.FailedButApplied
					case fail:
						return blobstoretest.Failed
					}
					return blobstoretest.Pass
				})
				_, _ = h.CopyDue(t.Context())
				reached := calls >= n
				h.rows.fail(nil)
				h.blobs.Fail(nil)

				want := 1
				if kind.missing {
					want = 0
					h.givesUp(r)
				} else {
					h.keepsPromises()
					h.copyUntilOpen(h.restarted(), r.ID)
					h.logged(r.ID, "filed copied")
					h.keepsPromises()
				}
				// What an attempt may have left is due some days later; the evidence is not.
				h.clock.forward(9 * day)
				h.purges()
				if !kind.missing {
					h.keepsPromises()
				}
				if got := h.evidence(); len(got) != want {
					t.Errorf("call %d: %d copies remain, want %d: %v", n, len(got), want, got)
				}
				h.endsEmpty()
				if t.Failed() {
					t.Fatalf("at call %d", n)
				}
				if !reached {
					if n < 4 {
						t.Fatalf("a copy makes only %d calls", n-1)
					}
					return
				}
			}
		})
	}
}

// TestCopyRemains: what a failed copy has left, and cannot be deleted now, keeps its row
// until it is.
func TestCopyRemains(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.files(h.sends(photo))
	h.blobs.Fail(func(c blobstoretest.Call) blobstoretest.Mode {
		switch c.Method {
		case blobstoretest.Copy:
			return blobstoretest.FailedButApplied
		case blobstoretest.Delete:
			return blobstoretest.Failed
		}
		return blobstoretest.Pass
	})
	if c := h.copies(); c.Failed != 1 || len(h.evidence()) != 1 {
		t.Errorf("%+v, %d copies", c, len(h.evidence()))
	}
	h.keepsPromises()
	h.blobs.Fail(nil)
	h.copyUntilOpen(h.Service, r.ID)
	h.keepsPromises()
	h.clock.forward(9 * day)
	h.purges()
	if n := len(h.evidence()); n != 1 {
		t.Errorf("%d copies remain", n)
	}
	h.endsEmpty()
}

// givesUp lets time pass until the report waits for its reporter.
func (h *house) givesUp(r reports.Report) {
	h.t.Helper()
	s := h.restarted()
	for range 12 {
		h.clock.forward(20 * time.Minute)
		if _, err := s.CopyDue(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
	}
	h.in(r.ID, reports.StateAwaitingMedia)
	h.logged(r.ID, "filed awaiting_media")
}
