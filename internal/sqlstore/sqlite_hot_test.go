package sqlstore

import (
	"path/filepath"
	"testing"

	"github.com/google/uuid"
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
