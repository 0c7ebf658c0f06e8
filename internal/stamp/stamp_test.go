package stamp_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/internal/stamp"
)

// Keys of tests: 0, 1, 2 … 31; and 32 zeros.
const (
	keyA = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	keyB = "0000000000000000000000000000000000000000000000000000000000000000"
)

func keyring(t testing.TB, lines ...string) *stamp.Keyring {
	t.Helper()
	k, err := stamp.Parse(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func upload() stamp.Upload {
	return stamp.Upload{
		Blob:          uuid.MustParse("0193b1c2-6d2f-7b3a-8f60-51b0d3f0a9c4"),
		SHA256:        sha256.Sum256([]byte("abc")),
		Size:          482133,
		KeyCommitment: "commit:sha256:abc",
		Context:       "conversation 7 — ü",
		StoredAt:      time.Date(2026, time.November, 22, 9, 30, 0, 123456000, time.UTC),
	}
}

// TestGolden: python3's hmac, hashlib and struct made these from the package's doc.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key    string
		upload stamp.Upload
		want   string
	}{
		{keyA, upload(), "v1.ad06a13fe6c6f7d4.2wSZDjcK3dVEFYVVKCuUhO8fENi87HxB6xuIeHuhHNo"},
		{keyB, stamp.Upload{StoredAt: time.Unix(0, 0)}, "v1.405dd059f0684245.f8KTHYjB9vaLwcU-fh-8dUj9XrLktVgCho772108QrY"},
	} {
		k := keyring(t, c.key)
		if got := k.Stamp(c.upload); got != c.want {
			t.Errorf("Stamp = %s, want %s", got, c.want)
		}
		if got := k.Verify(c.upload, c.want); got != stamp.Valid {
			t.Errorf("Verify = %s", got)
		}
	}
}

func TestEveryFieldCounts(t *testing.T) {
	t.Parallel()
	k := keyring(t, keyA)
	made := k.Stamp(upload())
	for name, change := range map[string]func(*stamp.Upload){
		"blob":           func(u *stamp.Upload) { u.Blob[15] ^= 1 },
		"sha256":         func(u *stamp.Upload) { u.SHA256[0] ^= 0x80 },
		"size":           func(u *stamp.Upload) { u.Size++ },
		"key commitment": func(u *stamp.Upload) { u.KeyCommitment += " " },
		"no commitment":  func(u *stamp.Upload) { u.KeyCommitment = "" },
		"context":        func(u *stamp.Upload) { u.Context = "Conversation 7 — ü" },
		"no context":     func(u *stamp.Upload) { u.Context = "" },
		"time":           func(u *stamp.Upload) { u.StoredAt = u.StoredAt.Add(time.Microsecond) },
		"time zero":      func(u *stamp.Upload) { u.StoredAt = time.Time{} },
		// The lengths keep these apart.
		"moved between texts": func(u *stamp.Upload) {
			u.KeyCommitment, u.Context = u.KeyCommitment+u.Context[:1], u.Context[1:]
		},
		"all in one text": func(u *stamp.Upload) { u.KeyCommitment, u.Context = u.KeyCommitment+u.Context, "" },
	} {
		u := upload()
		change(&u)
		if got := k.Verify(u, made); got != stamp.Invalid {
			t.Errorf("another %s is %s", name, got)
		}
		if k.Stamp(u) == made {
			t.Errorf("another %s has the same stamp", name)
		}
	}
}

