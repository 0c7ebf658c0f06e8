package blobstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestDigestText(t *testing.T) {
	t.Parallel()
	d := Digest(sha256.Sum256([]byte("abc")))
	const text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-4, B.1
	if d.String() != text {
		t.Errorf("String() = %s", d)
	}
	if got, err := ParseDigest(text); err != nil || got != d {
		t.Errorf("ParseDigest = %s, %v", got, err)
	}
	encoded, err := json.Marshal(d)
	if err != nil || string(encoded) != `"`+text+`"` {
		t.Errorf("as JSON %s, %v", encoded, err)
	}
	for _, bad := range []string{"", text[1:], text + "0", strings.ToUpper(text), "g" + text[1:], text[:62] + "0x"} {
		got, err := ParseDigest(bad)
		if err == nil || got != (Digest{}) {
			t.Errorf("ParseDigest(%q) = %s, %v", bad, got, err)
		}
	}
}

func TestUnmarshalLeavesDigestOnError(t *testing.T) {
	t.Parallel()
	d := Digest{1}
	if err := d.UnmarshalText([]byte("nonsense")); err == nil || d != (Digest{1}) {
		t.Errorf("%s, %v", d, err)
	}
}

func TestDigestReader(t *testing.T) {
	t.Parallel()
	body := []byte("the bytes of a picture")
	size := int64(len(body))
	sum := Digest(sha256.Sum256(body))
	wrong := sum
	wrong[31] ^= 1
	broken := errors.New("broken")

	for _, c := range []struct {
		name string
		r    io.Reader
		size int64
		want *Digest
		err  error
	}{
		{"right", bytes.NewReader(body), size, &sum, nil},
		{"right, digest not announced", bytes.NewReader(body), size, nil, nil},
		{"byte by byte", iotest.OneByteReader(bytes.NewReader(body)), size, &sum, nil},
		{"EOF with the data", iotest.DataErrReader(bytes.NewReader(body)), size, &sum, nil},
		{"wrong digest", bytes.NewReader(body), size, &wrong, ErrDigest},
		{"wrong digest, EOF with the data", iotest.DataErrReader(bytes.NewReader(body)), size, &wrong, ErrDigest},
		{"short", bytes.NewReader(body), size + 1, &sum, ErrSize},
		{"empty", bytes.NewReader(nil), size, nil, ErrSize},
		{"long", bytes.NewReader(body), size - 1, nil, ErrSize},
		{"long, byte by byte", iotest.OneByteReader(bytes.NewReader(body)), size - 1, nil, ErrSize},
		{"none announced", bytes.NewReader(body), 0, nil, ErrSize},
		{"broken", io.MultiReader(bytes.NewReader(body[:5]), iotest.ErrReader(broken)), size, &sum, broken},
		{"broken in place of the end", io.MultiReader(bytes.NewReader(body), iotest.ErrReader(broken)), size, &sum, broken},
	} {
		d := NewDigestReader(c.r, c.size, c.want)
		got, err := io.ReadAll(d)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		if int64(len(got)) > c.size || !bytes.HasPrefix(body, got) {
			t.Errorf("%s: passed on %q", c.name, got)
		}
		gotSum, ok := d.Sum()
		if ok != (c.err == nil) || ok && gotSum != sum {
			t.Errorf("%s: Sum() = %s, %t", c.name, gotSum, ok)
		}
		if !errors.Is(d.BodyErr(), c.err) {
			t.Errorf("%s: BodyErr() = %v, want %v", c.name, d.BodyErr(), c.err)
		}
		// The end stays the end.
		n, again := d.Read(make([]byte, 10))
		if n != 0 || again == nil || (c.err == nil) != (again == io.EOF) {
			t.Errorf("%s: read after the end: %d, %v", c.name, n, again)
		}
	}
}

// TestDigestReaderUnread: who does not read to the end has nothing verified.
func TestDigestReaderUnread(t *testing.T) {
	t.Parallel()
	body := []byte("12345")
	d := NewDigestReader(bytes.NewReader(body), 5, nil)
	if _, err := io.ReadFull(d, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if sum, ok := d.Sum(); ok {
		t.Errorf("Sum() = %s before the end was read", sum)
	}
	if err := d.BodyErr(); err != nil {
		t.Errorf("BodyErr() = %v before the end was read", err)
	}
	if n, err := d.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("%d, %v", n, err)
	}
	if _, ok := d.Sum(); !ok {
		t.Error("no sum at the end")
	}
}

// FuzzDigestReader: a body passes if and only if it is what was announced.
func FuzzDigestReader(f *testing.F) {
	f.Add([]byte("abc"), int64(3), []byte("abc"))
	f.Add([]byte("abc"), int64(2), []byte("ab"))
	f.Add([]byte(""), int64(-1), []byte("x"))
	f.Fuzz(func(t *testing.T, body []byte, size int64, announced []byte) {
		want := Digest(sha256.Sum256(announced))
		got, err := io.ReadAll(NewDigestReader(bytes.NewReader(body), size, &want))
		right := int64(len(body)) == size && bytes.Equal(body, announced)
		if right != (err == nil) {
			t.Errorf("%d bytes announced as %d: %v", len(body), size, err)
		}
		if !bytes.HasPrefix(body, got) || int64(len(got)) > max(size, 0) {
			t.Errorf("%d bytes passed on of %d, announced as %d", len(got), len(body), size)
		}
	})
}
