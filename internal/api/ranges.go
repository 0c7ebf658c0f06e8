package api

import (
	"math"
	"strconv"
	"strings"

	"mayfly/tickets"
)

// byteRange is one range of a Range header, as the client wrote it.
type byteRange struct {
	// first and last byte; last is math.MaxInt64 for "to the end".
	first, last int64
	// suffix: the last bytes of the blob, as many as last says.
	suffix bool
}

// parseRange reads a Range header with one range of bytes (RFC 9110 §14.1.2). ok is
// false for what is to be ignored, so that the whole blob is sent: what is malformed,
// and lists of ranges, which §14.2 lets a server treat so.
func parseRange(s string) (r byteRange, ok bool) {
	unit, set, ok := strings.Cut(s, "=")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return byteRange{}, false
	}
	from, to, ok := strings.Cut(set, "-")
	if !ok {
		return byteRange{}, false
	}
	if from == "" {
		r.suffix = true
		r.last, ok = position(to)
		return r, ok
	}
	if r.first, ok = position(from); !ok {
		return byteRange{}, false
	}
	if to == "" {
		r.last = math.MaxInt64
		return r, true
	}
	if r.last, ok = position(to); !ok || digitsLess(to, from) {
		return byteRange{}, false
	}
	return r, true
}

// position reads 1*DIGIT. A number too large for any blob is math.MaxInt64.
func position(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return math.MaxInt64, true
	}
	return n, true
}

// digitsLess compares two numbers of any length.
func digitsLess(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// of is the range in a blob of that size. ok is false if it has no byte in it.
func (r byteRange) of(size int64) (_ tickets.Span, ok bool) {
	if r.suffix {
		n := min(r.last, size)
		return tickets.Span{Offset: size - n, Length: n}, n > 0
	}
	if r.first >= size {
		return tickets.Span{}, false
	}
	last := min(r.last, size-1)
	return tickets.Span{Offset: r.first, Length: last - r.first + 1}, true
}

// contentRange is the header of an answer that has a part.
func contentRange(s tickets.Span, size int64) string {
	return "bytes " + strconv.FormatInt(s.Offset, 10) + "-" + strconv.FormatInt(s.Offset+s.Length-1, 10) +
		"/" + strconv.FormatInt(size, 10)
}

// unsatisfiable: the range begins behind the end.
type unsatisfiable struct{ size int64 }

func (u *unsatisfiable) Error() string { return "range not satisfiable" }
