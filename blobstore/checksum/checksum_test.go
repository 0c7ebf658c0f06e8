package checksum

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

func sumOf(h *Hash, content []byte) Sum {
	h.Write(content)
	return h.Checksum()
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 31, 32, 33, 1000, 100_003} {
		content := make([]byte, size)
		rand.Read(content)
		sum := sumOf(New(), content)
		kept, err := Parse(sum.Reveal())
		if err != nil || sum.IsZero() || !kept.Equal(sum) {
			t.Fatalf("%d bytes: read back as another: %v", size, err)
		}
		h := kept.Again()
		if _, err := io.Copy(h, iotest.OneByteReader(bytes.NewReader(content))); err != nil || !h.Checksum().Equal(sum) {
			t.Errorf("%d bytes: another sum of the same bytes, %v", size, err)
		}
		for name, other := range others(content) {
			if sumOf(kept.Again(), other).Equal(sum) {
				t.Errorf("%d bytes, %s: the same sum", size, name)
			}
		}
		if sumOf(New(), content).Equal(sum) {
			t.Errorf("%d bytes: the same sum under another key", size)
		}
	}
}

// others are what a bucket may bring in place of content.
func others(content []byte) map[string][]byte {
	all := map[string][]byte{
		"longer":       append(bytes.Clone(content), 0),
		"other before": append([]byte{0}, content...),
	}
	if n := len(content); n > 0 {
		all["truncated"] = content[:n-1]
		for _, at := range []int{0, n / 2, n - 1} {
			flipped := bytes.Clone(content)
			flipped[at] ^= 1
			all[fmt.Sprintf("flipped at %d", at)] = flipped
		}
	}
	return all
}

// TestEveryBit: each bit of the content, of the key and of the checksum counts.
func TestEveryBit(t *testing.T) {
	t.Parallel()
	content := []byte("seventy bytes, which are two blocks of HighwayHash and some on top: ab")
	sum := sumOf(New(), content)
	for bit := range 8 * len(content) {
		flipped := bytes.Clone(content)
		flipped[bit/8] ^= 1 << (bit % 8)
		if sumOf(sum.Again(), flipped).Equal(sum) {
			t.Errorf("bit %d of the content does not count", bit)
		}
	}
	for bit := range 8 * Size {
		raw := bytes.Clone(sum.Reveal())
		raw[bit/8] ^= 1 << (bit % 8)
		wrong, err := Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if wrong.Equal(sum) || sumOf(wrong.Again(), content).Equal(wrong) {
			t.Errorf("bit %d of the sum does not count", bit)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, Size - 1, Size + 1} {
		if sum, err := Parse(make([]byte, size)); err == nil || !sum.IsZero() {
			t.Errorf("%d bytes: %v, %v", size, sum, err)
		}
	}
	raw := make([]byte, Size)
	sum, err := Parse(raw)
	if err != nil || sum.IsZero() || sum.Equal(Sum{}) || (Sum{}).Equal(sum) || !(Sum{}).Equal(Sum{}) || (Sum{}).Reveal() != nil {
		t.Errorf("zeros are a sum, and not the zero Sum: %v, %v", sum, err)
	}
	raw[0], sum.Reveal()[0] = 1, 1
	if sum.Reveal()[0] != 0 {
		t.Error("the caller can change the sum")
	}
}

// TestKnown is a vector of HighwayHash's own: 32 bytes key, and as many of content.
func TestKnown(t *testing.T) {
	t.Parallel()
	var raw [Size]byte
	content := make([]byte, 32)
	for i := range content {
		raw[i], content[i] = byte(i), byte(i)
	}
	s, err := Parse(raw[:])
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%x", sumOf(s.Again(), content).Reveal()[keySize:]), "aa4a43c166df8419b9e4b3f95819fc16"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestPrintsRedacted: whatever is done to a sum by accident, its key stays in.
func TestPrintsRedacted(t *testing.T) {
	t.Parallel()
	h := New()
	sum := sumOf(h, []byte("a picture"))
	var out bytes.Buffer
	for _, v := range []any{sum, &sum, h, struct{ S Sum }{sum}, struct{ s Sum }{sum}, &struct{ s Sum }{sum}, struct{ h *Hash }{h}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		if err := json.NewEncoder(&out).Encode(v); err != nil {
			t.Fatal(err)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	}
	if text, err := json.Marshal(sum); err != nil || string(text) != `"`+redacted+`"` {
		t.Errorf("as JSON %s, %v", text, err)
	}
	_, err := Parse(sum.Reveal()[1:])
	fmt.Fprintln(&out, err)
	// Of the key and of what was made under it, from where base64 has a character's begin.
	for _, part := range [][]byte{sum.Reveal()[:6], sum.Reveal()[keySize+1 : keySize+7]} {
		for _, leak := range []string{
			string(part), strings.Trim(strconv.Quote(string(part)), `"`), fmt.Sprintf("%x", part), fmt.Sprintf("%X", part),
			strings.Trim(fmt.Sprint(part), "[]"), strings.Trim(fmt.Sprintf("%#v", part), "[]byte{}"), base64.StdEncoding.EncodeToString(part),
		} {
			if strings.Contains(out.String(), leak) {
				t.Errorf("printed: %s", leak)
			}
		}
	}
	if !strings.Contains(out.String(), redacted) {
		t.Error("the redacted form is not printed either")
	}
}

func BenchmarkHash(b *testing.B) {
	block := make([]byte, 32<<10)
	h := New()
	b.SetBytes(int64(len(block)))
	for b.Loop() {
		h.Write(block)
	}
}
