package reports_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/reports"
)

// said is the digest of texts, made apart from the code: the SHA-256 of each with its length
// in four bytes before it.
func said(texts ...string) blobstore.Digest {
	h := sha256.New()
	for _, text := range texts {
		_ = binary.Write(h, binary.BigEndian, uint32(len(text)))
		h.Write([]byte(text))
	}
	return blobstore.Digest(h.Sum(nil))
}

var allActs = []reports.Act{
	reports.ActFiled, reports.ActMediaReceived, reports.ActWithdrawn, reports.ActCopied, reports.ActAwaiting, reports.ActErased,
	reports.ActClaimed, reports.ActReleased, reports.ActDismissed, reports.ActUpheld, reports.ActEscalated, reports.ActReopened,
	reports.ActHeld, reports.ActFreeAsked, reports.ActFreed, reports.ActTicketIssued, reports.ActOpened,
}

// everyAct is a log that a database has, with each act there is.
func everyAct(t *testing.T) []reports.Entry {
	t.Helper()
	h := newHouse(t)
	first := h.claimed()
	token, _, err := h.pulls(h.ann, first)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := h.opens(token); err != nil || got != photo {
		t.Fatalf("%q, %v", got, err)
	}
	if err := h.Release(t.Context(), h.ann, first); err != nil {
		t.Fatal(err)
	}
	h.decides(h.ann, first, reports.StateEscalated)
	h.frees(h.report(first))
	if _, err := h.Reopen(t.Context(), h.ben, first); err != nil {
		t.Fatal(err)
	}
	h.decides(h.ben, first, reports.StateUpheld)
	second := h.awaits()
	if _, err := h.brings(second.ID, strings.NewReader(photo), int64(len(photo))); err != nil {
		t.Fatal(err)
	}
	h.decides(h.ann, second.ID, reports.StateDismissed)
	if err := h.withdraws(second.ID); err != nil {
		t.Fatal(err)
	}
	h.purges()
	log := h.log()
	for _, act := range allActs {
		if !slices.ContainsFunc(log, func(e reports.Entry) bool { return e.Act == act }) {
			t.Fatalf("no entry %s", act)
		}
	}
	return log
}

// copyOf copies entries, digests included.
func copyOf(log []reports.Entry) []reports.Entry {
	all := slices.Clone(log)
	for i := range all {
		if d := all[i].Digest; d != nil {
			all[i].Digest = new(*d)
		}
	}
	return all
}

// rehashed is the entry with the hash that its other fields have.
func rehashed(e reports.Entry) reports.Entry {
	return reports.Head{Tenant: e.Tenant, Number: e.Number - 1, Hash: e.Previous}.Next(e.At, e.Actor, e.Report, e.Record)
}

// found fails the test unless the log is found to be broken at that entry.
func found(t *testing.T, what string, log []reports.Entry, head reports.Head, want int64) {
	t.Helper()
	err := verify(reports.Head{Tenant: tenant}, log, head)
	if e, ok := errors.AsType[*reports.ChainError](err); !ok || e.Number != want {
		t.Errorf("%s: %v, want it to be found at entry %d", what, err, want)
	} else if !strings.Contains(err.Error(), fmt.Sprintf("entry %d:", want)) {
		t.Errorf("%s: %q does not name entry %d", what, err, want)
	}
}

