package api

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-chi/httprate"
)

// clientAddress is what limits count by: the client's address, of IPv6 the /64 that
// one subscriber has. Behind a proxy it is the last address of X-Forwarded-For, the
// one that our own proxy wrote; those before it the client may have made up.
func (e *endpoints) clientAddress(r *http.Request) string {
	if e.BehindProxy {
		if lines := r.Header["X-Forwarded-For"]; len(lines) > 0 {
			last := lines[len(lines)-1]
			last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
			if a, err := netip.ParseAddr(last); err == nil {
				return httprate.CanonicalizeIP(a.WithZone("").String())
			}
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return httprate.CanonicalizeIP(host)
}

// publicURL is the absolute URL of a path of this server, as its client reaches it.
func (e *endpoints) publicURL(r *http.Request, path string) (string, error) {
	if e.base != nil {
		return e.base.JoinPath(path).String(), nil
	}
	if !validHost(r.Host) {
		return "", violation("Host", "is not a host name or address with an optional port")
	}
	u := url.URL{Scheme: "http", Host: r.Host, Path: path}
	if r.TLS != nil {
		u.Scheme = "https"
	}
	if e.BehindProxy {
		switch proto := r.Header.Get("X-Forwarded-Proto"); proto {
		case "http", "https":
			u.Scheme = proto
		}
	}
	return u.String(), nil
}

// path is where a path of this server is on the host that clients see.
func (e *endpoints) path(path string) string {
	if e.base == nil {
		return path
	}
	return e.base.Path + path
}

// validHost reports whether a Host header is a name or address, with a port or
// without: what is put into URLs that others will follow.
func validHost(host string) bool {
	name := host
	if h, port, err := net.SplitHostPort(host); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
		if name = h; strings.Contains(h, ":") {
			name = "[" + h + "]"
		}
	}
	if v6, ok := strings.CutPrefix(name, "["); ok {
		v6, ok = strings.CutSuffix(v6, "]")
		a, err := netip.ParseAddr(v6)
		return ok && err == nil && a.Is6() && a.Zone() == ""
	}
	if name == "" || len(name) > 253 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}
