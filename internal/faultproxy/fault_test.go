package faultproxy_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mayfly/internal/faultproxy"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	const (
		put      = "PUT /b/k"
		get      = "GET /b/old"
		complete = "POST /b/k?uploadId=u"
		half     = "0123456789"
		content  = half + "abcdefghij"
		flipped  = half + "`bcdefghij"
	)
	reset := func(a reply) bool { return errors.Is(a.err, syscall.ECONNRESET) || errors.Is(a.err, syscall.EPIPE) }
	ended := func(a reply) bool { return errors.Is(a.err, io.EOF) && a.status == 0 }
	ok := func(want string) func(reply) bool {
		return func(a reply) bool { return a == reply{200, want, nil} }
	}
	s3Error := func(status int, code string) func(reply) bool {
		return func(a reply) bool {
			var e struct {
				XMLName xml.Name `xml:"Error"`
				Code    string
			}
			return a.err == nil && a.status == status && xml.Unmarshal([]byte(a.body), &e) == nil && e.Code == code
		}
	}
	for _, c := range []struct {
		call  string
		fault faultproxy.Fault
		want  func(reply) bool
		// stored is at /b/k after the call; old is not touched.
		stored string
		// short is the body that the server got before its end.
		short string
		// idle tells that the fault has no place in this call.
		idle bool
	}{
		{call: put, fault: faultproxy.Pass, want: ok(""), stored: content, idle: true},
		{call: get, fault: faultproxy.Pass, want: ok(content), idle: true},
		{call: put, fault: faultproxy.Latency(time.Millisecond), want: ok(""), stored: content},
		{call: get, fault: faultproxy.Latency(time.Millisecond), want: ok(content)},

		{call: put, fault: faultproxy.ResetBefore, want: reset},
		{call: get, fault: faultproxy.ResetBefore, want: reset},
		{call: put, fault: faultproxy.ResetRequest, want: reset, short: half},
		{call: get, fault: faultproxy.ResetRequest, want: reset},
		{call: get, fault: faultproxy.ResetResponse, want: func(a reply) bool { return a.status == 200 && a.body == half && reset(a) }},
		{call: put, fault: faultproxy.ResetResponse, want: func(a reply) bool { return a.status == 0 && (reset(a) || errors.Is(a.err, io.ErrUnexpectedEOF)) }, stored: content},

		{call: put, fault: faultproxy.SlowDown, want: s3Error(503, "SlowDown")},
		{call: get, fault: faultproxy.SlowDown, want: s3Error(503, "SlowDown")},
		{call: "HEAD /b/old", fault: faultproxy.SlowDown, want: func(a reply) bool { return a == reply{status: 503} }},

		{call: put, fault: faultproxy.EffectThenTimeout(0), want: ended, stored: content},
		{call: get, fault: faultproxy.EffectThenTimeout(time.Millisecond), want: ended},
		{call: complete, fault: faultproxy.EffectThenTimeout(time.Millisecond), want: ended, stored: "effect"},

		{call: get, fault: faultproxy.ShortRead, want: func(a reply) bool {
			return a.status == 200 && a.body == half && errors.Is(a.err, io.ErrUnexpectedEOF)
		}},
		{call: put, fault: faultproxy.ShortRead, want: ok(""), stored: content, idle: true},

		{call: put, fault: faultproxy.FlipRequestByte, want: ok(""), stored: flipped},
		{call: get, fault: faultproxy.FlipRequestByte, want: ok(content), idle: true},
		{call: get, fault: faultproxy.FlipResponseByte, want: ok(flipped)},
		{call: put, fault: faultproxy.FlipResponseByte, want: ok(""), stored: content, idle: true},

		{call: complete, fault: faultproxy.ErrorIn200, want: s3Error(200, "InternalError")},
		{call: "COPY /b/k", fault: faultproxy.ErrorIn200, want: s3Error(200, "InternalError")},
		{call: "COPY /b/k?partNumber=1&uploadId=u", fault: faultproxy.ErrorIn200, want: s3Error(200, "InternalError")},
		{call: put, fault: faultproxy.ErrorIn200, want: ok(""), stored: content, idle: true},
		{call: complete, fault: faultproxy.EffectThenErrorIn200, want: s3Error(200, "InternalError"), stored: "effect"},
		{call: "COPY /b/k", fault: faultproxy.EffectThenErrorIn200, want: s3Error(200, "InternalError"), stored: content},
		{call: put, fault: faultproxy.EffectThenErrorIn200, want: ok(""), stored: content, idle: true},
	} {
		t.Run(fmt.Sprintf("%v/%s", c.fault, c.call), func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			s.put("/b/old", content)
			p := faultproxy.New(t, s.URL)
			p.Fail(func(faultproxy.Call) faultproxy.Fault { return c.fault })

			method, target, _ := strings.Cut(c.call, " ")
			var body io.Reader
			if method == "PUT" || method == "POST" || method == "COPY" {
				body = strings.NewReader(content)
			}
			isCopy := method == "COPY"
			if isCopy {
				method = "PUT"
			}
			r := request(t, method, p.URL+target, body)
			if isCopy {
				r.Header.Set("X-Amz-Copy-Source", "b/old")
			}
			a := do(t, r)
			if !c.want(a) {
				t.Errorf("the client saw %d, %q, %v", a.status, a.body, a.err)
			}
			if c.short != "" {
				<-s.came
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			want := map[string]string{"/b/old": content}
			if c.stored != "" {
				want["/b/k"] = c.stored
			}
			if !maps.Equal(s.objects, want) || s.short["/b/k"] != c.short {
				t.Errorf("stored %v, and of a body %q", s.objects, s.short)
			}
			calls := p.Calls()
			if len(calls) != 1 || calls[0].Fault != c.fault || calls[0].Made == c.idle || calls[0].N != 0 || calls[0].Method != method {
				t.Errorf("calls: %+v", calls)
			}
		})
	}
}

