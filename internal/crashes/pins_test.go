package crashes

import (
	"testing"

	"github.com/google/uuid"

	"mayfly/internal/world"
	"mayfly/reports"
)

// TestPinsCanFail: the check of what is pinned sees that it is not there.
func TestPinsCanFail(t *testing.T) {
	t.Parallel()
	l := newLife(t, combinations[0].site(t), false)
	b := l.stored()
	l.reports(b, b.tickets[0])
	l.must("unsend", l.unsends(b))
	pinned := func() error { return world.CheckPins(l.Context(), l.db, l.bytes, tenant, l.clock.Now()) }
	l.must("look at what is pinned", pinned())
	row, _, err := l.db.Blob(l.ctx, tenant, b.id, 1)
	l.must("look at the blob", err)
	l.must("delete", l.bytes.Delete(l.ctx, row.Key))
	if pinned() == nil {
		t.Error("pinned bytes are gone, and nobody sees it")
	}
	l.clock.move(8 * day)
	l.must("look once the pin has ended", pinned())
}

// TestHold: what is on hold outlives its outcome, a withdrawal and the purge, for as long
// as the hold lasts; two people end it.
func TestHold(t *testing.T) {
	for _, c := range combinations {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLife(t, c.site(t), false)
			r := l.copied()
			l.moderates(r)
			_, err := l.desk.PutHold(l.ctx, l.moderator(), r.id, reports.NewHold{
				Class: reports.HoldReview, Reason: "an appeal", Until: l.clock.Now().Add(60 * day),
			})
			l.must("hold", err)
			for range 2 {
				l.clock.move(20 * day)
				if p, err := l.purge.Run(l.ctx); err != nil || p.Failed > 0 {
					t.Fatalf("purge: %+v, %v", p, err)
				}
				l.refused("withdraw", l.withdraws(r), reports.ErrOnHold)
				if row := l.row(r); row.Evidence != reports.EvidenceStored || row.SealedKey == "" {
					t.Errorf("on hold the evidence is %s, with a sealed key of %d bytes", row.Evidence, len(row.SealedKey))
				}
				l.check()
			}
			for i, m := range []reports.Moderator{l.moderator(), {Tenant: tenant, Key: uuid.New()}} {
				if _, freed, err := l.desk.Free(l.ctx, m, r.id); err != nil || freed != (i == 1) {
					t.Errorf("person %d asks that the hold ends: %v, %v", i+1, freed, err)
				}
			}
			l.must("withdraw", l.withdraws(r))
			l.gone(r)
			l.finish()
		})
	}
}
