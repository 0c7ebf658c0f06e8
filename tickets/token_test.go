package tickets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestTokenRoundTrip(t *testing.T) {
	t.Parallel()
	for range 200 {
		token := NewToken(KindTicket, newID())
		text := token.Reveal()
		if len(text) != 4+tokenDigits {
			t.Fatalf("a token has %d characters, want %d", len(text), 4+tokenDigits)
		}
		parsed, err := ParseToken(KindTicket, text)
		if err != nil || parsed.Reveal() != token.Reveal() || parsed.Hash() != token.Hash() || parsed.ID() != token.ID() {
			t.Fatalf("parsed another token: %v", err)
		}
	}
}

// The smallest token has leading zeros, the largest has none: both are 70 digits.
func TestTokenWidth(t *testing.T) {
	t.Parallel()
	small := Token{kind: KindTicket}
	large := Token{kind: KindTicket, id: uuid.Max}
	var ones [32]byte
	for i := range ones {
		ones[i] = 0xff
	}
	large.secret = hide(ones)
	for _, token := range []Token{small, large} {
		if parsed, err := ParseToken(KindTicket, token.Reveal()); err != nil || parsed.Reveal() != token.Reveal() {
			t.Errorf("%v", err)
		}
	}
}

func TestTokenTypos(t *testing.T) {
	t.Parallel()
	text := NewToken(KindTicket, newID()).Reveal()
	for i := 4; i < len(text); i++ {
		for _, c := range "0aZ" {
			typo := text[:i] + string(c) + text[i+1:]
			if _, err := ParseToken(KindTicket, typo); typo != text && !errors.Is(err, ErrToken) {
				t.Fatalf("a typo at %d passed: %v", i, err)
			}
		}
	}
	for _, bad := range []string{
		"", "mft_", text[:len(text)-1], text + "0", " " + text, "mfk_" + text[4:], strings.ToUpper(text),
		"mft_" + strings.Repeat("Z", tokenDigits), "mft_-" + text[5:], "mft_" + strings.Repeat("_", tokenDigits),
	} {
		if _, err := ParseToken(KindTicket, bad); !errors.Is(err, ErrToken) {
			t.Errorf("%d characters passed: %v", len(bad), err)
		}
	}
}

// The kind is part of the checksum and of the hash: a token of one kind can
// neither be read nor stored as one of another.
func TestTokenKindsDiffer(t *testing.T) {
	t.Parallel()
	id := newID()
	ticket := Token{kind: KindTicket, id: id}
	grant := Token{kind: KindGrant, id: id}
	if ticket.Hash() == grant.Hash() {
		t.Error("two kinds have one hash")
	}
	if _, err := ParseToken(KindGrant, string(KindGrant)+ticket.Reveal()[4:]); !errors.Is(err, ErrToken) {
		t.Errorf("a ticket under another prefix: %v", err)
	}
}

// P8: whatever is done to a token or claim key by accident, its secret stays in.
func TestSecretsPrintRedacted(t *testing.T) {
	t.Parallel()
	token := NewToken(KindTicket, newID())
	secret := token.Reveal()[4:]
	claim, err := ParseClaimKey("c2VjcmV0IHNlY3JldCBzZWNyZXQ")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, v := range []any{token, &token, claim, &claim, struct {
		T Token
		C ClaimKey
	}{token, claim}, struct{ t Token }{token}, &struct{ t Token }{token}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		if err := json.NewEncoder(&out).Encode(v); err != nil {
			t.Fatal(err)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	}
	_, parseErr := ParseToken(KindGrant, token.Reveal())
	fmt.Fprintln(&out, parseErr)
	for _, leak := range []string{
		secret, fmt.Sprintf("%x", token.secretBytes()[:8]), fmt.Sprintf("%X", token.secretBytes()[:8]),
		strings.Trim(fmt.Sprint(token.secretBytes()[:8]), "[]"), fmt.Sprintf("%x", claim.hash[:8]), strings.Trim(fmt.Sprint(claim.hash[:8]), "[]"),
	} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("printed: %s", leak)
		}
	}
	if !strings.Contains(out.String(), "mft_[redacted]") {
		t.Error("the redacted form is not printed either")
	}
}

func TestClaimKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		ok         bool
	}{
		{"16 bytes", "AAAAAAAAAAAAAAAAAAAAAA", true},
		{"16 bytes, padded", "AAAAAAAAAAAAAAAAAAAAAA==", true},
		{"64 bytes", strings.Repeat("A", 86), true},
		{"empty", "", false},
		{"15 bytes", strings.Repeat("A", 20), false},
		{"65 bytes", strings.Repeat("A", 87), false},
		{"not the URL alphabet", "++++++++++++++++++++++", false},
		{"bits that no byte has", "AAAAAAAAAAAAAAAAAAAAAB", false},
		{"white space", "AAAAAAAAAAA AAAAAAAAAAA", false},
		{"line break", "AAAAAAAAAAA\nAAAAAAAAAAA", false},
	} {
		k, err := ParseClaimKey(c.text)
		if (err == nil) != c.ok || (err != nil) != errors.Is(err, ErrClaimKey) {
			t.Errorf("%s: %v", c.name, err)
		}
		if k.IsZero() == c.ok {
			t.Errorf("%s: IsZero = %v", c.name, k.IsZero())
		}
	}
}

// An open without a claim key records one that nobody has.
func TestNoClaimKeyIsRandom(t *testing.T) {
	t.Parallel()
	one, other := (ClaimKey{}).claimHash(), (ClaimKey{}).claimHash()
	if one == other {
		t.Error("two opens without a claim key record the same")
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(NewToken(KindTicket, newID()).Reveal())
	f.Add(NewToken(KindKey, newID()).Reveal())
	f.Add("mft_" + strings.Repeat("z", tokenDigits))
	f.Add("mft_")
	f.Fuzz(func(t *testing.T, s string) {
		for _, kind := range []Kind{KindKey, KindGrant, KindTicket} {
			token, err := ParseToken(kind, s)
			if err != nil {
				if !errors.Is(err, ErrToken) || !token.IsZero() {
					t.Fatalf("%v, %v", token, err)
				}
				continue
			}
			if token.Reveal() != s {
				t.Fatal("two texts are one token")
			}
		}
	})
}

func FuzzParseClaimKey(f *testing.F) {
	f.Add("AAAAAAAAAAAAAAAAAAAAAA")
	f.Add("AAAAAAAAAAAAAAAAAAAAAA==")
	f.Add(strings.Repeat("_", 86))
	f.Add("\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseClaimKey(s)
		if (err == nil) == k.IsZero() {
			t.Fatalf("%v, %v", k, err)
		}
		if err != nil && !errors.Is(err, ErrClaimKey) {
			t.Fatal(err)
		}
	})
}
