package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly/internal/openapi"
	"mayfly/tickets"
)

// Every violation is named by the field that the client knows, and nothing of what
// he sent comes back.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, tokens := w.store(content(100), "recipient=a&recipient=b")
	blob := content(10)
	const bad = "sentinelvalue" // must never come back
	many := func(n int, name string) string {
		list := make([]string, n)
		for i := range list {
			list[i] = name
		}
		b, _ := json.Marshal(list)
		return string(b)
	}
	token := tokens[1]

	for _, c := range []struct {
		name, call string
		with       with
		fields     string // "field problem; field problem"
	}{
		{"no size", "POST /v1/blobs", jsonBody(`{}`), "size is required"},
		{"not an object", "POST /v1/blobs", jsonBody(`[1]`), "body must be an object"},
		{"null", "POST /v1/blobs", jsonBody(`null`), "body must be an object"},
		{"empty", "POST /v1/blobs", jsonBody(``), "body is not JSON"},
		{"not JSON", "POST /v1/blobs", jsonBody(`{"size":1`), "body is not JSON"},
		{"trailing", "POST /v1/blobs", jsonBody(`{"size":1} {"size":2}`), "body goes on behind the JSON value"},
		{"trailing brace", "POST /v1/blobs", jsonBody(`{"size":1}}`), "body goes on behind the JSON value"},
		{"not UTF-8", "POST /v1/blobs", jsonBody("{\"size\":1,\"context\":\"\xff\"}"), "body is not UTF-8"},
		{"deep", "POST /v1/blobs", jsonBody(strings.Repeat("[", 100_000)), "body is not JSON"},
		{"negative", "POST /v1/blobs", jsonBody(`{"size":-1}`), "size must be at least 0"},
		{"text", "POST /v1/blobs", jsonBody(`{"size":"` + bad + `"}`), "size must be a whole number"},
		{"fraction", "POST /v1/blobs", jsonBody(`{"size":1.5}`), "size must be a whole number"},
		{"exponent", "POST /v1/blobs", jsonBody(`{"size":1e3}`), "size must be a whole number of 64 bits, written without point or exponent"},
		{"huge", "POST /v1/blobs", jsonBody(`{"size":99999999999999999999}`), "size must be a whole number of 64 bits, written without point or exponent"},
		{"null field", "POST /v1/blobs", jsonBody(`{"size":1,"policy":null}`), "policy must be a string"},
		{"unknown field", "POST /v1/blobs", jsonBody(`{"size":1,"recipents":["a"]}`), "recipents is not a field of this call"},
		{"other case", "POST /v1/blobs", jsonBody(`{"size":1,"Policy":"view-once"}`), "Policy is not a field of this call"},
		{"token as a field", "POST /v1/blobs", jsonBody(`{"size":1,"mft_` + bad + `":1}`), "? is not a field of this call"},
		{"strange field", "POST /v1/blobs", jsonBody(`{"size":1,"<script>":1}`), "? is not a field of this call"},
		{"all at once", "POST /v1/blobs", jsonBody(`{"policy":"` + bad + `!","size":-1,"recipients":["ok",7,"` + strings.Repeat("x", 257) + `"],"sha256":"AB","expires_in":0}`),
			"expires_in must be at least 1; policy must match ^[a-z0-9][a-z0-9-]*$; recipients[1] must be a string; recipients[2] is longer than 256 characters; sha256 must match ^[0-9a-f]{64}$; size must be at least 0"},
		{"no recipients", "POST /v1/blobs", jsonBody(`{"size":1,"recipients":[]}`), "recipients must have at least 1 entries"},
		{"too many", "POST /v1/blobs", jsonBody(`{"size":1,"recipients":` + many(1025, "x") + `}`), "recipients must have at most 1024 entries"},
		{"bytes, not characters", "POST /v1/blobs", jsonBody(`{"size":1,"recipients":["a","` + strings.Repeat("ä", 200) + `"]}`), "recipients[1] is longer than 256 bytes"},
		{"NUL", "POST /v1/blobs", jsonBody(`{"size":1,"recipients":["\u0000"],"context":"\u0000"}`),
			"context is not UTF-8 text without NUL; recipients[0] is not UTF-8 text without NUL"},
		{"unknown policy", "POST /v1/blobs", jsonBody(`{"size":1,"policy":"forever"}`), "policy is not one of the policies of this service"},
		{"internal policy", "POST /v1/blobs", jsonBody(`{"size":1,"policy":"evidence"}`), "policy is not one of the policies of this service"},
		{"longer", "POST /v1/blobs", jsonBody(`{"size":1,"expires_in":1209601}`), "expires_in may shorten the policy's deadline of 1209600 seconds, not lengthen it"},
		{"shared ticket", "POST /v1/blobs", jsonBody(`{"size":1,"policy":"channel-30d","recipients":["a","b"]}`), "recipients must be one at the most: this policy has one ticket for all readers"},
		{"JSON with a query", "POST /v1/blobs?recipient=" + bad + "&policy=view-once", jsonBody(`{"size":1}`),
			"query policy goes with application/octet-stream only; here it belongs into the JSON body; query recipient goes with application/octet-stream only; here it belongs into the JSON body"},

		{"query: number", "POST /v1/blobs?expires_in=" + bad, bytesBody(blob), "query expires_in must be a whole number"},
		{"query: minimum", "POST /v1/blobs?expires_in=0", bytesBody(blob), "query expires_in must be at least 1"},
		{"query: maximum", "POST /v1/blobs?expires_in=315360001", bytesBody(blob), "query expires_in must be at most 315360000"},
		{"query: empty number", "POST /v1/blobs?expires_in=", bytesBody(blob), "query expires_in is malformed"},
		{"query: hex number", "POST /v1/blobs?expires_in=0x10", bytesBody(blob), "expires_in is malformed"},
		{"query: longer", "POST /v1/blobs?expires_in=1209601", bytesBody(blob), "query expires_in may shorten the policy's deadline of 1209600 seconds, not lengthen it"},
		{"query: digest", "POST /v1/blobs?sha256=" + bad, bytesBody(blob), "query sha256 must match ^[0-9a-f]{64}$"},
		{"query: twice", "POST /v1/blobs?policy=view-once&policy=view-once", bytesBody(blob), "query policy is given more than once"},
		{"query: unknown", "POST /v1/blobs?recipents=" + bad, bytesBody(blob), "query recipents is not a parameter of this call"},
		{"query: strange name", "POST /v1/blobs?%00=1", bytesBody(blob), "query ? is not a parameter of this call"},
		{"query: malformed", "POST /v1/blobs?policy=%zz", bytesBody(blob), "query is malformed"},
		{"query: long recipient", "POST /v1/blobs?recipient=ok&recipient=" + strings.Repeat("x", 257), bytesBody(blob), "query recipient[1] is longer than 256 characters"},
		{"query: NUL", "POST /v1/blobs?recipient=ok&recipient=%00", bytesBody(blob), "query recipient[1] is not UTF-8 text without NUL"},
		{"query: too many", "POST /v1/blobs?" + strings.Repeat("recipient=&", 1025), bytesBody(blob), "query recipient must have at most 1024 entries"},
		{"query: policy", "POST /v1/blobs?policy=forever", bytesBody(blob), "query policy is not one of the policies of this service"},
		{"query elsewhere", "GET /v1/blobs/" + id + "?x=1", nil, "query x is not a parameter of this call"},

		{"id", "GET /v1/blobs/" + bad, nil, "id is not a UUID"},
		{"id without dashes", "GET /v1/blobs/" + strings.ReplaceAll(id, "-", ""), nil, "id is not a UUID"},
		{"id as urn", "DELETE /v1/blobs/urn:uuid:" + id, nil, "id is not a UUID"},
		{"36 others", "DELETE /v1/blobs/" + strings.Repeat("x", 36), nil, "id is malformed"},
		{"both ids", "DELETE /v1/blobs/1/tickets/2", nil, "id is not a UUID; ticket_id is not a UUID"},
		{"no tickets", "POST /v1/blobs/" + id + "/tickets", jsonBody(`{"recipients":[]}`), "recipients must have at least 1 entries"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.in(t)
			options := []with{}
			if c.with != nil {
				options = append(options, c.with)
			}
			_, text := w.want(400, c.call, w.key, options...)
			checkFields(t, text, c.fields)
			if bytes.Contains(text, []byte(bad)) {
				t.Errorf("what was sent comes back: %s", text)
			}
		})
	}

	for _, c := range []struct {
		name, call string
		with       []with
		fields     string
	}{
		{"claim key", "POST /v1/download", []with{header("Claim-Key", bad)}, "Claim-Key must be 16 to 64 bytes in base64url"},
		{"short claim key", "GET /v1/download", []with{header("Claim-Key", "c2hvcnQ")}, "Claim-Key must be 16 to 64 bytes in base64url"},
		{"long claim key", "POST /v1/download/ack", []with{header("Claim-Key", strings.Repeat("A", 90))}, "Claim-Key must be 16 to 64 bytes in base64url"},
		{"two claim keys", "POST /v1/download", []with{func(r *http.Request) { r.Header["Claim-Key"] = []string{claimKey(), claimKey()} }}, "Claim-Key is given more than once"},
		{"no claim key", "POST /v1/download/ack", nil, "Claim-Key is required"},
		{"empty claim key", "POST /v1/download", []with{header("Claim-Key", "")}, "Claim-Key must be 16 to 64 bytes in base64url"},
		{"long range", "GET /v1/download", []with{header("Range", "bytes="+strings.Repeat("0", 128)+"-"), header("If-Range", strings.Repeat("x", 129))},
			"If-Range is longer than 128 characters; Range is longer than 128 characters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.in(t)
			_, text := w.want(400, c.call, token, c.with...)
			checkFields(t, text, c.fields)
			if bytes.Contains(text, []byte(bad)) {
				t.Errorf("what was sent comes back: %s", text)
			}
		})
	}
	if got := w.status(id).Tickets[1].State; got != "ready" {
		t.Errorf("a refused request left the ticket %s", got)
	}
}

