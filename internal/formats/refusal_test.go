package formats

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestDecryptsAllSizes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 15, 16, 17, pieceSize - 33, pieceSize - 17, pieceSize - 16, pieceSize - 1, pieceSize, pieceSize + 1, 2*pieceSize + 5} {
		for i, s := range samples(t, 1, bytes.Repeat([]byte("mayfly "), n/7+1)[:n]) {
			got, err := decrypt(mustParse(t, s.format, s.material), s.ciphertext)
			if err != nil || !bytes.Equal(got, s.plaintext) {
				t.Errorf("%s (%d), %d bytes: got %d, %v", s.format, i, n, len(got), err)
			}
		}
	}
}

// The ciphertexts are small enough for age to write nothing either.
func TestRefusesWhatWasChanged(t *testing.T) {
	t.Parallel()
	for i, s := range samples(t, 1, []byte(fox)) {
		t.Run(fmt.Sprint(s.format, i), func(t *testing.T) {
			t.Parallel()
			k := mustParse(t, s.format, s.material)
			refused := func(what string, ciphertext []byte) {
				got, err := decrypt(k, ciphertext)
				if !errors.Is(err, ErrCiphertext) {
					t.Errorf("%s: %v", what, err)
				}
				if len(got) > 0 {
					t.Errorf("%s: wrote %q", what, got)
				}
			}
			for bit := range len(s.ciphertext) * 8 {
				changed := bytes.Clone(s.ciphertext)
				changed[bit/8] ^= 1 << (bit % 8)
				refused(fmt.Sprintf("bit %d", bit), changed)
			}
			for n := range s.ciphertext {
				refused(fmt.Sprintf("the first %d bytes", n), s.ciphertext[:n])
			}
			refused("one byte more", append(bytes.Clone(s.ciphertext), 0))
			refused("a block more", append(bytes.Clone(s.ciphertext), make([]byte, 16)...))
			if err := k.Decrypt(context.Background(), io.Discard, bytes.NewReader(nil), -1); !errors.Is(err, ErrCiphertext) {
				t.Errorf("a negative size: %v", err)
			}
		})
	}
}