// A database gives back microseconds, in another zone or with a monotonic clock left out.
func TestSameTimeInOtherForms(t *testing.T) {
	t.Parallel()
	k, u := keyring(t, keyA), upload()
	u.StoredAt = u.StoredAt.Add(999 * time.Nanosecond)
	made := k.Stamp(u)
	u.StoredAt = time.UnixMicro(u.StoredAt.UnixMicro()).In(time.FixedZone("", 3*3600))
	if got := k.Verify(u, made); got != stamp.Valid {
		t.Errorf("as a database has it: %s", got)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	before, after := keyring(t, keyA), keyring(t, keyA, keyB)
	old := before.Stamp(upload())
	if got := after.Verify(upload(), old); got != stamp.Valid {
		t.Errorf("a stamp of before the rotation is %s", got)
	}
	fresh := after.Stamp(upload())
	if fresh != keyring(t, keyB).Stamp(upload()) {
		t.Error("the last key does not stamp")
	}
	if got := after.Verify(upload(), fresh); got != stamp.Valid {
		t.Errorf("a stamp of the new key is %s", got)
	}
	if got := before.Verify(upload(), fresh); got != stamp.UnknownKey {
		t.Errorf("a stamp of a key that is not in the keyring is %s", got)
	}
	// The mac of one key under the id of another.
	if got := after.Verify(upload(), fresh[:20]+old[20:]); got != stamp.Invalid {
		t.Errorf("a mac of another key is %s", got)
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	k := keyring(t, keyA)
	made := k.Stamp(upload())
	const unknown = "v1.0123456789abcdef."
	mac := made[20:]
	for _, s := range []string{
		" ", "v1", "v1.", "v1..", "v1.ad06a13fe6c6f7d4", "v1.ad06a13fe6c6f7d4.", made[1:], made[:len(made)-1], made + "A", made + "=", " " + made, made + "\n",
		"v2" + made[2:], "V1" + made[2:], strings.Replace(made, "ad06", "AD06", 1), strings.Replace(made, "ad06", "xd06", 1),
		"v1." + mac, "v1.ad06a13fe6c6f7d." + mac, "v1.ad06a13fe6c6f7d40." + mac,
		// The last digit of 43 has two bits that mean nothing, and must be 0.
		made[:len(made)-1] + "p", strings.Replace(made, "wSZ", "w+Z", 1), made[:30] + "\n" + made[31:], made[:30] + "\r" + made[31:],
		made[:20] + strings.Repeat("é", 21) + "A",
		unknown, unknown + "x", unknown + strings.Repeat("!", 43), strings.Repeat("v1.", 1<<16),
	} {
		if got := k.Verify(upload(), s); got != stamp.Invalid {
			t.Errorf("%.80q is %s", s, got)
		}
	}
	if got := k.Verify(upload(), unknown+mac); got != stamp.UnknownKey {
		t.Errorf("an unknown key is %s", got)
	}
	if got := k.Verify(upload(), ""); got != stamp.None {
		t.Errorf("no stamp is %s", got)
	}
}

// TestEveryBitCounts flips each bit of a stamp.
func TestEveryBitCounts(t *testing.T) {
	t.Parallel()
	k := keyring(t, keyB, keyA)
	made := k.Stamp(upload())
	for i := range made {
		for bit := range 8 {
			changed := []byte(made)
			changed[i] ^= 1 << bit
			if got := k.Verify(upload(), string(changed)); got != stamp.Invalid && got != stamp.UnknownKey {
				t.Errorf("bit %d of byte %d: %s", bit, i, got)
			}
		}
	}
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	k := keyring(t, keyB, keyA)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			u := upload()
			for i := range 200 {
				u.Size, u.Context = int64(g*1000+i), fmt.Sprint(i)
				if got := k.Verify(u, k.Stamp(u)); got != stamp.Valid {
					t.Errorf("%d of %d: %s", i, g, got)
					return
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkStamp(b *testing.B) {
	k, u := keyring(b, keyA), upload()
	u.KeyCommitment, u.Context = strings.Repeat("k", 64), strings.Repeat("c", 128)
	b.ReportAllocs()
	for b.Loop() {
		k.Stamp(u)
	}
}

func BenchmarkVerify(b *testing.B) {
	k, u := keyring(b, keyA), upload()
	made := k.Stamp(u)
	b.ReportAllocs()
	for b.Loop() {
		k.Verify(u, made)
	}
}
