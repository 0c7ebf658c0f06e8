package formats

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"filippo.io/age"
)

// sample is a blob of a format, encrypted by the test: what a sender would do, from
// the format's description and not with the package's code.
type sample struct {
	format     string
	material   string
	plaintext  []byte
	ciphertext []byte
}

// The keys of samples: other seeds, other keys.
func keyBytes(seed byte, n int) []byte {
	b := make([]byte, 0, n+sha256.Size)
	for i := byte(0); len(b) < n; i++ {
		sum := sha256.Sum256([]byte{seed, i})
		b = append(b, sum[:]...)
	}
	return b[:n]
}

func samples(t *testing.T, seed byte, plaintext []byte) []sample {
	t.Helper()
	return []sample{
		sampleAge(t, seed, plaintext), sampleMatrix(seed, plaintext), sampleSignal(seed, plaintext),
		withoutDigest(sampleSignal(seed, plaintext)),
		sampleWhatsApp(seed, plaintext), sampleXEP0454(t, seed, 12, plaintext), sampleXEP0454(t, seed, 16, plaintext),
	}
}

// ageIdentities are published ones: CCTV's and the one of age's example.
var ageIdentities = map[byte]string{
	1: "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0",
	2: "AGE-SECRET-KEY-184JMZMVQH3E6U0PSL869004Y3U2NYV7R30EU99CSEDNPH02YUVFSZW44VU",
}

func sampleAge(t *testing.T, seed byte, plaintext []byte) sample {
	t.Helper()
	i, err := age.ParseX25519Identity(ageIdentities[seed])
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, i.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plaintext); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return sample{Age, fmt.Sprintf(`{"identity":%q}`, i), plaintext, out.Bytes()}
}

func sampleMatrix(seed byte, plaintext []byte) sample {
	key, iv := keyBytes(seed, 32), append(keyBytes(seed, 40)[32:], make([]byte, 8)...)
	ciphertext := ctrByBlocks(key, iv, plaintext)
	sum := sha256.Sum256(ciphertext)
	return sample{Matrix, fmt.Sprintf(`{"v":"v2","url":"mxc://example.org/x","key":{"kty":"oct","key_ops":["encrypt","decrypt"],"alg":"A256CTR","k":%q,"ext":true},"iv":%q,"hashes":{"sha256":%q}}`,
		base64.RawURLEncoding.EncodeToString(key), base64.RawStdEncoding.EncodeToString(iv), base64.RawStdEncoding.EncodeToString(sum[:])), plaintext, ciphertext}
}

func sampleSignal(seed byte, plaintext []byte) sample {
	keys, iv := keyBytes(seed, 64), keyBytes(seed, 80)[64:]
	padded := append(bytes.Clone(plaintext), make([]byte, 33)...)
	ciphertext := append(bytes.Clone(iv), cbcByBlocks(keys[:32], iv, padded)...)
	ciphertext = append(ciphertext, macOf(keys[32:], ciphertext)...)
	digest := sha256.Sum256(ciphertext)
	return sample{Signal, fmt.Sprintf(`{"keys":%q,"digest":%q,"size":%d}`,
		base64.StdEncoding.EncodeToString(keys), base64.StdEncoding.EncodeToString(digest[:]), len(plaintext)), plaintext, ciphertext}
}

// withoutDigest leaves Signal's MAC alone with the ciphertext.
func withoutDigest(s sample) sample {
	keys, rest, _ := strings.Cut(s.material, `"digest"`)
	_, size, _ := strings.Cut(rest, ",")
	s.material = keys + size
	return s
}

func sampleWhatsApp(seed byte, plaintext []byte) sample {
	media := keyBytes(seed, 32)
	keys := hkdfBySteps(media, "WhatsApp Video Keys", 112)
	ciphertext := cbcByBlocks(keys[16:48], keys[:16], plaintext)
	mac := macOf(keys[48:80], append(bytes.Clone(keys[:16]), ciphertext...))
	return sample{WhatsApp, fmt.Sprintf(`{"media_key":%q,"media_type":"video"}`, base64.StdEncoding.EncodeToString(media)),
		plaintext, append(ciphertext, mac[:10]...)}
}

func sampleXEP0454(t *testing.T, seed byte, ivSize int, plaintext []byte) sample {
	t.Helper()
	key, iv := keyBytes(seed, 32), keyBytes(seed, 32+ivSize)[32:]
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, ivSize)
	if err != nil {
		t.Fatal(err)
	}
	return sample{XEP0454, fmt.Sprintf(`{"fragment":%q}`, hex.EncodeToString(append(bytes.Clone(iv), key...))),
		plaintext, gcm.Seal(nil, iv, plaintext, nil)}
}

// The modes and HKDF, written out from their specifications, one block at a time.

func encryptBlock(key, block []byte) []byte {
	c, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	out := make([]byte, aes.BlockSize)
	c.Encrypt(out, block)
	return out
}

func xor(a, b []byte) []byte {
	out := make([]byte, min(len(a), len(b)))
	for i := range out {
		out[i] = a[i] ^ b[i]
	}
	return out
}

// cbcByBlocks is NIST SP 800-38A section 6.2, with the padding of RFC 5652.
func cbcByBlocks(key, iv, plaintext []byte) []byte {
	n := aes.BlockSize - len(plaintext)%aes.BlockSize
	padded := append(bytes.Clone(plaintext), bytes.Repeat([]byte{byte(n)}, n)...)
	var out []byte
	for ; len(padded) > 0; padded = padded[aes.BlockSize:] {
		iv = encryptBlock(key, xor(padded[:aes.BlockSize], iv))
		out = append(out, iv...)
	}
	return out
}

// ctrByBlocks is NIST SP 800-38A section 6.5, counting in the lower 64 bits.
func ctrByBlocks(key, counter, plaintext []byte) []byte {
	counter = bytes.Clone(counter)
	var out []byte
	for ; len(plaintext) > 0; plaintext = plaintext[min(aes.BlockSize, len(plaintext)):] {
		out = append(out, xor(plaintext, encryptBlock(key, counter))...)
		binary.BigEndian.PutUint64(counter[8:], binary.BigEndian.Uint64(counter[8:])+1)
	}
	return out
}

func macOf(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}

// hkdfBySteps is RFC 5869 with SHA-256 and no salt.
func hkdfBySteps(secret []byte, info string, n int) []byte {
	prk := macOf(make([]byte, sha256.Size), secret)
	var out, last []byte
	for i := byte(1); len(out) < n; i++ {
		last = macOf(prk, append(append(bytes.Clone(last), info...), i))
		out = append(out, last...)
	}
	return out[:n]
}

func mustParse(t *testing.T, format, material string) Key {
	t.Helper()
	k, err := Parse(format, json.RawMessage(material))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func decrypt(k Key, ciphertext []byte) ([]byte, error) {
	var out bytes.Buffer
	err := k.Decrypt(context.Background(), &out, bytes.NewReader(ciphertext), int64(len(ciphertext)))
	return out.Bytes(), err
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func unbase64(s string) []byte {
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
