package formats

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// The commitments were made with Python's hashlib, from the text of design and API.
// They are a promise to uploaders: what was committed to must verify later.
func TestCommitmentIsAsPromised(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ format, material, want string }{
		{Age, `{"identity":"AGE-SECRET-KEY-184JMZMVQH3E6U0PSL869004Y3U2NYV7R30EU99CSEDNPH02YUVFSZW44VU"}`, "sha256:dc1e98312749274d9e5bbb4a129bec8e8d25ea4b09da836f794cbb47e0fa4286"},
		{Matrix, `{"v":"v2","key":{"kty":"oct","alg":"A256CTR","k":"__________________________________________8"},"iv":"//////////8AAAAAAAAAAA","hashes":{"sha256":"YzF08lARDdOCzJpzuSwsjTNlQc4pHxpdHcXiD/wpK6k"}}`, "sha256:aed05d8ed1d8999199fb1aa2a7cf922edc584c22844d8518a1ba6e7a407c51c3"},
		{Signal, `{"keys":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==","size":7}`, "sha256:dd9046e34f8839bd8c0fd2e22bc01fb995f16e2b1c14a24d1148eed90f213d7c"},
		{WhatsApp, `{"media_key":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","media_type":"image"}`, "sha256:a91aa5895f27895d7dd105f0cc8d4481115aee0f2e075a29c850503cf3cf9869"},
		{XEP0454, `{"fragment":"CAFEBABEfacedbaddecaf888feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"}`, "sha256:99089d37af50a403695c4d9f3c789561fb3895f466a762e82debf6f712320927"},
	} {
		k := mustParse(t, c.format, c.material)
		if got := k.Commitment(); got != c.want {
			t.Errorf("%s: %s", c.format, got)
		}
		if k.Format() != c.format || k.CommitsToKey() != (c.format == Age) {
			t.Errorf("%s: Format %s, CommitsToKey %v", c.format, k.Format(), k.CommitsToKey())
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t, 1, nil) {
		k := mustParse(t, s.format, s.material)
		ours := k.Commitment()
		alone := Unverified
		if s.format == Age {
			alone = Committed
		}
		for _, c := range []struct {
			name, commitment string
			want             Binding
		}{
			{"none", "", alone},
			{"ours", ours, Matches},
			{"ours in capitals", "sha256:" + strings.ToUpper(ours[7:]), Matches},
			{"another", "sha256:" + strings.Repeat("0", 64), Mismatch},
			{"ours but for the last digit", ours[:70] + string("0123456789abcdef"[(strings.IndexByte("0123456789abcdef", ours[70])+1)%16]), Mismatch},
			{"another scheme", "sha512:" + ours[7:], alone},
			{"no scheme", ours[7:], alone},
			{"cut off", ours[:69], alone},
			{"longer", ours + "00", alone},
			{"not hex", ours[:70] + "g", alone},
			{"white space", " " + ours, alone},
		} {
			if got := Judge(k, c.commitment); got != c.want {
				t.Errorf("%s: %s: %s, not %s", s.format, c.name, got, c.want)
			}
		}
	}
}

func TestKeysDifferInCommitment(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for seed := byte(1); seed <= 2; seed++ {
		for i, s := range samples(t, seed, nil) {
			c := mustParse(t, s.format, s.material).Commitment()
			if other, ok := seen[c]; ok && s.format != Signal { // of which there are two samples
				t.Errorf("%s (%d) of seed %d commits as %s does", s.format, i, seed, other)
			}
			seen[c] = s.format
		}
	}
	s := sampleWhatsApp(1, nil)
	if image := mustParse(t, WhatsApp, strings.Replace(s.material, "video", "image", 1)); seen[image.Commitment()] != "" {
		t.Error("the type of media is not in the commitment")
	}
}

