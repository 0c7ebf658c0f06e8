package sqlstore

import (
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"mayfly/tickets"
)

// TestLookupsOfABatch: each caller of a batch gets its own ticket, also two that ask for
// the same one, and nobody another's.
func TestLookupsOfABatch(t *testing.T) {
	t.Parallel()
	st := openAt(t, filepath.Join(t.TempDir(), "mayfly.db"))
	var batch []*lookup
	for _, of := range storeMany(t, st, 4) {
		sp := spendFor(of, hashOf(uuid.New()))
		batch = append(batch, &lookup{id: sp.Ticket, hash: sp.Hash})
	}
	batch[1].id = uuid.New()
	batch[2].hash = hashOf(uuid.New())
	batch = append(batch, &lookup{id: batch[0].id, hash: batch[0].hash})
	for i, err := range embedded(st).lookUp(batch) {
		l := batch[i]
		unknown := i == 1 || i == 2
		if err != nil || l.found == unknown {
			t.Errorf("lookup %d: found %t, %v", i, l.found, err)
		}
		if !unknown && (l.t.ID != l.id || l.t.Hash != l.hash || l.b.ID != l.t.BlobID || l.b.Key == "") {
			t.Errorf("lookup %d: ticket %s of blob %s under %q", i, l.t.ID, l.b.ID, l.b.Key)
		}
	}
}

// TestLookupFailsAlone: of a batch only the caller whose row is damaged is told so, and no
// reader stays in the snapshot: what is committed next is seen.
func TestLookupFailsAlone(t *testing.T) {
	t.Parallel()
	st := openAt(t, filepath.Join(t.TempDir(), "mayfly.db"))
	all := storeMany(t, st, 3)
	must(t, st, func(c *conn) error {
		_, err := c.exec("PRAGMA ignore_check_constraints = 1")
		if err == nil {
			_, err = c.exec("UPDATE blobs SET sha256 = x'00' WHERE id = $1", all[1].BlobID[:])
		}
		return err
	})
	for _, state := range []tickets.TicketState{tickets.TicketReady, tickets.TicketRevoked} {
		for range 4 * cap(embedded(st).readers.quick) {
			var batch []*lookup
			for _, one := range all {
				batch = append(batch, &lookup{id: one.ID, hash: one.Hash})
			}
			for i, err := range embedded(st).lookUp(batch) {
				switch l := batch[i]; {
				case i == 1 && err == nil:
					t.Fatal("a digest of one byte was taken")
				case i != 1 && (err != nil || !l.found || l.t.State != state):
					t.Fatalf("lookup %d: found %t, %s, %v", i, l.found, l.t.State, err)
				}
			}
		}
		for range cap(embedded(st).readers.quick) { // each has its turn
			if found, _, err := st.FindTicket(t.Context(), all[0].ID, all[0].Hash); err != nil || found.State != state {
				t.Fatalf("a reader sees %s, not %s; %v", found.State, state, err)
			}
		}
		for _, one := range []tickets.Ticket{all[0], all[2]} {
			if err := st.Revoke(t.Context(), "acme", one.BlobID, one.ID, benchStart); err != nil {
				t.Fatal(err)
			}
		}
	}
}
