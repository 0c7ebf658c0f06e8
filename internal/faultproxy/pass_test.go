package faultproxy_test

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mayfly/internal/faultproxy"
)

// TestPassIsExact holds both sides of the proxy in its hands, as raw connections.
func TestPassIsExact(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, request, response string }{
		{
			"headers keep their order, case and spaces",
			"GET /b/k HTTP/1.1\r\nx-amz-date: 1\r\nHost: bucket.example:1\r\nX-AMZ-Meta-a:  two  spaces \r\n" +
				"x-amz-meta-a: again\r\nRange: bytes=2-\r\nAccept-Encoding: identity\r\nConnection: keep-alive, TE\r\nTE: trailers\r\n\r\n",
			"HTTP/1.1 206 Some Of It\r\netag: \"x\"\r\nContent-Range: bytes 2-4/5\r\nContent-Length: 3\r\nSERVER: s\r\nserver: t\r\n\r\nabc",
		},
		{
			"the target is not written anew",
			"PUT /b//a/../%2f%7E~+%20(é)?b=+%20&a=%2F&&c&d=;e&x=%zz HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
			"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		},
		{
			"an empty query, and a length where none is needed",
			"DELETE /b/k? HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nUser-Agent: \r\n\r\n",
			"HTTP/1.1 204 No Content\r\n\r\n",
		},
		{
			"chunks and trailers",
			"PUT /b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-Amz-Checksum\r\n\r\n" +
				"3;ext=\"1\"\r\nabc\r\n0002\r\nde\r\n0\r\nx-amz-checksum: 1\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n1\r\n \r\nA\r\n0123456789\r\n0;x\r\nt: 1\r\n\r\n",
		},
		{
			"interim answers",
			"POST /b/k?uploadId=u HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab",
			"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX: 1\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
		},
		{
			"a HEAD has a length and no body",
			"HEAD /b/k HTTP/1.1\r\nHost: h\r\n\r\n",
			"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
		},
		{
			"an answer up to the end",
			"GET /b/k HTTP/1.0\r\n\r\n",
			"HTTP/1.0 200 OK\r\n\r\nall of it",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			p := faultproxy.New(t, "http://"+l.Addr().String())
			client := dial(t, p)
			io.WriteString(client, c.request)

			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			got := make([]byte, len(c.request))
			if _, err := io.ReadFull(server, got); err != nil || string(got) != c.request {
				t.Errorf("the server got %q, %v", got, err)
			}
			io.WriteString(server, c.response)
			server.(*net.TCPConn).CloseWrite()
			got = make([]byte, len(c.response))
			if _, err := io.ReadFull(client, got); err != nil || string(got) != c.response {
				t.Errorf("the client got %q, %v", got, err)
			}
			client.CloseWrite()
			if rest, err := io.ReadAll(server); len(rest) > 0 {
				t.Errorf("the server got %q more, %v", rest, err)
			}
			if rest, err := io.ReadAll(client); len(rest) > 0 {
				t.Errorf("the client got %q more, %v", rest, err)
			}
		})
	}
}

// TestSignedHost signs, as S3 clients do, what the server then verifies.
func TestSignedHost(t *testing.T) {
	t.Parallel()
	sign := func(method, host, target, meta string) string {
		mac := hmac.New(sha256.New, []byte("secret"))
		fmt.Fprintf(mac, "%s\n%s\n%s\n%s", method, host, target, meta)
		return fmt.Sprintf("%x", mac.Sum(nil))
	}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != sign(r.Method, r.Host, r.RequestURI, r.Header.Get("X-Amz-Meta-A")) {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(backend.Close)
	p := faultproxy.New(t, backend.URL)
	for _, host := range []string{"", "s3.example", "s3.example:9000"} {
		r := request(t, "GET", p.URL+"/b/a%2Fb%20c?list-type=2&prefix=%2F", nil)
		if host != "" {
			r.Host = host
		} else {
			r.Host = strings.TrimPrefix(p.URL, "http://")
		}
		r.Header.Set("X-Amz-Meta-A", "1")
		r.Header.Set("Authorization", sign("GET", r.Host, "/b/a%2Fb%20c?list-type=2&prefix=%2F", "1"))
		if a := do(t, r); a.status != http.StatusOK || a.err != nil {
			t.Errorf("host %q: %+v", host, a)
		}
	}
}

// TestStreams passes a piece of the body on only after the one before it came back.
func TestStreams(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		b := make([]byte, 10)
		for {
			n, err := r.Body.Read(b)
			w.Write(b[:n])
			rc.Flush()
			if err != nil {
				return
			}
		}
	}))
	t.Cleanup(backend.Close)
	p := faultproxy.New(t, backend.URL)

	for _, head := range []string{"Content-Length: 9", "Transfer-Encoding: chunked"} {
		client := dial(t, p)
		fmt.Fprintf(client, "PUT /b/k HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n", head)
		in := bufio.NewReader(client)
		var body io.Reader
		for _, piece := range []string{"one", "two", "end"} {
			if strings.HasPrefix(head, "Transfer") {
				fmt.Fprintf(client, "3\r\n%s\r\n", piece)
			} else {
				io.WriteString(client, piece)
			}
			if body == nil {
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				body = resp.Body
			}
			got := make([]byte, 3)
			if _, err := io.ReadFull(body, got); err != nil || string(got) != piece {
				t.Fatalf("%s: got %q, %v", head, got, err)
			}
		}
		if strings.HasPrefix(head, "Transfer") {
			io.WriteString(client, "0\r\n\r\n")
		}
		if rest, err := io.ReadAll(body); len(rest) > 0 || err != nil {
			t.Errorf("%s: %q more, %v", head, rest, err)
		}
	}
}