// bits yields an entry once for each of its bits, with that one flipped.
func bits(e reports.Entry, yield func(what string, changed reports.Entry)) {
	flip := func(what string, n int, change func(e *reports.Entry, i int)) {
		for i := range n {
			changed := copyOf([]reports.Entry{e})[0]
			change(&changed, i)
			yield(fmt.Sprintf("bit %d of %s", i, what), changed)
		}
	}
	flipText := func(what string, text func(*reports.Entry) *string) {
		flip(what, 8*len(*text(&e)), func(e *reports.Entry, i int) {
			b := []byte(*text(e))
			b[i/8] ^= 1 << (i % 8)
			*text(e) = string(b)
		})
	}
	flipBytes := func(what string, in func(*reports.Entry) []byte) {
		flip(what, 8*len(in(&e)), func(e *reports.Entry, i int) { in(e)[i/8] ^= 1 << (i % 8) })
	}
	flip("number", 64, func(e *reports.Entry, i int) { e.Number ^= 1 << i })
	flip("at", 64, func(e *reports.Entry, i int) { e.At = time.UnixMicro(e.At.UnixMicro() ^ 1<<i) })
	flipText("tenant", func(e *reports.Entry) *string { return &e.Tenant })
	flipText("actor", func(e *reports.Entry) *string { return &e.Actor })
	flipText("act", func(e *reports.Entry) *string { return (*string)(&e.Act) })
	flipBytes("report", func(e *reports.Entry) []byte { return e.Report[:] })
	flipBytes("subject", func(e *reports.Entry) []byte { return e.Subject[:] })
	if e.Digest != nil {
		flipBytes("digest", func(e *reports.Entry) []byte { return e.Digest[:] })
	}
	flipBytes("previous", func(e *reports.Entry) []byte { return e.Previous[:] })
	flipBytes("hash", func(e *reports.Entry) []byte { return e.Hash[:] })
}

// TestEveryChangeIsFound tampers with a log in every small way, and names the entry.
func TestEveryChangeIsFound(t *testing.T) {
	t.Parallel()
	log := everyAct(t)
	n := len(log)
	head := log[n-1].Head()
	if err := verify(reports.Head{Tenant: tenant}, log, head); err != nil || n < 17 {
		t.Fatalf("%d entries, %v", n, err)
	}
	number := func(i int) int64 { return int64(i) + 1 }
	flips := 0
	for i, e := range log {
		with := func(changed reports.Entry) []reports.Entry {
			all := slices.Clone(log)
			all[i] = changed
			return all
		}
		bits(e, func(what string, changed reports.Entry) {
			flips++
			found(t, fmt.Sprintf("entry %d: %s", i+1, what), with(changed), head, number(i))
			// Whoever changes an entry and makes its hash anew breaks the next one, or the head; but
			// of another tenant, another number or another predecessor it is at once.
			next := min(number(i+1), int64(n))
			switch changed.Hash = rehashed(changed).Hash; {
			case changed.Hash == e.Hash: // only the hash was flipped
			case changed.Number != e.Number, changed.Tenant != e.Tenant, changed.Previous != e.Previous:
				found(t, fmt.Sprintf("entry %d: %s, rehashed", i+1, what), with(changed), head, number(i))
			default:
				found(t, fmt.Sprintf("entry %d: %s, rehashed", i+1, what), with(changed), head, next)
			}
		})
		for what, change := range map[string]func(*reports.Entry){
			"its text between fields": func(e *reports.Entry) { e.Actor, e.Act = e.Actor+string(e.Act[:1]), e.Act[1:] },
			"its digest away": func(e *reports.Entry) {
				if e.Digest == nil {
					e.Digest = new(blobstore.Digest)
				} else {
					e.Digest = nil
				}
			},
			"its subject for its report": func(e *reports.Entry) {
				if e.Subject == (uuid.UUID{}) {
					e.Subject = e.Report
				}
				e.Report = uuid.UUID{}
			},
			"its actor": func(e *reports.Entry) { e.Actor += " " },
		} {
			changed := copyOf(log[i : i+1])[0]
			change(&changed)
			found(t, fmt.Sprintf("entry %d: %s", i+1, what), with(changed), head, number(i))
		}

		dropped := slices.Delete(slices.Clone(log), i, i+1)
		found(t, fmt.Sprintf("without entry %d", i+1), dropped, head, number(i))
		renumbered, rehashedToo := slices.Clone(dropped), slices.Clone(dropped)
		for j := i; j < len(dropped); j++ {
			renumbered[j].Number--
			rehashedToo[j].Number--
			rehashedToo[j] = rehashed(rehashedToo[j])
		}
		found(t, fmt.Sprintf("without entry %d, renumbered", i+1), renumbered, head, number(i))
		found(t, fmt.Sprintf("without entry %d, renumbered and rehashed", i+1), rehashedToo, head, number(i))

		twice := slices.Insert(slices.Clone(log), i, log[i])
		found(t, fmt.Sprintf("entry %d twice", i+1), twice, head, number(i+1))
		twice[i+1].Number++
		found(t, fmt.Sprintf("entry %d twice, renumbered", i+1), twice, head, number(i+1))
		twice[i+1] = rehashed(twice[i+1])
		found(t, fmt.Sprintf("entry %d twice, rehashed", i+1), twice, head, number(i+1))

		found(t, fmt.Sprintf("only the first %d", i), log[:i], head, number(i))
		if i > 0 {
			found(t, fmt.Sprintf("from entry %d on", i+1), log[i:], head, 1)
		}
		before := reports.Head{Tenant: tenant}
		if i > 0 {
			before = log[i-1].Head()
		}
		foreign := reports.Head{Tenant: "other", Number: before.Number, Hash: before.Hash}.Next(e.At, e.Actor, e.Report, e.Record)
		found(t, fmt.Sprintf("another tenant's as entry %d", i+1), with(foreign), head, number(i))
		for j := i + 1; j < n; j++ {
			swapped := slices.Clone(log)
			swapped[i], swapped[j] = swapped[j], swapped[i]
			found(t, fmt.Sprintf("entries %d and %d swapped", i+1, j+1), swapped, head, number(i))
			swapped[i].Number, swapped[j].Number = number(i), number(j)
			found(t, fmt.Sprintf("entries %d and %d swapped, renumbered", i+1, j+1), swapped, head, number(i))
		}
	}
	if flips < 17*1200 {
		t.Errorf("only %d bits were flipped", flips)
	}
	// An entry too many, which follows well.
	more := append(slices.Clone(log), head.Next(time.Now(), reports.ActorServer, uuid.New(), reports.Record{Act: reports.ActErased}))
	found(t, "an entry behind the head", more, head, int64(n)+1)
	found(t, "a head of another tenant", log, reports.Head{Tenant: "other", Number: head.Number, Hash: head.Hash}, int64(n))
	other := head
	other.Hash[31] ^= 1
	found(t, "a head of another hash", log, other, int64(n))
	found(t, "an empty log", nil, head, 1)
	if err := verify(reports.Head{Tenant: tenant}, nil, reports.Head{Tenant: tenant}); err != nil {
		t.Errorf("nothing, where there is nothing: %v", err)
	}
}

