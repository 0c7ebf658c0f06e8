package tickets

import "math/bits"

// A token is parsed at each call. math/big, which writes tokens, would take 2 µs to
// read one: a fiftieth of an open.

// words holds the number that a token's digits spell, the least significant first.
type words [(tokenBytes + 7) / 8]uint64

// chunkDigits is how many digits fit into a word.
const chunkDigits = 10

// parseBase62 reads digits; false if one is none, or the number does not fit.
func parseBase62(digits string) (w words, ok bool) {
	for len(digits) > 0 {
		n := min(chunkDigits, len(digits))
		chunk, scale := uint64(0), uint64(1)
		for i := range n {
			d := digitOf(digits[i])
			if d < 0 {
				return w, false
			}
			chunk, scale = chunk*62+uint64(d), scale*62
		}
		digits = digits[n:]
		// w = w * scale + chunk
		carry := chunk
		for i := range w {
			high, low := bits.Mul64(w[i], scale)
			var c uint64
			w[i], c = bits.Add64(low, carry, 0)
			carry = high + c // high is at most scale-1: no overflow
		}
		if carry != 0 {
			return w, false
		}
	}
	return w, true
}

func digitOf(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'z':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'Z':
		return int(c-'A') + 36
	}
	return -1
}

// bytes is the number, big-endian; false if it is larger.
func (w words) bytes() (raw [tokenBytes]byte, ok bool) {
	for i := range raw {
		at := tokenBytes - 1 - i // of the least significant byte first
		raw[at] = byte(w[i/8] >> (i % 8 * 8))
	}
	spare := tokenBytes % 8 * 8 // the bits of the last word that are used
	return raw, w[len(w)-1]>>spare == 0
}
