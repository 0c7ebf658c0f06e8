package main

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"filippo.io/age"
	"github.com/google/uuid"

	"mayfly/tickets"
)

func newLink(t testing.TB, server, name string) link {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return link{server: server, ticket: tickets.NewToken(tickets.KindTicket, uuid.New()), key: key, name: name}
}

func TestLink(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "photo.jpg", "a b+c&d=e#f%g;h?.jpg", "写真 🦋.jpg", "=", "&key=x"} {
		l := newLink(t, "https://media.example.org/below", name)
		text := l.reveal()
		address, _, _ := strings.Cut(text, "#")
		if address != "https://media.example.org/below/" || strings.ContainsAny(text, " \t\n+") {
			t.Errorf("%q", text)
		}
		got, err := parseLink("  " + text + "\r\n")
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if got.name != name || !got.ticket.Equal(l.ticket) || got.key.String() != l.key.String() || got.server != l.server {
			t.Errorf("%q became %q", name, got.name)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
			if printed := fmt.Sprintf(verb, l); printed != "https://media.example.org/below/#[redacted]" {
				t.Errorf("%s prints %s", verb, printed)
			}
		}
	}
}

// mistakes are links that are not quite one. TICKET and KEY stand for good ones.
var mistakes = map[string]string{
	"empty":             "",
	"no fragment":       "https://a.test/",
	"cut by a shell":    "https://a.test/#ticket=TICKET",
	"no ticket":         "https://a.test/#key=KEY",
	"empty key":         "https://a.test/#ticket=TICKET&key=",
	"twice":             "https://a.test/#ticket=TICKET&ticket=TICKET&key=KEY",
	"unknown part":      "https://a.test/#ticket=TICKET&key=KEY&SECRET=SECRET",
	"bad escape":        "https://a.test/#ticket=TICKET&key=KEY&name=%SECRET",
	"semicolon":         "https://a.test/#ticket=TICKET;key=KEY",
	"another fragment":  "https://a.test/#ticket=TICKET#key=KEY",
	"typo in ticket":    "https://a.test/#ticket=TICKETx&key=KEY",
	"ticket cut off":    "https://a.test/#ticket=mft_SECRET&key=KEY",
	"typo in key":       "https://a.test/#ticket=TICKET&key=KEYq",
	"key in lower case": "https://a.test/#ticket=TICKET&key=age-secret-key-1SECRET",
	"key is a path":     "https://a.test/#ticket=TICKET&key=/SECRET",
	"too long":          "https://a.test/#ticket=TICKET&key=KEY&name=" + strings.Repeat("x", maxLink),
}

func TestParseLinkRefuses(t *testing.T) {
	t.Parallel()
	l := newLink(t, "", "")
	ticket, key := l.ticket.Reveal(), l.key.String()
	for name, text := range mistakes {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "TICKET", ticket), "KEY", key)
		_, err := parseLink(text)
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		for _, secret := range []string{ticket, key, "SECRET", "%SE"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: shows a secret: %v", name, err)
			}
		}
	}
}

func FuzzParseLink(f *testing.F) {
	l := newLink(f, "https://a.test", "a b.jpg")
	f.Add(l.reveal())
	for _, text := range mistakes {
		f.Add(strings.ReplaceAll(strings.ReplaceAll(text, "TICKET", l.ticket.Reveal()), "KEY", l.key.String()))
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseLink(text)
		if err != nil {
			return
		}
		again, err := parseLink(got.reveal())
		if err != nil || again.name != got.name || !again.ticket.Equal(got.ticket) || again.key.String() != got.key.String() {
			t.Errorf("a link that was read is not read again: %v", err)
		}
	})
}

func TestSafeName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"photo.jpg": "photo.jpg", "写真 🦋.jpg": "写真 🦋.jpg", "two  words.tar.gz": "two  words.tar.gz",
		"": fallbackName, ".": fallbackName, "..": fallbackName, "...": fallbackName, "/": fallbackName, `\`: fallbackName,
		"../../etc/passwd": "passwd", `..\..\boot.ini`: "boot.ini", "/etc/cron.d/": fallbackName, `C:\x`: "x",
		".bashrc": "bashrc", ". .ssh": "ssh", "-rf": "rf", "--help": "help", "a.": "a", "a. . ": "a",
		"a\nb\x00c\x1b[31m.jpg": "abc[31m.jpg", "\u202egpj.exe": "gpj.exe", "a\u200b\ufeff.jpg": "a.jpg",
		"\xff\xfe.jpg": "jpg", strings.Repeat("é", 300): strings.Repeat("é", 100),
	} {
		if got := safeName(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func FuzzSafeName(f *testing.F) {
	for _, s := range []string{"photo.jpg", "../x", ".x", "a\x00b", "-", "\u202e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := safeName(s)
		if got == "" || len(got) > 200 || strings.ContainsAny(got, `/\`) || strings.ContainsFunc(got, unicode.IsControl) ||
			got[0] == '.' || got[0] == '-' || safeName(got) != got {
			t.Errorf("%q became %q", s, got)
		}
	})
}
