package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
	"mayfly/reports"
	"mayfly/tickets"
)

// testCopies: each copy is one process's at a time, and whatever it leaves, the purge
// learns of.
func testCopies(t *testing.T, open func(*testing.T) Database) {
	run := func(name string, test func(*testing.T, Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
	run("lease", copyLease)
	run("put off", copyPutOff)
	run("a clock that was ahead", copyLostClock)
	run("oldest first, up to the limit", copyOrder)
	run("store", storeEvidence)
	run("too late", storeTooLate)
	run("key of another", foreignEvidenceKey)
	run("attempt that a purge has", attemptOfEvidence)
	run("dropped attempt", dropEvidenceAttempt)
	run("lapsed", lapsed)
	run("lapsed while copying", lapsedCopying)
	run("reported blob is forgotten", tombstoneForgotten)
	run("erased and forgotten", eraseEvidence)
}

func claimCopies(t *testing.T, st Store, now time.Time, lease time.Duration) []uuid.UUID {
	t.Helper()
	copies, err := st.ClaimCopies(t.Context(), now, lease, 100)
	check(t, err)
	var ids []uuid.UUID
	for _, c := range copies {
		ids = append(ids, c.Report)
	}
	return ids
}

func copyLease(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	r := file(t, st, s.tickets[0], start)
	copies, err := st.ClaimCopies(t.Context(), start, time.Minute, 10)
	check(t, err)
	want := []reports.Copy{{Report: r.ID, Source: s.Key, SHA256: *s.SHA256, Size: s.Size, Until: start.Add(pinTime)}}
	same(t, "copies", want, copies)
	same(t, "within the lease", 0, len(claimCopies(t, st, start.Add(time.Minute-time.Microsecond), time.Minute)))
	copies, err = st.ClaimCopies(t.Context(), start.Add(time.Minute), time.Minute, 10)
	check(t, err)
	same(t, "when the lease is over", want, copies)
	check(t, st.PutOffCopy(t.Context(), r.ID, start.Add(time.Hour), false)) // renewed
	same(t, "within the renewed lease", 0, len(claimCopies(t, st, start.Add(time.Hour-time.Microsecond), time.Minute)))
	copied(t, st, r, start.Add(time.Hour))
	same(t, "once it is copied", 0, len(claimCopies(t, st, start.Add(time.Hour), time.Minute)))
}

func copyPutOff(t *testing.T, st Store) {
	r := file(t, st, stored(t, st, viewOnce(), 1, start).tickets[0], start)
	for failures := range 3 {
		now := start.Add(time.Duration(failures) * time.Hour)
		copies, err := st.ClaimCopies(t.Context(), now, time.Minute, 10)
		check(t, err)
		if len(copies) != 1 || copies[0].Failures != failures {
			t.Fatalf("copies: %v", copies)
		}
		check(t, st.PutOffCopy(t.Context(), r.ID, now.Add(time.Hour), true))
		same(t, "before the delay is over", 0, len(claimCopies(t, st, now.Add(time.Hour-time.Microsecond), time.Minute)))
	}
	check(t, st.PutOffCopy(t.Context(), newID(), start, true)) // nobody's
}

// copyLostClock: a lease by a clock that was years ahead keeps nothing for years.
func copyLostClock(t *testing.T, st Store) {
	r := file(t, st, stored(t, st, viewOnce(), 1, start).tickets[0], start)
	same(t, "copies", []uuid.UUID{r.ID}, claimCopies(t, st, start.Add(1000*day), time.Minute))
	same(t, "copies", []uuid.UUID{r.ID}, claimCopies(t, st, start.Add(time.Hour), time.Minute))
	same(t, "copies", 0, len(claimCopies(t, st, start.Add(time.Hour), time.Minute)))
}

func copyOrder(t *testing.T, st Store) {
	var want []uuid.UUID
	for i := range 5 {
		at := start.Add(time.Duration(i) * time.Minute)
		want = append(want, file(t, st, stored(t, st, viewOnce(), 1, start).tickets[0], at).ID)
	}
	now := start.Add(time.Hour)
	for part := range slices.Chunk(want, 2) {
		copies, err := st.ClaimCopies(t.Context(), now, time.Hour, 2)
		check(t, err)
		got := make([]uuid.UUID, len(copies))
		for i, c := range copies {
			got[i] = c.Report
		}
		slices.SortFunc(got, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
		same(t, "copies", part, got)
	}
}

func storeEvidence(t *testing.T, st Store) {
	f := filingOf(stored(t, st, viewOnce(), 1, start).tickets[0], start)
	r := fileAs(t, st, f, reports.StateCopying)
	at := start.Add(time.Hour)
	key, other := blobstore.NewEvidenceKey(r.ID), blobstore.NewEvidenceKey(r.ID)
	for _, k := range []blobstore.Key{key, other} {
		check(t, st.BeginEvidence(t.Context(), r.ID, k, at))
		if !owned(t, st, k) {
			t.Fatal("the key is not on record")
		}
	}
	check(t, st.StoreEvidence(t.Context(), storedEvidence(r, key, at)))
	want := r
	want.State, want.Evidence, want.MediaUntil = reports.StateOpen, reports.EvidenceStored, time.Time{}
	want.ExpiresAt, want.KeepUntil = at.Add(f.Terms.Keep), at.Add(f.Terms.Keep)
	same(t, "report", want, report(t, st, r))

	// Again, by who lost the answer, it is nil; another copy comes too late.
	check(t, st.StoreEvidence(t.Context(), storedEvidence(r, key, at.Add(time.Hour))))
	wantErr(t, st.StoreEvidence(t.Context(), storedEvidence(r, other, at)), reports.ErrTooLate)
	wantErr(t, st.BeginEvidence(t.Context(), r.ID, blobstore.NewEvidenceKey(r.ID), at), reports.ErrTooLate)
	same(t, "report", want, report(t, st, r))
	same(t, "acts", []reports.Act{reports.ActFiled, reports.ActCopied}, actsOf(t, st, r))
	log := logOf(t, st, tenant)
	if last := log[len(log)-1]; last.Actor != reports.ActorServer || *last.Digest != r.SHA256 {
		t.Fatalf("in the log: %+v", last)
	}
	if !owned(t, st, key) || !owned(t, st, other) {
		t.Fatal("a key is nobody's")
	}
	due := claimAll(t, st, f.PinUntil.Add(f.Terms.UploadTTL)) // what the other copy left
	if len(due) != 1 || !slices.Equal(due[0].Keys, []blobstore.Key{other}) {
		t.Fatalf("claimed: %v", due)
	}
}

func storeTooLate(t *testing.T, st Store) {
	late := func(r reports.Report, key blobstore.Key, now time.Time) {
		t.Helper()
		before := actsOf(t, st, r)
		wantErr(t, st.StoreEvidence(t.Context(), storedEvidence(r, key, now)), reports.ErrTooLate)
		wantErr(t, st.BeginEvidence(t.Context(), r.ID, blobstore.NewEvidenceKey(r.ID), now), reports.ErrTooLate)
		same(t, "acts", before, actsOf(t, st, r))
		if !owned(t, st, key) {
			t.Fatal("the key is nobody's, and its bytes with it")
		}
	}
	f := filingOf(stored(t, st, viewOnce(), 1, start).tickets[0], start)
	r := fileAs(t, st, f, reports.StateCopying)
	key := blobstore.NewEvidenceKey(r.ID)
	check(t, st.BeginEvidence(t.Context(), r.ID, key, start))
	late(r, key, f.PinUntil.Add(f.Terms.UploadTTL)) // nobody waits for it any more
	withdrawn(t, st, r, start.Add(time.Hour))
	late(r, key, start.Add(time.Hour))
	due := claimAll(t, st, start.Add(time.Hour))
	if len(due) != 1 || due[0].ID != r.ID || !slices.Equal(due[0].Keys, []blobstore.Key{key}) {
		t.Fatalf("claimed: %v", due)
	}
	late(r, key, start.Add(time.Hour))
}

func foreignEvidenceKey(t *testing.T, st Store) {
	r := file(t, st, stored(t, st, viewOnce(), 1, start).tickets[0], start)
	for _, key := range []blobstore.Key{newKey(r.ID), blobstore.NewEvidenceKey(newID()), "evidence"} {
		if st.BeginEvidence(t.Context(), r.ID, key, start) == nil || owned(t, st, key) {
			t.Fatalf("%q is evidence's", key)
		}
		if st.StoreEvidence(t.Context(), storedEvidence(r, key, start)) == nil {
			t.Fatalf("%q is evidence's", key)
		}
	}
}

// attemptOfEvidence: what a purge may be deleting at this moment is no evidence (P1).
func attemptOfEvidence(t *testing.T, st Store) {
	f := filingOf(stored(t, st, viewOnce(), 1, start).tickets[0], start)
	r := fileAs(t, st, f, reports.StateCopying)
	key := blobstore.NewEvidenceKey(r.ID)
	check(t, st.BeginEvidence(t.Context(), r.ID, key, start))
	check(t, st.AwaitMedia(t.Context(), r.ID, start)) // and so there is more time
	due := claimAll(t, st, f.PinUntil.Add(f.Terms.UploadTTL))
	if len(due) != 1 || due[0].ID != (uuid.UUID{}) || !slices.Equal(due[0].Keys, []blobstore.Key{key}) {
		t.Fatalf("claimed: %v", due)
	}
	at := f.PinUntil.Add(f.Terms.UploadTTL)
	wantErr(t, st.StoreEvidence(t.Context(), storedEvidence(r, key, at)), reports.ErrTooLate)
	check(t, st.Erase(t.Context(), due, at))
	wantErr(t, st.StoreEvidence(t.Context(), storedEvidence(r, key, at)), reports.ErrTooLate)
	copied(t, st, r, at) // under another key
}

func dropEvidenceAttempt(t *testing.T, st Store) {
	r := file(t, st, stored(t, st, viewOnce(), 1, start).tickets[0], start)
	key := blobstore.NewEvidenceKey(r.ID)
	check(t, st.BeginEvidence(t.Context(), r.ID, key, start))
	for range 2 {
		check(t, st.DropAttempt(t.Context(), r.ID, key))
		if owned(t, st, key) {
			t.Fatal("a dropped attempt owns its key")
		}
	}
	wantErr(t, st.StoreEvidence(t.Context(), storedEvidence(r, key, start)), reports.ErrTooLate)
}

// lapsed: what nobody brings leaves a tombstone, and no text of anybody.
func lapsed(t *testing.T, st Store) {
	gone := erased(t, st, 1, start)
	r := fileAs(t, st, filingOf(gone.tickets[0], start), reports.StateAwaitingMedia)
	key := blobstore.NewEvidenceKey(r.ID)
	check(t, st.BeginEvidence(t.Context(), r.ID, key, start)) // and the reporter broke off
	_, err := st.Forget(t.Context(), r.MediaUntil.Add(-time.Microsecond), 10)
	check(t, err)
	due := dueFrom(t, st, r.ID, r.MediaUntil)
	same(t, "due", expiry.Due{
		ID: r.ID, Keys: []blobstore.Key{key}, Size: r.Size, At: r.MediaUntil, Reason: string(tickets.ReasonNotUploaded),
		Policy: "evidence", Evidence: true,
	}, due)
	same(t, "state while it is purged", reports.StateAwaitingMedia, report(t, st, r).State)
	erase(t, st, due, r.MediaUntil)
	want := r
	want.State, want.Evidence, want.Comment, want.SealedKey, want.ErasedAt = reports.StateLapsed, reports.EvidenceGone, "", "", r.MediaUntil
	same(t, "report", want, report(t, st, r))
	same(t, "acts", []reports.Act{reports.ActFiled, reports.ActAwaiting, reports.ActErased}, actsOf(t, st, r))
	wantErr(t, st.BeginEvidence(t.Context(), r.ID, blobstore.NewEvidenceKey(r.ID), start), reports.ErrTooLate)
}

func lapsedCopying(t *testing.T, st Store) {
	s := stored(t, st, viewOnce(), 1, start)
	r := file(t, st, s.tickets[0], start)
	due := claimAll(t, st, r.MediaUntil)
	if len(due) != 1 || due[0].ID != r.ID {
		t.Fatalf("claimed: %v", due)
	}
	check(t, st.Erase(t.Context(), due, r.MediaUntil))
	same(t, "state", reports.StateLapsed, report(t, st, r).State)
	same(t, "copies", 0, len(claimCopies(t, st, r.MediaUntil, time.Minute)))
	check(t, st.AwaitMedia(t.Context(), r.ID, r.MediaUntil))
	same(t, "state", reports.StateLapsed, report(t, st, r).State)
	dueFrom(t, st, s.ID, s.ExpiresAt) // its pin ended long before
}

// erase makes tombstones, twice: a purge may repeat every step.
func erase(t *testing.T, st Store, due expiry.Due, now time.Time) {
	t.Helper()
	check(t, st.Erase(t.Context(), []expiry.Due{due}, now))
	check(t, st.Erase(t.Context(), []expiry.Due{due}, now.Add(time.Hour)))
}

func tombstoneForgotten(t *testing.T, st Store) {
	gone := erased(t, st, 1, start)
	r := fileAs(t, st, filingOf(gone.tickets[0], start), reports.StateAwaitingMedia)
	before := r.MediaUntil.Add(-time.Hour)
	check(t, st.BeginEvidence(t.Context(), r.ID, blobstore.NewEvidenceKey(r.ID), before))
	n, err := st.Forget(t.Context(), r.MediaUntil, 10)
	check(t, err)
	same(t, "forgotten", 1, n)
	wantErr(t, st.BeginEvidence(t.Context(), r.ID, blobstore.NewEvidenceKey(r.ID), before), reports.ErrTooLate)
	_, _, err = st.File(t.Context(), filingOf(gone.tickets[0], before))
	wantErr(t, err, reports.ErrUnknownTicket)
	// A copy that is given up after that has nothing to wait for.
	s := stored(t, st, viewOnce(), 1, start)
	other := file(t, st, s.tickets[0], s.ExpiresAt)
	end := s.ExpiresAt.Add(pinTime)
	due := claimAll(t, st, end)
	check(t, st.Erase(t.Context(), due, end))
	_, err = st.Forget(t.Context(), end.Add(100*day), 10)
	check(t, err)
	copies, err := st.ClaimCopies(t.Context(), end, time.Minute, 10)
	check(t, err)
	if len(copies) != 1 || copies[0].Source != "" {
		t.Fatalf("copies: %v", copies)
	}
	check(t, st.AwaitMedia(t.Context(), other.ID, end))
	same(t, "media until", end, report(t, st, other).MediaUntil)
}

// eraseEvidence: with the bytes go the texts and the sealed key, and with the tombstone
// the report.
func eraseEvidence(t *testing.T, st Store) {
	r, key := opened(t, st, start)
	m := moderator(t, st)
	r = decided(t, st, m, r, reports.StateUpheld, start)
	due := dueOf(t, st, r.ID, r.ExpiresAt)
	same(t, "due", expiry.Due{
		ID: r.ID, Keys: []blobstore.Key{key}, Size: r.Size, At: r.ExpiresAt, Reason: "retention",
		SHA256: &r.SHA256, Policy: "evidence", StoredAt: start, Evidence: true,
	}, due)
	want := r
	want.Evidence = reports.EvidenceGone
	same(t, "report while it is purged", want, report(t, st, r))
	erase(t, st, due, r.ExpiresAt)
	want.Comment, want.SealedKey, want.ErasedAt = "", "", r.ExpiresAt
	same(t, "report", want, report(t, st, r))
	acts := actsOf(t, st, r)
	same(t, "acts", []reports.Act{reports.ActFiled, reports.ActCopied, reports.ActClaimed, reports.ActUpheld, reports.ActErased}, acts)

	forget := r.ExpiresAt.Add(90 * day)
	_, err := st.Forget(t.Context(), forget.Add(-time.Microsecond), 1000)
	check(t, err)
	same(t, "report before its tombstone is forgotten", want, report(t, st, r))
	_, err = st.Forget(t.Context(), forget, 1000)
	check(t, err)
	_, err = st.Report(t.Context(), tenant, r.ID)
	wantErr(t, err, reports.ErrUnknownReport)
	same(t, "the log forgets nothing", acts, actsOf(t, st, r))
	logOf(t, st, tenant)
	wantErr(t, st.StoreEvidence(t.Context(), storedEvidence(r, key, forget)), reports.ErrTooLate)
	check(t, st.AwaitMedia(t.Context(), r.ID, forget))
}

// dueOf is the blob as the purge finds it at that moment, among others, and not before.
func dueOf(t *testing.T, st Store, id uuid.UUID, at time.Time) expiry.Due {
	t.Helper()
	is := func(d expiry.Due) bool { return d.ID == id }
	if due := claimAll(t, st, at.Add(-time.Microsecond)); slices.ContainsFunc(due, is) {
		t.Fatalf("claimed early: %v", due)
	}
	due := claimAll(t, st, at)
	i := slices.IndexFunc(due, is)
	if i < 0 {
		t.Fatalf("not claimed: %v", due)
	}
	same(t, "due at", at, due[i].At)
	return due[i]
}