// TestExpectContinue leaves to the server whether it wants the body.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Expect") != "100-continue" {
			t.Errorf("Expect: %q", r.Header.Get("Expect"))
		}
		if strings.HasSuffix(r.URL.Path, "refused") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		io.Copy(w, r.Body)
	}))
	t.Cleanup(backend.Close)
	p := faultproxy.New(t, backend.URL)
	for _, c := range []struct {
		key    string
		fault  faultproxy.Fault
		status int
		read   bool
	}{
		{"taken", faultproxy.Pass, 200, true},
		{"refused", faultproxy.Pass, 403, false},
		{"taken", faultproxy.SlowDown, 503, false},
	} {
		p.Fail(faultproxy.Always(faultproxy.PutObject, c.fault))
		body := &watched{r: strings.NewReader("body")}
		r := request(t, "PUT", p.URL+"/b/"+c.key, body)
		r.ContentLength = 4
		r.Header.Set("Expect", "100-continue")
		a := do(t, r)
		if a.err != nil || a.status != c.status || body.read != c.read {
			t.Errorf("%s, %v: %+v, body read: %v", c.key, c.fault, a, body.read)
		}
	}
}

// TestConnectionIsKept sends several calls on one connection, refused ones too.
func TestConnectionIsKept(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	p := faultproxy.New(t, s.URL)
	p.Fail(faultproxy.Nth(faultproxy.PutObject, 2, faultproxy.SlowDown))
	client := dial(t, p)
	in := bufio.NewReader(client)
	for i, want := range []int{200, 503, 200, 200} {
		fmt.Fprintf(client, "PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n%d", i)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != want {
			t.Errorf("%d: %s", i, resp.Status)
		}
	}
	if got := s.object("/b/k"); got != "3" {
		t.Errorf("stored %q", got)
	}
}

// TestEarlyAnswer is of a server that answers, and hangs up, without the body.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(backend.Close)
	p := faultproxy.New(t, backend.URL)
	client := dial(t, p)
	// This client reads nothing before it has sent all.
	fmt.Fprintf(client, "PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", 8<<20)
	if _, err := client.Write(make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("%v, %v", resp, err)
	}
}

// TestClientLeaves and the server hears of it, before its answer and within.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	for _, begun := range []bool{false, true} {
		came, left := make(chan struct{}), make(chan struct{})
		backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if begun {
				w.Write([]byte("x"))
				http.NewResponseController(w).Flush()
			}
			close(came)
			<-r.Context().Done()
			close(left)
		}))
		t.Cleanup(backend.Close)
		p := faultproxy.New(t, backend.URL)
		client := dial(t, p)
		io.WriteString(client, "GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n")
		<-came
		client.Close()
		<-left
	}
}

// TestClientLeavesBody and the server reads a body that is short.
func TestClientLeavesBody(t *testing.T) {
	t.Parallel()
	got := make(chan error, 1)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		got <- err
	}))
	t.Cleanup(backend.Close)
	p := faultproxy.New(t, backend.URL)
	client := dial(t, p)
	io.WriteString(client, "PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
	client.Close()
	if err := <-got; err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
}

// TestServerGone is of a server that no longer listens, or breaks off.
func TestServerGone(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		w.Write([]byte("half"))
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(backend.Close)
	p := faultproxy.New(t, backend.URL)
	if a := do(t, request(t, "GET", p.URL+"/b/k", nil)); a.status != 200 || a.body != "half" || a.err == nil {
		t.Errorf("%+v", a)
	}
	backend.Close()
	if a := do(t, request(t, "GET", p.URL+"/b/k", nil)); a.err == nil {
		t.Errorf("%+v", a)
	}
}

// TestEndsWithTheTest closes what still runs when the test ends.
func TestEndsWithTheTest(t *testing.T) {
	t.Parallel()
	var client net.Conn
	s := newStore(t)
	s.put("/b/k", "body")
	t.Run("stalled", func(t *testing.T) {
		p := faultproxy.New(t, s.URL)
		p.Fail(faultproxy.Always(faultproxy.GetObject, faultproxy.Stall))
		var err error
		if client, err = net.Dial("tcp", strings.TrimPrefix(p.URL, "http://")); err != nil {
			t.Fatal(err)
		}
		io.WriteString(client, "GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n")
		var got []byte
		for b := make([]byte, 1); !bytes.HasSuffix(got, []byte("\r\n\r\nbo")); got = append(got, b...) {
			if _, err := client.Read(b); err != nil {
				t.Fatalf("%v after %q", err, got)
			}
		}
	})
	defer client.Close()
	if got, _ := io.ReadAll(client); len(got) > 0 {
		t.Errorf("got %q more", got)
	}
}