// rewritten is a log that somebody wrote anew from an entry on, with every hash as it has to
// be: nothing in itself is wrong with it.
func rewritten(t *testing.T, log []reports.Entry, from int, change func(*reports.Entry)) []reports.Entry {
	t.Helper()
	all := copyOf(log)
	change(&all[from])
	head := reports.Head{Tenant: tenant}
	for i, e := range all {
		all[i] = head.Next(e.At, e.Actor, e.Report, e.Record)
		head = all[i].Head()
	}
	if err := verify(reports.Head{Tenant: tenant}, all, head); err != nil {
		t.Fatalf("it is not well made: %v", err)
	}
	return all
}

// TestKeptHeads: a head that was kept finds a log that was written anew as a whole; without
// one, nothing would.
func TestKeptHeads(t *testing.T) {
	t.Parallel()
	log := everyAct(t)
	n := len(log)
	for k := range n + 1 { // the head that was kept is of entry k
		kept := reports.Head{Tenant: tenant}
		if k > 0 {
			kept = log[k-1].Head()
		}
		if err := verify(kept, log[k:], log[n-1].Head()); err != nil {
			t.Errorf("from the head of %d on: %v", k, err)
		}
		for from := range log {
			forged := rewritten(t, log, from, func(e *reports.Entry) { e.Actor = "somebody else" })
			head := forged[n-1].Head()
			err := verify(kept, forged[k:], head)
			if from >= k {
				// What came after the head was not known then.
				if err != nil {
					t.Errorf("written anew from %d on, head of %d: %v", from+1, k, err)
				}
				continue
			}
			want := min(int64(k)+1, int64(n)) // the first that does not follow, or the head itself
			if e, ok := errors.AsType[*reports.ChainError](err); !ok || e.Number != want {
				t.Errorf("written anew from %d on, head of %d: %v", from+1, k, err)
			}
			// As one does who reads all of it: the chain up to there must end with the head.
			if err := verify(reports.Head{Tenant: tenant}, forged[:k], kept); err == nil {
				t.Errorf("written anew from %d on: the head of %d fits", from+1, k)
			}
		}
		// Cut off, with a head that says so.
		for m := range k {
			cut := reports.Head{Tenant: tenant}
			if m > 0 {
				cut = log[m-1].Head()
			}
			if e, ok := errors.AsType[*reports.ChainError](verify(kept, nil, cut)); !ok || e.Number != int64(m)+1 {
				t.Errorf("cut off after %d, head of %d: %v", m, k, e)
			}
		}
	}
	// An entry left out, and all after it renumbered and rehashed.
	short := copyOf(log)
	short = slices.Delete(short, 3, 4)
	short = rewritten(t, short, 0, func(*reports.Entry) {})
	if e, ok := errors.AsType[*reports.ChainError](verify(log[n-1].Head(), nil, short[n-2].Head())); !ok || e.Number != int64(n) {
		t.Errorf("an entry less than the kept head says: %v", e)
	}
	if err := verify(log[4].Head(), short[5:], short[n-2].Head()); err == nil {
		t.Error("a head of after the gap fits")
	}
}

