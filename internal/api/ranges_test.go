package api

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mayfly/tickets"
)

func TestParseRange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header string
		size   int64
		want   string // "ignored", "unsatisfiable" or Content-Range
	}{
		{"bytes=0-", 10, "bytes 0-9/10"},
		{"bytes=3-5", 10, "bytes 3-5/10"},
		{"BYTES=3-5", 10, "bytes 3-5/10"},
		{"bytes=9-9", 10, "bytes 9-9/10"},
		{"bytes=9-100", 10, "bytes 9-9/10"},
		{"bytes=0-99999999999999999999999", 10, "bytes 0-9/10"},
		{"bytes=-3", 10, "bytes 7-9/10"},
		{"bytes=-100", 10, "bytes 0-9/10"},
		{"bytes=-99999999999999999999999", 10, "bytes 0-9/10"},
		{"bytes=00-01", 10, "bytes 0-1/10"},
		{"bytes=10-", 10, "unsatisfiable"},
		{"bytes=10-11", 10, "unsatisfiable"},
		{"bytes=99999999999999999999-", 10, "unsatisfiable"},
		{"bytes=99999999999999999999-99999999999999999999", 10, "unsatisfiable"},
		{"bytes=-0", 10, "unsatisfiable"},
		{"bytes=0-", 0, "unsatisfiable"},
		{"bytes=0-", math.MaxInt64, fmt.Sprintf("bytes 0-%d/%d", int64(math.MaxInt64-1), int64(math.MaxInt64))},
		{"", 10, "ignored"},
		{"bytes", 10, "ignored"},
		{"bytes=", 10, "ignored"},
		{"bytes=-", 10, "ignored"},
		{"bytes=1", 10, "ignored"},
		{"bytes=5-3", 10, "ignored"},
		{"bytes=99999999999999999999-5", 10, "ignored"},
		{"bytes=0-1,4-5", 10, "ignored"},
		{"bytes=0-1,", 10, "ignored"},
		{"bytes= 0-1", 10, "ignored"},
		{"bytes=0 -1", 10, "ignored"},
		{"bytes=+0-1", 10, "ignored"},
		{"bytes=0x0-1", 10, "ignored"},
		{"bytes=--1", 10, "ignored"},
		{"bytes=0-1-2", 10, "ignored"},
		{"items=0-1", 10, "ignored"},
		{"bytes =0-1", 10, "ignored"},
		{"bytes=٠-١", 10, "ignored"},
	} {
		if got := rangeOf(c.header, c.size); got != c.want {
			t.Errorf("%q of %d: %s, want %s", c.header, c.size, got, c.want)
		}
	}
}

func rangeOf(header string, size int64) string {
	r, ok := parseRange(header)
	if !ok {
		return "ignored"
	}
	span, ok := r.of(size)
	if !ok {
		return "unsatisfiable"
	}
	return contentRange(span, size)
}

// What we take for one range is inside of the blob, and is the range that net/http's
// own file server sends.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-", "bytes=3-5", "bytes=-3", "bytes=10-", "bytes=0-1,4-5", "bytes=-0", "bytes=18446744073709551616-"} {
		f.Add(s, uint16(10))
	}
	f.Fuzz(func(t *testing.T, header string, size uint16) {
		r, ok := parseRange(header)
		if !ok || size == 0 {
			return // net/http takes an empty file for whole whatever is asked
		}
		span, satisfiable := r.of(int64(size))
		if satisfiable && (span.Offset < 0 || span.Length < 1 || span.Offset+span.Length > int64(size)) {
			t.Fatalf("%q of %d: %+v", header, size, span)
		}
		if len(header) > 24 || r.suffix && r.last == 0 || !strings.HasPrefix(header, "bytes=") {
			// net/http gives up on large numbers, answers -0 with "bytes 10-9/10", and
			// knows no BYTES.
			return
		}
		req := httptest.NewRequest("GET", "/", nil)
		req.Header.Set("Range", header)
		rec := httptest.NewRecorder()
		http.ServeContent(rec, req, "x.bin", time.Time{}, bytes.NewReader(make([]byte, size)))
		want := rec.Header().Get("Content-Range")
		got := fmt.Sprintf("bytes */%d", size)
		if satisfiable {
			got = contentRange(span, int64(size))
		}
		if got != want {
			t.Fatalf("%q of %d: %s, net/http says %s (%d)", header, size, got, want, rec.Code)
		}
	})
}