func checkFields(t *testing.T, text []byte, want string) {
	t.Helper()
	var p openapi.Problem
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	var got []string
	if p.Errors != nil {
		for _, e := range *p.Errors {
			got = append(got, e.Field+" "+e.Problem)
		}
	}
	if !sameSet(got, want) {
		t.Errorf("errors:\n got %s\nwant %s", strings.Join(got, "; "), want)
	}
	if p.Detail == nil || !strings.HasPrefix(*p.Detail, got[0]) {
		t.Errorf("detail: %v", p.Detail)
	}
}

// sameSet compares violations without their order. Their texts hold semicolons.
func sameSet(got []string, want string) bool {
	n := 0
	for _, g := range got {
		if !strings.Contains("; "+want+"; ", "; "+g+"; ") {
			return false
		}
		n += len(g)
	}
	return n+2*(len(got)-1) == len(want)
}

// A token in a URL is refused whatever the path is, and never logged (the world
// checks the log).
func TestTokensInURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, tokens := w.store(content(10), "")
	for _, call := range []string{
		"GET /v1/ticket?token=" + tokens[0],
		"POST /v1/download?" + tokens[0],
		"POST /v1/download?a=b&access_token=Bearer%20" + tokens[0],
		"GET /v1/blobs?key=" + w.key,
		"GET /nowhere?x=" + tokens[0],
		"GET /?x=" + tokens[0],
		"GET /healthz?x=" + tokens[0],
	} {
		for _, token := range []string{"", tokens[0]} {
			p, _ := w.refused(400, "invalid_request", call, token)
			if p.Errors == nil || (*p.Errors)[0].Field != "query" {
				t.Errorf("%+v", p)
			}
		}
	}
	w.want(200, "POST /v1/download", tokens[0])
}