// TestResetWithinHead reads the connection itself: net/http tells a reset within a
// head as an unexpected end.
func TestResetWithinHead(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	p := faultproxy.New(t, s.URL)
	p.Fail(faultproxy.Always(faultproxy.PutObject, faultproxy.ResetResponse))
	client := dial(t, p)
	io.WriteString(client, "PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx")
	got, err := io.ReadAll(client)
	if !strings.HasPrefix(string(got), "HTTP/1.1 200 OK\r\n") || strings.HasSuffix(string(got), "\r\n\r\n") || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestErrorsPass is of a call that the server refuses: an error in 200 would be a
// lie about an effect.
func TestErrorsPass(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(backend.Close)
	p := faultproxy.New(t, backend.URL)
	p.Fail(faultproxy.Always(faultproxy.CompleteMultipartUpload, faultproxy.EffectThenErrorIn200))
	if a := do(t, request(t, "POST", p.URL+"/b/k?uploadId=u", nil)); a.status != http.StatusNotFound {
		t.Errorf("%+v", a)
	}
	if calls := p.Calls(); len(calls) != 1 || calls[0].Made {
		t.Errorf("%+v", calls)
	}
}

// TestStall waits for nothing but the client, which leaves.
func TestStall(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.put("/b/old", "0123456789")
	p := faultproxy.New(t, s.URL)
	p.Fail(func(faultproxy.Call) faultproxy.Fault { return faultproxy.Stall })

	ctx, cancel := context.WithCancel(t.Context())
	resp, err := new(http.Transport).RoundTrip(request(t, "GET", p.URL+"/b/old", nil).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != "01234" {
		t.Errorf("%q, %v", got, err)
	}
	cancel()
	if n, err := resp.Body.Read(got); n > 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%q, %v", got[:n], err)
	}

	// An answer without a body stalls within its head.
	ctx, cancel = context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := new(http.Transport).RoundTrip(request(t, "PUT", p.URL+"/b/k", strings.NewReader("x")).WithContext(ctx))
		failed <- err
	}()
	for method := range s.came {
		if method == "PUT" {
			break
		}
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestEffectWithoutClient passes a call on whose client leaves before the server has
// done it.
func TestEffectWithoutClient(t *testing.T) {
	t.Parallel()
	came, left, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(came)
		<-left
		w.Write([]byte(" "))
		http.NewResponseController(w).Flush()
		done <- r.Context().Err()
	}))
	t.Cleanup(backend.Close)
	p := faultproxy.New(t, backend.URL)
	p.Fail(faultproxy.Always(faultproxy.CompleteMultipartUpload, faultproxy.EffectThenTimeout(time.Hour)))
	client := dial(t, p)
	io.WriteString(client, "POST /b/k?uploadId=u HTTP/1.1\r\nHost: h\r\n\r\n")
	<-came
	client.Close()
	close(left)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestHang ends with the client too, long before its time.
