package formats

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The age test kit: c2sp.org/CCTV/age v0.0.0-20260829155415-4448f2097b2d, testdata,
// byte for byte (0BSD, CC0 or Unlicense). These are the vectors with one identity
// that say something of this package; armor and passphrases are not taken here.
func TestAgeVectors(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/age/*")
	if err != nil || len(paths) < 20 {
		t.Fatalf("%d vectors, %v", len(paths), err)
	}
	for _, p := range paths {
		t.Run(filepath.Base(p), func(t *testing.T) {
			t.Parallel()
			vector, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			head, ciphertext, ok := bytes.Cut(vector, []byte("\n\n"))
			if !ok {
				t.Fatal("no header")
			}
			fields := map[string]string{}
			for line := range strings.SplitSeq(string(head), "\n") {
				name, value, _ := strings.Cut(line, ": ")
				if _, twice := fields[name]; !twice { // of several identities the first
					fields[name] = value
				}
			}
			if fields["compressed"] == "zlib" {
				r, err := zlib.NewReader(bytes.NewReader(ciphertext))
				if err != nil {
					t.Fatal(err)
				}
				if ciphertext, err = io.ReadAll(r); err != nil {
					t.Fatal(err)
				}
			}
			k := mustParse(t, Age, fmt.Sprintf(`{"identity":%q}`, fields["identity"]))
			plaintext, err := decrypt(k, ciphertext)
			if ok := fields["expect"] == "success"; (err == nil) != ok || !ok && !errors.Is(err, ErrCiphertext) {
				t.Errorf("expected %s: %v", fields["expect"], err)
			}
			if want, ok := fields["payload"]; ok {
				if sum := sha256.Sum256(plaintext); hex.EncodeToString(sum[:]) != want {
					t.Errorf("another plaintext, %d bytes", len(plaintext))
				}
			} else if len(plaintext) > 0 {
				t.Errorf("%d bytes written before the refusal", len(plaintext))
			}
		})
	}
}

// matrix-org/matrix-encrypt-attachment, test/decrypt.Spec.js (v2TestVectors; of v1
// and v0 it has one each, which are refused here).
func TestMatrixVectors(t *testing.T) {
	t.Parallel()
	const form = `{"iv":%q,"key":{"kty":"oct","key_ops":["encrypt","decrypt"],"k":%q,"alg":"A256CTR"},%s"hashes":{"sha256":%q}}`
	const ones = "__________________________________________8"
	for _, c := range []struct{ iv, key, sum, ciphertext, plaintext string }{
		{"AAAAAAAAAAAAAAAAAAAAAA", strings.Repeat("A", 43), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", "", ""},
		{"//////////8AAAAAAAAAAA", ones, "YzF08lARDdOCzJpzuSwsjTNlQc4pHxpdHcXiD/wpK6k", "5xJZTt5cQicm+9f4", "SGVsbG8sIFdvcmxk"},
		{
			"//////////8AAAAAAAAAAA", ones, "IOq7/dHHB+mfHfxlRY5XMeCWEwTPmlf4cJcgrkf6fVU",
			"zhtFStAeFx0s+9L/sSQO+WQMtldqYEHqTxMduJrCIpnkyer09kxJJuA4K+adQE4w+7jZe/vR9kIcqj9rOhDR8Q",
			"YWxwaGFudW1lcmljYWxseWFscGhhbnVtZXJpY2FsbHlhbHBoYW51bWVyaWNhbGx5YWxwaGFudW1lcmljYWxseQ",
		},
	} {
		k := mustParse(t, Matrix, fmt.Sprintf(form, c.iv, c.key, `"v":"v2",`, c.sum))
		plaintext, err := decrypt(k, unbase64(c.ciphertext))
		if err != nil || !bytes.Equal(plaintext, unbase64(c.plaintext)) {
			t.Errorf("%s: %q, %v", c.sum, plaintext, err)
		}
	}
	for _, c := range []struct{ version, sum string }{
		{`"v":"v1",`, "LYG/orOViuFwovJpv2YMLSsmVKwLt7pY3f8SYM7KU5E"},
		{"", "/K4w3G4zlLK312k66KxNPKDkWCn2QAH5aphAkuncTrQ"},
	} {
		if _, err := Parse(Matrix, fmt.Appendf(nil, form, "/////////////////////w", ones, c.version, c.sum)); !errors.Is(err, ErrMaterial) {
			t.Errorf("version %s: %v", c.version, err)
		}
	}
}

// The modes that the tests encrypt with, against NIST SP 800-38A (F.2.5, F.5.5; Go
// has them in crypto/cipher), RFC 5869 (A.3), RFC 4231 (4.2), and signalapp/libsignal,
// rust/crypto/src/aes_cbc.rs (aes_cbc_test), which has the padding too.
func TestPrimitives(t *testing.T) {
	t.Parallel()
	key := unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
	in := unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	cbc := cbcByBlocks(key, unhex("000102030405060708090a0b0c0d0e0f"), in)
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"CBC-AES256", cbc[:64], "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b"},
		{"CTR-AES256", ctrByBlocks(key, unhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"), in)[:32], "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"},
		{"HKDF", hkdfBySteps(bytes.Repeat([]byte{0x0b}, 22), "", 42), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
		{"HMAC", macOf(bytes.Repeat([]byte{0x0b}, 20), []byte("Hi There")), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{"libsignal", cbcByBlocks(unhex("4e22eb16d964779994222e82192ce9f747da72dc4abe49dfdeeb71d0ffe3796e"), unhex("6f8a557ddc0a140c878063a6d5f31d3d"), unhex("30736294a124482a4159")), "dd3f573ab4508b9ed0e45e0baf5608f3"},
	} {
		if hex.EncodeToString(c.got) != c.want {
			t.Errorf("%s: %x", c.name, c.got)
		}
	}
}

const fox = "The quick brown fox jumps over the lazy dog"

// No full vector is published for Signal: its clients' tests draw keys at random.
// This one is OpenSSL's (enc -aes-256-cbc) and Python's (hmac, hashlib): keys of the
// bytes 0 to 63, IV of a0 to af. The next uses the published block of libsignal.
func TestSignalVectors(t *testing.T) {
	t.Parallel()
	const keys = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw=="
	ciphertext := unhex("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf64bac78bf92341822f9cb229d5199006d90c3bab4f7eaa663a51e8c75086e82cabdf122926fa3b24d4f3c9bafa5236b6e2eb7700adf916063907faee971daeb71ae2b54e36c5d1fccfe0e13c0a195045")
	for _, c := range []struct {
		name, rest, want string
		err              error
	}{
		{"keys only", ``, fox, nil},
		{"digest", `,"digest":"WCb9ExBQHjeR9iOMiEuDvH7+HIgPiK7TofVC8suhFCA="`, fox, nil},
		{"another digest", `,"digest":"XCb9ExBQHjeR9iOMiEuDvH7+HIgPiK7TofVC8suhFCA="`, "", ErrCiphertext},
		{"cut to size", `,"size":19`, fox[:19], nil},
		{"cut within the last block", `,"size":40`, fox[:40], nil},
		{"cut to nothing", `,"size":0`, "", nil},
		{"all of it", `,"size":43`, fox, nil},
		{"larger than it is", `,"size":44`, "", ErrCiphertext},
	} {
		got, err := decrypt(mustParse(t, Signal, `{"keys":"`+keys+`"`+c.rest+`}`), ciphertext)
		if string(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
	block := unhex("6f8a557ddc0a140c878063a6d5f31d3d" + "dd3f573ab4508b9ed0e45e0baf5608f3")
	block = append(block, macOf(make([]byte, 32), block)...)
	got, err := decrypt(mustParse(t, Signal, `{"keys":"TiLrFtlkd5mUIi6CGSzp90factxKvknf3utx0P/jeW4AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="}`), block)
	if err != nil || !bytes.Equal(got, unhex("30736294a124482a4159")) {
		t.Errorf("libsignal's block: %x, %v", got, err)
	}
}

// A full vector is published for WhatsApp (ddz/whatsapp-media-decrypt, testdata), but
// its bytes could not be had. These are OpenSSL's and Python's, as for Signal: a
// media key of the bytes 0 to 31.
func TestWhatsAppVectors(t *testing.T) {
	t.Parallel()
	for mediaType, ciphertext := range map[string]string{
		"image":    "8a7f31f7edbabe3a0c8939d544d4628de6ec47db6c04a107daae41094237e14a6bcec6d12047f33693e72df52f6fbc91f299e69bfe4f86fb62e1",
		"video":    "c061131ee899291f9cce3cb3da8569661d1dc3d6514a456355719d923a7e3898b5918562ab66314d016900ac217d30904703d48198be35a17834",
		"audio":    "7fac1217d5c9dfa783641a08412ffd32cc62f9c2fd5f0a9d68c410f870e69e0a69e038eb0cd30c9bd97b319a5bf5af2544e277fe4e8591b29dd0",
		"document": "591e52d1dd07f73bd751270f4869dc219144e4f2fa5625ed1c2fc36cca58bb55eda55ca3e6c1f4e645fb8bc4a2529f4724efdfa116c3a7bc632d",
	} {
		for given, want := range map[string]error{"image": ErrCiphertext, "video": ErrCiphertext, "audio": ErrCiphertext, "document": ErrCiphertext, mediaType: nil} {
			k := mustParse(t, WhatsApp, fmt.Sprintf(`{"media_key":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","media_type":%q}`, given))
			got, err := decrypt(k, unhex(ciphertext))
			if !errors.Is(err, want) || err == nil && string(got) != fox {
				t.Errorf("%s as %s: %q, %v", mediaType, given, got, err)
			}
		}
	}
}

// Test cases 13 to 15 of McGrew and Viega, "The Galois/Counter Mode of Operation",
// in the form of XEP-0454; so Tigase's halcyon tests it (tigase.halcyon.core.xmpp.
// modules.omemo.OMEMOFileEncryptorTest), an implementation of the XEP.
func TestXEP0454Vectors(t *testing.T) {
	t.Parallel()
	const zeros = "0000000000000000000000000000000000000000000000000000000000000000"
	for _, c := range []struct{ fragment, plaintext, ciphertext string }{
		{zeros + zeros[:24], "", "530f8afbc74536b9a963b4f1c4cb738b"},
		{zeros + zeros[:24], zeros[:32], "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
		{
			"cafebabefacedbaddecaf888feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
			"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
			"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015adb094dac5d93471bdec1a502270e3cc6c",
		},
	} {
		got, err := decrypt(mustParse(t, XEP0454, fmt.Sprintf(`{"fragment":%q}`, c.fragment)), unhex(c.ciphertext))
		if err != nil || hex.EncodeToString(got) != c.plaintext {
			t.Errorf("%s: %x, %v", c.fragment, got, err)
		}
	}
}