// The validation never touches a body of bytes: one that does not come holds up
// nothing that can be told without it.
func TestBytesAreNotReadByValidation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withLimits(Limits{Stall: 300 * time.Millisecond}))
	_, grant, _ := w.announce(`{"size":10}`)
	for _, c := range []struct {
		status int
		code   openapi.ProblemCode
		call   string
		token  string
		size   int64
	}{
		{400, "invalid_request", "POST /v1/blobs?nonsense=1", w.key, 100},
		{400, "invalid_request", "POST /v1/blobs?policy=forever", w.key, 100},
		{401, "unknown_key", "POST /v1/blobs", tickets.NewToken(tickets.KindKey, [16]byte{}).Reveal(), 100},
		{403, "forbidden", "POST /v1/blobs", w.ops, 100},
		{413, "too_large", "POST /v1/blobs", w.key, 3 << 30},
		{413, "too_large", "PUT /v1/uploads", grant, 11},
		{422, "size_mismatch", "PUT /v1/uploads", grant, 9},
	} {
		never, end := io.Pipe()
		w.refused(c.status, c.code, c.call, c.token, sending(mediaBytes, never, c.size))
		end.Close()

		// Who asks first is told without having to send: no 100 Continue.
		r := w.request(c.call, c.token, header("Expect", "100-continue"), header("Content-Type", mediaBytes))
		conn, answers := w.dial()
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n", r.Method, r.URL.RequestURI(), c.size)
		r.Header.Write(conn)
		io.WriteString(conn, "\r\n")
		line, err := answers.ReadString('\n')
		if want := fmt.Sprintf("HTTP/1.1 %d ", c.status); err != nil || !strings.HasPrefix(line, want) {
			t.Errorf("%s: %q, %v, want %s", c.call, line, err, want)
		}
	}
	// And who is asked to send, sends.
	conn, answers := w.dial()
	fmt.Fprintf(conn, "PUT /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n", grant)
	if line, _ := answers.ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("%q", line)
	}
	io.WriteString(conn, "0123456789")
	answers.ReadString('\n')
	if line, _ := answers.ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 200 ") {
		t.Fatalf("%q", line)
	}
}
