package expiry

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"mayfly/blobstore"
)

// row is what the tombstone of a receipt has of it.
func row(r Receipt) Receipt {
	return Receipt{Blob: r.Blob, SHA256: r.SHA256, Size: r.Size, Reason: r.Reason, Policy: r.Policy, StoredAt: r.StoredAt}
}

// TestEnvelopeIsWhatWasSigned: of whatever can be true, in groups of every size, what is put
// together later verifies, and says byte for byte what was signed.
func TestEnvelopeIsWhatWasSigned(t *testing.T) {
	t.Parallel()
	s := newTestSigner(t)
	keys := s.Keyring()
	r := rand.New(rand.NewPCG(3, 4))
	for size := 1; size <= 40; size++ {
		group := make([]Receipt, size)
		for i := range group {
			group[i] = possible(r, randomReceipt(r))
		}
		most := int64(math.MaxInt64)
		group[0].VersionsRemoved, group[0].Size = &most, most
		group[0].VerifiedAbsentAt = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
		proofs, err := s.Sign(group...)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range group {
			e, err := Envelope(row(c), proofs[i])
			if err != nil {
				t.Fatal(err)
			}
			v, err := keys.Verify(e)
			if err != nil {
				t.Fatalf("%d of %d: %v\n%s", i, size, err, e)
			}
			want, err := json.Marshal(c.normal())
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(v.Payload, want) || v.KeyID != s.KeyID() {
				t.Fatalf("%d of %d:\n got %s\nwant %s", i, size, v.Payload, want)
			}
		}
	}
}

// TestSignPassesOver: a receipt that cannot be true takes nothing from the others.
func TestSignPassesOver(t *testing.T) {
	t.Parallel()
	s := newTestSigner(t)
	r := rand.New(rand.NewPCG(5, 6))
	good, bad := possible(r, randomReceipt(r)), possible(r, randomReceipt(r))
	bad.ErasedAt = bad.DueAt.Add(-time.Second)
	for _, group := range [][]Receipt{{bad}, {bad, good}, {good, bad, good}, {bad, bad, good, good, good}} {
		proofs, err := s.Sign(group...)
		if err == nil || len(proofs) != len(group) {
			t.Fatalf("%d proofs of %d, %v", len(proofs), len(group), err)
		}
		for i, c := range group {
			if c.ErasedAt.Before(c.DueAt) {
				if proofs[i] != nil {
					t.Error("a lie is signed")
				}
				continue
			}
			e, err := Envelope(row(c), proofs[i])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Keyring().Verify(e); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestRowThatWasChanged: the receipt binds all that its row says.
func TestRowThatWasChanged(t *testing.T) {
	t.Parallel()
	s := newTestSigner(t)
	r := rand.New(rand.NewPCG(7, 8))
	group := []Receipt{possible(r, Receipt{Blob: [16]byte{1}, SHA256: new(blobstore.Digest{1})}), possible(r, Receipt{Blob: [16]byte{2}})}
	proofs, err := s.Sign(group...)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Receipt){
		"blob": func(r *Receipt) { r.Blob[15]++ }, "size": func(r *Receipt) { r.Size++ },
		"digest": func(r *Receipt) { r.SHA256 = new(blobstore.Digest{2}) },
		"reason": func(r *Receipt) { r.Reason += "x" }, "policy": func(r *Receipt) { r.Policy += "x" },
		"stored": func(r *Receipt) { r.StoredAt = r.StoredAt.Add(time.Microsecond) },
	} {
		changed := row(group[0])
		change(&changed)
		e, err := Envelope(changed, proofs[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Keyring().Verify(e); err == nil {
			t.Errorf("another %s is believed", name)
		}
	}
	if e, err := Envelope(row(group[0]), proofs[1]); err == nil {
		if _, err := s.Keyring().Verify(e); err == nil {
			t.Error("another's proof is believed")
		}
	}
}

// golden are proofs as this format wrote them once, with the rows that they are of.
type golden struct {
	Row             Receipt
	Proof, Envelope string
}

// TestOldProofs: what a tombstone keeps today must give the same receipt for as long as the
// tombstone is there, whatever Mayfly signs by then.
func TestOldProofs(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile(filepath.Join("testdata", "proofs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []golden
	if err := json.Unmarshal(file, &all); err != nil {
		t.Fatal(err)
	}
	for i, g := range all {
		proven, err := hex.DecodeString(g.Proof)
		if err != nil {
			t.Fatal(err)
		}
		e, err := Envelope(g.Row, proven)
		if err != nil || string(e) != g.Envelope {
			t.Errorf("%d: %v\n got %s\nwant %s", i, err, e, g.Envelope)
		}
	}
	if len(all) != 4 {
		t.Errorf("%d proofs", len(all))
	}
}

// TestDamagedProofs: what the database has lost or changed is an error or does not verify.
func TestDamagedProofs(t *testing.T) {
	t.Parallel()
	s := newTestSigner(t)
	r := rand.New(rand.NewPCG(9, 10))
	group := make([]Receipt, 5)
	for i := range group {
		group[i] = possible(r, randomReceipt(r))
	}
	proofs, err := s.Sign(group...)
	if err != nil {
		t.Fatal(err)
	}
	believed := func(proven []byte) bool {
		e, err := Envelope(row(group[4]), proven)
		if err != nil {
			return false
		}
		_, err = s.Keyring().Verify(e)
		return err == nil
	}
	good := proofs[4]
	if !believed(good) {
		t.Fatal("the proof as it was made is not believed")
	}
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if believed(bad) {
				t.Errorf("byte %d with bit %d turned is believed", i, bit)
			}
		}
		if believed(good[:i]) {
			t.Errorf("it is believed when cut at byte %d", i)
		}
	}
	if believed(append(bytes.Clone(good), make([]byte, 32)...)) || believed(nil) {
		t.Error("a path that is too long, or nothing, is believed")
	}
	newer := bytes.Clone(good)
	newer[0] = proofFormat + 1
	if _, err := Envelope(row(group[4]), newer); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("of a format of tomorrow: %v", err)
	}
}

func FuzzProof(f *testing.F) {
	file, err := GenerateKey()
	if err != nil {
		f.Fatal(err)
	}
	s, err := NewSigner(file)
	if err != nil {
		f.Fatal(err)
	}
	r := possible(rand.New(rand.NewPCG(1, 2)), Receipt{Blob: [16]byte{1}})
	for _, group := range [][]Receipt{{r}, {r, r, r}} {
		proofs, err := s.Sign(group...)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(proofs[0])
	}
	f.Fuzz(func(t *testing.T, proven []byte) {
		p, err := parseProof(proven)
		if err != nil {
			return
		}
		if again, err := parseProof(p.bytes()); err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%+v becomes %+v, %v", p, again, err)
		}
		if e, err := Envelope(row(r), proven); err == nil && !json.Valid(e) {
			t.Errorf("%s", e)
		}
	})
}
