package main

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"unicode"

	"filippo.io/age"
	"github.com/alecthomas/kong"

	"mayfly/tickets"
)

// link is what a recipient gets: <server>/#ticket=mft_…&key=AGE-SECRET-KEY-1…&name=photo.jpg.
// What stands behind the # is never sent: no server, proxy or log sees it (P8).
// It prints redacted.
type link struct {
	server string
	ticket tickets.Token
	key    *age.X25519Identity
	name   string // of the file, may be empty
}

// reveal is the link in the clear, for the one output that hands it out.
func (l link) reveal() string {
	s := strings.TrimRight(l.server, "/") + "/#ticket=" + l.ticket.Reveal() + "&key=" + l.key.String()
	if l.name != "" {
		// %20 is a space everywhere, + only in queries.
		s += "&name=" + strings.ReplaceAll(url.QueryEscape(l.name), "+", "%20")
	}
	return s
}

// Format prints the redacted form, for every verb.
func (l link) Format(f fmt.State, _ rune) { fmt.Fprint(f, l.server+"/#[redacted]") }

const maxLink = 16 << 10 // bytes

// parseLink reads a link strictly: what is not exactly one would cost the ticket
// and give nothing. The errors never quote it.
func parseLink(s string) (link, error) {
	s = strings.TrimSpace(s)
	address, fragment, ok := strings.Cut(s, "#")
	switch {
	case len(s) > maxLink:
		return link{}, errors.New("the link is too long to be one")
	case !ok:
		return link{}, errors.New("this is not a link of mayfly send: there is no # in it")
	}
	values, err := url.ParseQuery(fragment)
	if err != nil {
		return link{}, errors.New("the link is damaged behind the #")
	}
	for name, v := range values {
		if len(v) != 1 {
			return link{}, errors.New("the link is damaged: a part is in it twice")
		}
		if name != "ticket" && name != "key" && name != "name" {
			return link{}, errors.New("the link is damaged, or made by a newer mayfly: it has a part that this one does not know")
		}
	}
	l := link{server: strings.TrimRight(address, "/"), name: values.Get("name")}
	if values.Get("ticket") == "" || values.Get("key") == "" {
		return link{}, errors.New("the link is not whole: ticket or key are missing. " +
			"A shell cuts it at the & unless it stands in 'quotes'; or give - and paste it")
	}
	if l.ticket, err = tickets.ParseToken(tickets.KindTicket, values.Get("ticket")); err != nil {
		return link{}, fmt.Errorf("the ticket in the link is mistyped or cut off: %w", err)
	}
	if l.key, err = age.ParseX25519Identity(values.Get("key")); err != nil {
		// age's error may quote what it could not read.
		return link{}, errors.New("the key in the link is mistyped or cut off")
	}
	return l, nil
}

// linkArg is a link on the command line. Kong quotes an argument that it does not
// expect, so a second link is refused here, unquoted.
type linkArg string

// Decode implements kong.MapperValue.
func (a *linkArg) Decode(ctx *kong.DecodeContext) error {
	token, err := ctx.Scan.PopValue("link")
	if err != nil {
		return errors.New("it is missing")
	}
	*a = linkArg(fmt.Sprint(token.Value))
	for _, other := range ctx.Scan.PeekAll() {
		if text := fmt.Sprint(other.Value); strings.Contains(text, string(tickets.KindTicket)) || strings.Contains(text, "AGE-SECRET-KEY-") {
			return errors.New("one link at a time; in a shell it stands in 'quotes'")
		}
	}
	return nil
}

// fallbackName is for media whose link names none.
const fallbackName = "mayfly-download"

// safeName makes the sender's name for a file fit to be created here: a base
// name that hides nothing and does not look like a flag.
func safeName(name string) string {
	name = strings.ToValidUTF8(name, "")
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		// C holds control characters and those that turn the direction of writing,
		// with which gpj.exe looks like exe.jpg.
		if unicode.Is(unicode.C, r) {
			return -1
		}
		return r
	}, name)
	name = strings.TrimLeft(name, ".- ")
	if len(name) > 200 {
		name = strings.ToValidUTF8(name[:200], "")
	}
	name = strings.TrimRight(name, ". ")
	if !filepath.IsLocal(name) { // empty, or reserved on Windows
		return fallbackName
	}
	return name
}