// The wrong padding is one that MAC and digest vouch for: a sender's fault, or a
// reporter's who has the MAC's key.
func TestRefusesWrongPadding(t *testing.T) {
	t.Parallel()
	s := sampleSignal(1, nil)
	keys := keyBytes(1, 64)
	for _, c := range []struct {
		name string
		last []byte
		ok   bool
	}{
		{"no block", nil, false},
		{"not whole blocks", make([]byte, 17), false},
		{"none", make([]byte, 16), false},
		{"longer than a block", bytes.Repeat([]byte{17}, 16), false},
		{"a whole block", bytes.Repeat([]byte{16}, 16), true},
		{"one byte", append(make([]byte, 15), 1), true},
		{"not all of one value", append(make([]byte, 13), 3, 2, 3), false},
		{"first of three wrong", append(make([]byte, 13), 4, 3, 3), false},
		{"plaintext that looks like more", append(make([]byte, 12), 3, 3, 3, 3), true},
		{"first of two wrong", append(make([]byte, 14), 1, 2), false},
	} {
		iv := s.ciphertext[:16]
		ciphertext := append(bytes.Clone(iv), cbcWithoutPadding(keys[:32], iv, c.last)...)
		ciphertext = append(ciphertext, macOf(keys[32:], ciphertext)...)
		material, _, _ := strings.Cut(s.material, `,"digest"`)
		_, err := decrypt(mustParse(t, Signal, material+"}"), ciphertext)
		if (err == nil) != c.ok || !c.ok && !errors.Is(err, ErrCiphertext) {
			t.Errorf("%s: %v", c.name, err)
		}
		// Not by chance, for what the bytes before it happen to decrypt to.
		if len(c.last) != 16 && !strings.Contains(fmt.Sprint(err), "whole blocks") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// cbcWithoutPadding leaves what is no whole block as it is.
func cbcWithoutPadding(key, iv, data []byte) []byte {
	whole := len(data) / 16 * 16
	return append(cbcByBlocks(key, iv, data[:whole])[:whole], data[whole:]...)
}

// Of Matrix a wrong key is not refused, as long as the hash is right: the hash is of
// the ciphertext. That is what a commitment is for (TestTwoKeysAreToldApart).
func TestRefusesTheWrongKey(t *testing.T) {
	t.Parallel()
	others := samples(t, 2, []byte("another plaintext"))
	for i, s := range samples(t, 1, []byte(fox)) {
		got, err := decrypt(mustParse(t, s.format, others[i].material), s.ciphertext)
		if !errors.Is(err, ErrCiphertext) || len(got) > 0 {
			t.Errorf("%s (%d): wrote %q, %v", s.format, i, got, err)
		}
	}
}

func TestMatrixCounterMustNotOverflow(t *testing.T) {
	t.Parallel()
	// The lower half ends two blocks before it would be zero again.
	const material = `{"v":"v2","key":{"kty":"oct","alg":"A256CTR","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"iv":"AAAAAAAAAAD//////////g","hashes":{"sha256":%q}}`
	for _, c := range []struct {
		size int
		sum  string
		ok   bool
	}{
		{32, "Zmh6rfhivXdsj8GLjp+OIAiXFIVu4jOzkCpZHQ1fKSU", true},
		{33, "f5yeMayCVsovJYWD3yYtvH1vaPKgMEPVyZpK5ac5bOk", false},
	} {
		_, err := decrypt(mustParse(t, Matrix, fmt.Sprintf(material, c.sum)), make([]byte, c.size))
		if (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), "overflow") {
			t.Errorf("%d bytes: %v", c.size, err)
		}
	}
}

func TestBoundOfWhatIsHeld(t *testing.T) {
	t.Parallel()
	s := sampleXEP0454(t, 1, 12, nil)
	unread := brokenReader{errors.New("was read")}
	err := mustParse(t, s.format, s.material).Decrypt(context.Background(), io.Discard, unread, maxHeld+1)
	if !errors.Is(err, ErrTooLarge) || errors.Is(err, ErrCiphertext) {
		t.Error(err)
	}
}

type brokenReader struct{ err error }

func (r brokenReader) ReadAt([]byte, int64) (int, error) { return 0, r.err }

// What goes wrong on the moderator's own machine is not blamed on the ciphertext.
func TestOtherErrorsAreTheirOwn(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, s := range samples(t, 1, bytes.Repeat([]byte("mayfly "), pieceSize)) {
		k := mustParse(t, s.format, s.material)
		size, ctx := int64(len(s.ciphertext)), context.Background()
		for _, c := range []struct {
			name string
			err  error
			want error
		}{
			{"src", k.Decrypt(ctx, io.Discard, brokenReader{broken}, size), broken},
			{"dst", k.Decrypt(ctx, brokenWriter{broken}, bytes.NewReader(s.ciphertext), size), broken},
			{"context", k.Decrypt(cancelled, io.Discard, brokenReader{broken}, size), context.Canceled},
			{"src is empty", k.Decrypt(ctx, io.Discard, bytes.NewReader(nil), size), io.ErrUnexpectedEOF},
			{"src ends early", k.Decrypt(ctx, io.Discard, bytes.NewReader(s.ciphertext[:size-1]), size), io.ErrUnexpectedEOF},
		} {
			if !errors.Is(c.err, c.want) || errors.Is(c.err, ErrCiphertext) {
				t.Errorf("%s: %s: %v", s.format, c.name, c.err)
			}
		}
		// Cancelled at the nth reading: there is no piece after it.
		for n := 1; n < 8; n++ {
			ctx, cancel := context.WithCancel(context.Background())
			src := &cancelling{ReaderAt: bytes.NewReader(s.ciphertext), left: n, cancel: cancel}
			if err := k.Decrypt(ctx, io.Discard, src, size); !errors.Is(err, context.Canceled) || src.after > 1 {
				t.Errorf("%s: cancelled at reading %d: %v, %d readings after", s.format, n, err, src.after)
			}
		}
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

type cancelling struct {
	io.ReaderAt
	left, after int
	cancel      func()
}

func (c *cancelling) ReadAt(p []byte, off int64) (int, error) {
	if c.left--; c.left == 0 {
		c.cancel()
	} else if c.left < 0 {
		c.after++
	}
	return c.ReaderAt.ReadAt(p, off)
}

// No piece is larger than pieceSize, so that memory does not grow with the blob.
func TestReadsInPieces(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t, 1, bytes.Repeat([]byte("mayfly "), pieceSize)) {
		src := &largest{ReaderAt: bytes.NewReader(s.ciphertext)}
		if err := mustParse(t, s.format, s.material).Decrypt(context.Background(), io.Discard, src, int64(len(s.ciphertext))); err != nil {
			t.Error(err)
		}
		if src.n > pieceSize+16 { // age's pieces have a tag
			t.Errorf("%s: read %d bytes at once", s.format, src.n)
		}
	}
}

type largest struct {
	io.ReaderAt
	n int
}

func (l *largest) ReadAt(p []byte, off int64) (int, error) {
	l.n = max(l.n, len(p))
	return l.ReaderAt.ReadAt(p, off)
}
