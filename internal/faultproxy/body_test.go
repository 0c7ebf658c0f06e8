package faultproxy

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const signedLine = "8;chunk-signature=0123456789abcdef\r\n"

// TestMiddle is about where the middle is: ^ is where a copy stops, or the byte that
// is flipped comes next.
func TestMiddle(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		length     int64
		chunked    bool
		awsChunked bool
		stop, flip string
	}{
		{name: "length", length: 6, stop: "abc^def", flip: "abc^def"},
		{name: "odd length", length: 5, stop: "ab^cde", flip: "ab^cde"},
		{name: "one byte", length: 1, stop: "^a", flip: "^a"},
		{name: "no byte", length: 0, stop: "", flip: ""},
		{name: "until the end", length: -1, stop: "abc^def", flip: "abc^def"},
		{name: "until the end at once", length: -1, stop: "", flip: ""},
		{name: "chunks", chunked: true, length: -1,
			stop: "4;e=1\r\nab^cd\r\n02\r\nef\r\n0\r\nTrailer: x\r\n\r\n",
			flip: "4;e=1\r\nab^cd\r\n02\r\nef\r\n0\r\nTrailer: x\r\n\r\n"},
		{name: "no chunk", chunked: true, length: -1, stop: "0\r\n\r\n", flip: "0\r\n\r\n"},
		{name: "S3's chunks", awsChunked: true, length: int64(len(signedLine + "abcdefgh\r\n0\r\n\r\n")),
			stop: (signedLine + "abcdefgh\r\n0\r\n\r\n")[:25] + "^" + (signedLine + "abcdefgh\r\n0\r\n\r\n")[25:],
			flip: signedLine + "abcd^efgh\r\n0\r\n\r\n"},
		{name: "S3's chunks and a long trailer", awsChunked: true, length: int64(len("2\r\nab\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n")),
			stop: "2\r\nab\r\n0\r\nx-amz-check^sum-crc32:AAAAAA==\r\n\r\n",
			flip: "2\r\na^b\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"},
		{name: "S3's chunks without a byte", awsChunked: true, length: int64(len("0;chunk-signature=01\r\n\r\n")),
			stop: "0;chunk-sign^ature=01\r\n\r\n", flip: "0;chunk-signature=01\r\n\r\n"},
		{name: "S3's chunks in chunks", awsChunked: true, chunked: true, length: -1,
			stop: "4\r\n6;^\r\n\r\n3\r\nabc\r\n5\r\ndef\r\n\r\n3\r\n0\r\n\r\n0\r\n\r\n",
			flip: "4\r\n6;\r\n\r\n3\r\nabc\r\n5\r\n^def\r\n\r\n3\r\n0\r\n\r\n0\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const next = "GET / HTTP/1.1"
			run := func(wire string, m func(hit func()) middle) (string, bool, error) {
				if c.length >= 0 || c.chunked {
					wire += next
				}
				in := bufio.NewReader(strings.NewReader(wire))
				var out strings.Builder
				hit := false
				err := body{in: in, length: c.length, chunked: c.chunked, awsChunked: c.awsChunked}.
					copy(&out, m(func() { hit = true }))
				if rest, _ := io.ReadAll(in); err == nil && string(rest) != next && (c.length >= 0 || c.chunked) {
					t.Errorf("left %q unread", rest)
				}
				return out.String(), hit, err
			}

			whole := strings.Replace(c.stop, "^", "", 1)
			if got, _, err := run(whole, func(func()) middle { return middle{} }); got != whole || err != nil {
				t.Errorf("pass: %q, %v", got, err)
			}

			before, _, found := strings.Cut(c.stop, "^")
			want := error(nil)
			if found {
				want = errMiddle
			}
			if got, hit, err := run(whole, func(hit func()) middle { return middle{hit: hit} }); got != before || err != want || hit != found {
				t.Errorf("stop: %q, hit %v, %v", got, hit, err)
			}

			before, after, found := strings.Cut(c.flip, "^")
			flipped := before
			if found {
				flipped += string(after[0]^1) + after[1:]
			}
			if got, hit, err := run(whole, func(hit func()) middle { return middle{hit: hit, flip: true} }); got != flipped || err != nil || hit != found {
				t.Errorf("flip: %q, hit %v, %v", got, hit, err)
			}
		})
	}
}

func TestBrokenBodies(t *testing.T) {
	t.Parallel()
	flip := middle{hit: func() {}, flip: true}
	for _, c := range []struct {
		name string
		body body
		m    middle
		wire string
		want error
	}{
		{"short", body{length: 5}, middle{}, "abc", io.ErrUnexpectedEOF},
		{"short before the flip", body{length: 9}, flip, "abc", io.ErrUnexpectedEOF},
		{"no size", body{chunked: true}, middle{}, "abc\r\nx", io.ErrUnexpectedEOF},
		{"no hex", body{chunked: true}, middle{}, "xyz\r\n", errFraming},
		{"negative", body{chunked: true}, middle{}, "-1\r\n", errFraming},
		{"longer than its size", body{chunked: true}, middle{}, "1\r\nab\r\n", errFraming},
		{"no end", body{chunked: true}, middle{}, "0\r\nTrailer: x\r\n", io.ErrUnexpectedEOF},
		{"not S3's chunks", body{length: 6, awsChunked: true}, flip, "hello\n", errFraming},
		{"S3's chunk before the body's end", body{length: 3, awsChunked: true}, flip, "1;abc\r\n", errFraming},
	} {
		c.body.in = bufio.NewReader(iotest.OneByteReader(strings.NewReader(c.wire)))
		if err := c.body.copy(io.Discard, c.m); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestHeads(t *testing.T) {
	t.Parallel()
	long := "GET / HTTP/1.1\r\nLong: " + strings.Repeat("x", 100<<10) + "\r\n\r\n"
	for wire, want := range map[string]error{
		long:                           nil,
		"GET / HTTP/1.1\nHost: a\n\n":  nil,
		"":                             io.EOF,
		"GET / HTTP/1.1\r\n":           io.ErrUnexpectedEOF,
		strings.Repeat("x", headLimit): errHeadTooLong,
	} {
		in := newReader(strings.NewReader(wire + "body"))
		if want != nil {
			in = newReader(strings.NewReader(wire))
		}
		head, err := readHead(in)
		if err != want || err == nil && string(head) != wire {
			t.Errorf("%.30q: %.30q, %v", wire, head, err)
		}
	}
}
