package tickets

import (
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestBase62IsBigs: it reads what math/big writes, and refuses what math/big finds
// too large or is not a digit.
func TestBase62IsBigs(t *testing.T) {
	t.Parallel()
	const alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	largest := new(big.Int).Lsh(big.NewInt(1), tokenBytes*8)
	inputs := []string{
		"", "0", strings.Repeat("0", tokenDigits), strings.Repeat("Z", tokenDigits), strings.Repeat("Z", 2*tokenDigits),
		largest.Text(62), new(big.Int).Sub(largest, big.NewInt(1)).Text(62), new(big.Int).Lsh(largest, 31).Text(62), new(big.Int).Lsh(largest, 32).Text(62),
	}
	for range 20_000 {
		digits := make([]byte, 1+rand.IntN(tokenDigits+2))
		for i := range digits {
			digits[i] = alphabet[rand.IntN(len(alphabet))]
		}
		inputs = append(inputs, string(digits))
	}
	for _, s := range inputs {
		want, _ := new(big.Int).SetString("0"+s, 62)
		fits := want.BitLen() <= tokenBytes*8
		number, ok := parseBase62(s)
		raw, small := number.bytes()
		if got := ok && small; got != fits {
			t.Fatalf("%q fits: %t, want %t", s, got, fits)
		}
		if fits && new(big.Int).SetBytes(raw[:]).Cmp(want) != 0 {
			t.Fatalf("%q is read as %x", s, raw)
		}
	}
	for c := range 256 {
		_, ok := parseBase62("1" + string([]byte{byte(c)}))
		if want := strings.IndexByte(alphabet, byte(c)) >= 0; ok != want {
			t.Errorf("byte %d is a digit: %t", c, ok)
		}
	}
}