func TestHang(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	p := faultproxy.New(t, s.URL)
	p.Fail(faultproxy.Always(faultproxy.PutObject, faultproxy.EffectThenTimeout(time.Hour)))
	client := dial(t, p)
	io.WriteString(client, "PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx")
	<-s.came
	client.Close()
	// The proxy's end, in Cleanup, waits for the exchange.
}

func TestCalls(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	p := faultproxy.New(t, s.URL)
	var asked []faultproxy.Call
	p.Fail(func(c faultproxy.Call) faultproxy.Fault {
		asked = append(asked, c)
		return faultproxy.Nth(faultproxy.UploadPart, 2, faultproxy.SlowDown)(c)
	})
	for _, target := range []string{"/b/a%2Fb?partNumber=1&uploadId=u", "/b/k", "/b/k?partNumber=7&uploadId=u"} {
		do(t, request(t, "PUT", p.URL+target, strings.NewReader("x")))
	}
	calls := p.Calls()
	if len(calls) != 3 || len(asked) != 3 {
		t.Fatalf("%+v, asked %+v", calls, asked)
	}
	for i, want := range []string{
		"UploadPart PUT /b/a%2Fb 1 0 Pass false",
		"PutObject PUT /b/k  0 Pass false",
		"UploadPart PUT /b/k 7 1 SlowDown true",
	} {
		c := calls[i]
		got := fmt.Sprint(c.Op, " ", c.Method, " ", c.Path, " ", c.Query.Get("partNumber"), " ", c.N, " ", c.Fault, " ", c.Made)
		if got != want {
			t.Errorf("call %d: %s, want %s", i, got, want)
		}
		if asked[i].Op != c.Op || asked[i].N != c.N || asked[i].Path != c.Path {
			t.Errorf("asked about %+v", asked[i])
		}
	}

	p.Fail(nil)
	if calls := p.Calls(); len(calls) > 0 {
		t.Errorf("still %+v", calls)
	}
	if a := do(t, request(t, "PUT", p.URL+"/b/k?partNumber=1&uploadId=u", nil)); a.status != 200 {
		t.Errorf("%+v", a)
	}
	if calls := p.Calls(); len(calls) != 1 || calls[0].N != 0 || calls[0].Made {
		t.Errorf("%+v", calls)
	}
}

// TestConcurrent puts and gets at once, with faults among them, over connections
// that are used again.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	p := faultproxy.New(t, s.URL)
	const workers, rounds = 8, 12
	faults := []faultproxy.Fault{
		faultproxy.Pass, faultproxy.SlowDown, faultproxy.ResetBefore, faultproxy.Pass, faultproxy.ResetRequest,
		faultproxy.EffectThenTimeout(0), faultproxy.ResetResponse, faultproxy.Latency(time.Millisecond),
	}
	p.Fail(func(c faultproxy.Call) faultproxy.Fault {
		if c.Op == faultproxy.PutObject {
			return faults[c.N%len(faults)]
		}
		return faultproxy.Pass
	})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}
	t.Cleanup(client.CloseIdleConnections)
	var running sync.WaitGroup
	for worker := range workers {
		running.Go(func() {
			for round := range rounds {
				url := fmt.Sprintf("%s/b/%d-%d", p.URL, worker, round)
				content := strings.Repeat(fmt.Sprint(worker, round, "."), 1000*round)
				if resp, err := client.Do(request(t, "PUT", url, strings.NewReader(content))); err == nil {
					resp.Body.Close()
					if resp.StatusCode != 200 {
						continue
					}
				} else {
					continue
				}
				resp, err := client.Get(url)
				if err != nil {
					t.Error(err)
					continue
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(got) != content {
					t.Errorf("%s: got %d bytes of %d, %v", url, len(got), len(content), err)
				}
			}
		})
	}
	running.Wait()

	seen := map[faultproxy.Op]map[int]bool{faultproxy.PutObject: {}, faultproxy.GetObject: {}}
	for _, c := range p.Calls() {
		if seen[c.Op][c.N] {
			t.Errorf("%s number %d came twice", c.Op, c.N)
		}
		seen[c.Op][c.N] = true
	}
	if n := len(seen[faultproxy.PutObject]); n < workers*rounds {
		t.Errorf("%d calls of PutObject", n)
	}
}