// TestChainStays: what was refused leaves a chain where it was, so that a reader may tell
// all that is wrong.
func TestChainStays(t *testing.T) {
	t.Parallel()
	var c reports.Chain
	c.Head.Tenant = tenant
	first := c.Head.Next(time.Now(), reports.ActorServer, uuid.New(), reports.Record{Act: reports.ActErased})
	wrong := first
	wrong.Actor = "x"
	if err := c.Add(wrong); err == nil || c.Head != (reports.Head{Tenant: tenant}) {
		t.Errorf("%v, %+v", err, c.Head)
	}
	if err := c.Add(first); err != nil || c.Head != first.Head() {
		t.Errorf("%v, %+v", err, c.Head)
	}
}

// TestPages: a log that is read in pages, from the database, is one chain.
func TestPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const n = 20
	filed := make([]reports.Report, n)
	var all sync.WaitGroup
	for i := range filed {
		s := h.sends(photo)
		all.Go(func() { filed[i] = h.files(s) })
	}
	all.Wait()
	h.copies()
	for _, r := range filed {
		all.Go(func() { h.decides(h.ann, r.ID, reports.StateDismissed) })
	}
	all.Wait()
	want := h.log()
	if len(want) != 4*n {
		t.Errorf("%d entries", len(want))
	}
	for size := range 9 {
		c := reports.Chain{Head: reports.Head{Tenant: tenant}}
		for {
			page, head, err := h.db.Audit(t.Context(), tenant, c.Head.Number, size+1)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				if err := c.Add(e); err != nil {
					t.Fatal(err)
				}
			}
			if len(page) == 0 {
				if err := c.End(head); err != nil || c.Head != want[len(want)-1].Head() {
					t.Errorf("pages of %d: %+v, %v", size+1, c.Head, err)
				}
				break
			}
		}
	}
	// Another tenant has a chain of its own, and what is not there has an empty one.
	if entries, head, err := h.db.Audit(t.Context(), "other", 0, 10); err != nil || len(entries) != 0 || head != (reports.Head{Tenant: "other"}) {
		t.Errorf("%v, %+v, %v", entries, head, err)
	}
}

// TestNoTexts: what people wrote is not in the log, and who reported is not.
func TestNoTexts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.sends(photo)
	r := h.files(s)
	h.copies()
	h.holds(h.ben, r.ID, reports.HoldReview, day)
	h.decides(h.ann, r.ID, reports.StateUpheld)
	for _, e := range h.log() {
		if e.Subject == s.token.ID() {
			t.Errorf("entry %d has the reporter's ticket", e.Number)
		}
		text := fmt.Appendf(nil, "%+v %s", e, e.Digest)
		for _, secret := range []string{"Help.", "seen", "terms: 4", "order 7", "threat", "conversation 7", handleHex(r.ID), s.token.ID().String()} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("entry %d has %q", e.Number, secret)
			}
		}
	}
}

func handleHex(id uuid.UUID) string { return fmt.Sprintf("%x", handleOf(id)) }