// One ciphertext, two keys that open it, and only the commitment tells which of them
// the sender meant. (WhatsApp would take 2^40 tries. Of age there are no two.)
func TestTwoKeysAreToldApart(t *testing.T) {
	t.Parallel()
	keys := keyBytes(1, 64)
	matrix := sampleMatrix(1, []byte(fox))
	signal := sampleSignal(1, []byte(fox))
	signalMaterial, _, _ := strings.Cut(signal.material, `,"digest"`)
	// The MAC's half stays; of the other, any that makes a padding.
	other := ""
	for n := byte(2); other == ""; n++ {
		m := fmt.Sprintf(`{"keys":%q}`, base64.StdEncoding.EncodeToString(append(keyBytes(n, 32), keys[32:]...)))
		if _, err := decrypt(mustParse(t, Signal, m), signal.ciphertext); err == nil {
			other = m
		}
	}
	iv, k1, k2 := keys[:12], keyBytes(2, 32), keyBytes(3, 32)
	gcm := func(key []byte) string { return fmt.Sprintf(`{"fragment":"%x%x"}`, iv, key) }
	for _, c := range []struct {
		format, sent, forged string
		ciphertext           []byte
	}{
		{Matrix, matrix.material, strings.Replace(matrix.material, base64.RawURLEncoding.EncodeToString(keys[:32]), base64.RawURLEncoding.EncodeToString(k2), 1), matrix.ciphertext},
		{Signal, signalMaterial + "}", other, signal.ciphertext},
		{XEP0454, gcm(k1), gcm(k2), salamander(iv, k1, k2, []byte("sixteen bytes of"))},
	} {
		sent, forged := mustParse(t, c.format, c.sent), mustParse(t, c.format, c.forged)
		a, err1 := decrypt(sent, c.ciphertext)
		b, err2 := decrypt(forged, c.ciphertext)
		if err1 != nil || err2 != nil || bytes.Equal(a, b) {
			t.Errorf("%s: no two plaintexts: %v, %v", c.format, err1, err2)
		}
		if x, y := Judge(sent, sent.Commitment()), Judge(forged, sent.Commitment()); x != Matches || y != Mismatch {
			t.Errorf("%s: the sender's key %s, the other %s", c.format, x, y)
		}
		if x, y := Judge(sent, ""), Judge(forged, ""); x != Unverified || y != Unverified {
			t.Errorf("%s: without a commitment %s and %s", c.format, x, y)
		}
	}
}

// salamander is a ciphertext of AES-256-GCM that opens with both keys: to text, one
// block, with the first (and garbage after it). Its second block is what makes both
// tags one (Dodis et al., section 3):
//
//	c·H³ ⊕ x·H² ⊕ len·H ⊕ E(J), the same for H1, E1 and H2, E2; solved for x
func salamander(iv, k1, k2, text []byte) []byte {
	counter := func(n uint32) []byte { return binary.BigEndian.AppendUint32(bytes.Clone(iv), n) }
	h1, h2 := encryptBlock(k1, make([]byte, 16)), encryptBlock(k2, make([]byte, 16))
	e1, e2 := encryptBlock(k1, counter(1)), encryptBlock(k2, counter(1))
	c := xor(text, encryptBlock(k1, counter(2)))
	length := make([]byte, 16)
	length[14] = 1 // 256 bits of ciphertext, and nothing else
	sq1, sq2 := times(h1, h1), times(h2, h2)
	sum := xor(times(c, xor(times(sq1, h1), times(sq2, h2))), times(length, xor(h1, h2)))
	x := times(xor(sum, xor(e1, e2)), inverse(xor(sq1, sq2)))
	tag := xor(xor(times(c, times(sq1, h1)), times(x, sq1)), xor(times(length, h1), e1))
	return append(append(c, x...), tag...)
}

// times multiplies in GCM's field (NIST SP 800-38D, algorithm 1).
func times(x, y []byte) []byte {
	z, v := make([]byte, 16), bytes.Clone(y)
	for i := range 128 {
		if x[i/8]>>(7-i%8)&1 == 1 {
			z = xor(z, v)
		}
		odd := v[15] & 1
		for j := 15; j > 0; j-- {
			v[j] = v[j]>>1 | v[j-1]<<7
		}
		v[0] = v[0]>>1 ^ odd*0xe1
	}
	return z
}

// inverse is x to the 2^128 - 2.
func inverse(x []byte) []byte {
	out := unhex("80000000000000000000000000000000") // one
	for range 127 {
		x = times(x, x)
		out = times(out, x)
	}
	return out
}

// An IV of 16 bytes has no published vector in XEP-0454's form. It is hashed to the
// first counter block (NIST SP 800-38D, 7.1); this is that by hand, for one block.
func TestXEP0454LongIV(t *testing.T) {
	t.Parallel()
	key, iv, text := keyBytes(1, 32), keyBytes(2, 16), []byte("sixteen bytes of")
	h := encryptBlock(key, make([]byte, 16))
	bits := func(n int) []byte { b := make([]byte, 16); b[15] = byte(n); return b }
	j := times(xor(times(iv, h), bits(128)), h)
	next := bytes.Clone(j)
	binary.BigEndian.PutUint32(next[12:], binary.BigEndian.Uint32(next[12:])+1)
	c := xor(text, encryptBlock(key, next))
	length := make([]byte, 16)
	length[15] = 128
	tag := xor(times(xor(times(c, h), length), h), encryptBlock(key, j))
	got, err := decrypt(mustParse(t, XEP0454, `{"fragment":"`+hex.EncodeToString(append(iv, key...))+`"}`), append(c, tag...))
	if err != nil || !bytes.Equal(got, text) {
		t.Errorf("%q, %v", got, err)
	}
}
