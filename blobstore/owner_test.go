package blobstore_test

import (
	"testing"

	"mayfly/blobstore"
)

func TestOwner(t *testing.T) {
	t.Parallel()
	id := [16]byte{0x01, 0x93, 15: 0xc4}
	for name, c := range map[string]struct {
		key      blobstore.Key
		owned    bool
		evidence bool
	}{
		"of a blob":      {blobstore.NewKey(id), true, false},
		"of an attempt":  {blobstore.AttemptKey(id, [8]byte{1}), true, false},
		"of evidence":    {blobstore.NewEvidenceKey(id), true, true},
		"no attempt":     {"01930000000000000000000000000000c4", false, false},
		"short attempt":  {"019300000000000000000000000000c4-0123", false, false},
		"short owner":    {"0193-0123456789abcdef", false, false},
		"no hex":         {"z19300000000000000000000000000c4-0123456789abcdef", false, false},
		"evidence alone": {"evidence-0123456789abcdef", false, false},
		"marked twice":   {"019300000000000000000000000000c4-evidence-evidence-0123456789abcdef", false, false},
		"somebody's own": {"not-one-of-ours", false, false},
	} {
		owner, ok := c.key.Owner()
		if ok != c.owned || c.key.IsEvidence() != c.evidence {
			t.Errorf("%s: %s: owned %v, evidence %v", name, c.key, ok, c.key.IsEvidence())
		}
		if ok && owner != id {
			t.Errorf("%s: %s: owner %x", name, c.key, owner)
		}
		if _, err := blobstore.ParseKey(string(c.key)); ok && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, attempt := range map[string]func([16]byte) blobstore.Key{"blob": blobstore.NewKey, "evidence": blobstore.NewEvidenceKey} {
		first, second := attempt(id), attempt(id)
		if first == second {
			t.Errorf("%s: two attempts have one key", name)
		}
	}
}