func TestResume(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blob := content(100_000)
	_, tokens := w.store(blob, "recipient=a&recipient=b")
	claim := claimKey()
	first, whole := w.want(200, "POST /v1/download", tokens[0], header("Claim-Key", claim), header("Range", "bytes=5-"))
	if !bytes.Equal(whole, blob) {
		t.Fatal("an open sends other bytes, or takes a Range")
	}
	tag := first.Header.Get("ETag")

	for _, c := range []struct {
		name             string
		byteRange, ifTag string
		status           int
		span             tickets.Span
	}{
		{"whole", "", "", 200, tickets.Span{Offset: 0, Length: 100_000}},
		{"rest", "bytes=65536-", "", 206, tickets.Span{Offset: 65536, Length: 100_000 - 65536}},
		{"rest, same tag", "bytes=65536-", tag, 206, tickets.Span{Offset: 65536, Length: 100_000 - 65536}},
		{"rest, other tag", "bytes=65536-", `"other"`, 200, tickets.Span{Offset: 0, Length: 100_000}},
		{"rest, weak tag", "bytes=65536-", "W/" + tag, 200, tickets.Span{Offset: 0, Length: 100_000}},
		{"rest, date", "bytes=65536-", "Wed, 21 Oct 2015 07:28:00 GMT", 200, tickets.Span{Offset: 0, Length: 100_000}},
		{"middle", "bytes=10-19", "", 206, tickets.Span{Offset: 10, Length: 10}},
		{"last", "bytes=-1", "", 206, tickets.Span{Offset: 99_999, Length: 1}},
		{"all as a range", "bytes=0-99999", "", 206, tickets.Span{Offset: 0, Length: 100_000}},
		{"list", "bytes=0-1,5-6", "", 200, tickets.Span{Offset: 0, Length: 100_000}},
		{"malformed", "bytes=x", "", 200, tickets.Span{Offset: 0, Length: 100_000}},
		{"behind the end", "bytes=100000-", "", 416, tickets.Span{}},
		{"behind the end, other tag", "bytes=100000-", `"other"`, 200, tickets.Span{Offset: 0, Length: 100_000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.in(t)
			options := []with{header("Claim-Key", claim)}
			if c.byteRange != "" {
				options = append(options, header("Range", c.byteRange))
			}
			if c.ifTag != "" {
				options = append(options, header("If-Range", c.ifTag))
			}
			if c.status == 416 {
				_, resp := w.refused(416, "range_not_satisfiable", "GET /v1/download", tokens[0], options...)
				if got := resp.Header.Get("Content-Range"); got != "bytes */100000" {
					t.Errorf("Content-Range: %q", got)
				}
				return
			}
			resp, got := w.want(c.status, "GET /v1/download", tokens[0], options...)
			if !bytes.Equal(got, blob[c.span.Offset:c.span.Offset+c.span.Length]) {
				t.Error("other bytes")
			}
			want := ""
			if c.status == 206 {
				want = contentRange(c.span, 100_000)
			}
			if h := resp.Header.Get("Content-Range"); h != want || resp.Header.Get("ETag") != tag || resp.ContentLength != c.span.Length {
				t.Errorf("%v", resp.Header)
			}
		})
	}

	t.Run("who may", func(t *testing.T) {
		w := w.in(t)
		w.refused(410, "opened", "GET /v1/download", tokens[0])
		w.refused(410, "opened", "GET /v1/download", tokens[0], header("Claim-Key", claimKey()))
		// The same open, repeated after a lost answer.
		if _, got := w.want(200, "POST /v1/download", tokens[0], header("Claim-Key", claim)); !bytes.Equal(got, blob) {
			t.Error("other bytes")
		}
		w.want(204, "POST /v1/download/ack", tokens[0], header("Claim-Key", claim))
		w.want(204, "POST /v1/download/ack", tokens[0], header("Claim-Key", claim))
		w.refused(410, "opened", "GET /v1/download", tokens[0], header("Claim-Key", claim))
		w.refused(410, "opened", "POST /v1/download", tokens[0], header("Claim-Key", claim))

		w.want(200, "POST /v1/download", tokens[1], header("Claim-Key", claim))
		w.advance(16 * time.Minute)
		w.refused(410, "opened", "GET /v1/download", tokens[1], header("Claim-Key", claim))
	})
	t.Run("unlimited", func(t *testing.T) {
		w := w.in(t)
		_, tokens := w.store(blob, "policy=channel-30d")
		w.refused(409, "not_opened", "GET /v1/download", tokens[0])
		for range 2 {
			w.want(200, "POST /v1/download", tokens[0])
			w.want(206, "GET /v1/download", tokens[0], header("Range", "bytes=5-"))
		}
	})
	t.Run("empty", func(t *testing.T) {
		w := w.in(t)
		_, tokens := w.store(nil, "")
		resp, got := w.want(200, "POST /v1/download", tokens[0], header("Claim-Key", claim))
		if resp.Header.Get("Content-Length") != "0" || len(got) != 0 {
			t.Errorf("%v", resp.Header)
		}
		w.want(200, "GET /v1/download", tokens[0], header("Claim-Key", claim))
		w.want(200, "GET /v1/download", tokens[0], header("Claim-Key", claim), header("Range", "bytes=-5"))
		w.refused(416, "range_not_satisfiable", "GET /v1/download", tokens[0], header("Claim-Key", claim), header("Range", "bytes=0-"))
	})
}
