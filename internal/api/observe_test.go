package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mayfly/tickets"
)

// A request is one line: the pattern of its path, never the path, and nothing that
// tells who asked for what (the world checks that for every test).
func TestAccessLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, tokens := w.store(content(1234), "recipient=secretname")
	line := func(resp *http.Response) map[string]any {
		t.Helper()
		lines := w.lines(resp.Header.Get("X-Request-Id"))
		if len(lines) != 1 {
			t.Fatalf("%d lines", len(lines))
		}
		return lines[0]
	}
	resp, _ := w.want(200, "GET /v1/blobs/"+id, w.key, header("X-Request-Id", "chosen"), header("X-Forwarded-For", "192.0.2.1"))
	if resp.Header.Get("X-Request-Id") == "chosen" {
		t.Error("the client chose the request id")
	}
	got := line(resp)
	want := []string{"bytes_in", "bytes_out", "code", "level", "method", "msg", "request_id", "route", "status", "time", "took"}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) {
		t.Errorf("%v", keys)
	}
	if got["route"] != "GET /v1/blobs/{id}" || got["status"] != 200.0 || got["code"] != "ok" || got["level"] != "INFO" {
		t.Errorf("%v", got)
	}
	resp, _ = w.want(200, "POST /v1/download", tokens[0])
	if got := line(resp); got["bytes_out"] != 1234.0 || got["route"] != "POST /v1/download" {
		t.Errorf("%v", got)
	}
	_, resp = w.refused(410, "opened", "POST /v1/download", tokens[0])
	if got := line(resp); got["code"] != "opened" || got["status"] != 410.0 || got["error"] != nil {
		t.Errorf("%v", got)
	}
	resp, _ = w.want(201, "POST /v1/blobs?recipient=secretname", w.key, bytesBody(content(777)))
	if got := line(resp); got["bytes_in"] != 777.0 {
		t.Errorf("%v", got)
	}
	_, resp = w.refused(404, "not_found", "GET /v1/secretname/"+tokens[0], "")
	if got := line(resp); got["route"] != "none" {
		t.Errorf("%v", got)
	}
	resp = w.do("SECRETNAME /v1/blobs", "")
	if got := line(resp); got["method"] != "other" || resp.StatusCode != 405 {
		t.Errorf("%v", got)
	}
	resp, _ = w.want(200, "GET /healthz", "")
	if got := line(resp); got["level"] != "DEBUG" {
		t.Errorf("%v", got)
	}
	if strings.Contains(w.log.String(), "secretname") {
		t.Error("what a client wrote is logged")
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, tokens := w.store(content(1000), "recipient=a&recipient=b")
	w.want(200, "POST /v1/download", tokens[0])
	w.refused(410, "opened", "POST /v1/download", tokens[0])
	w.refused(422, "size_mismatch", "PUT /v1/uploads", func() string { _, g, _ := w.announce(`{"size":2}`); return g }(), bytesBody([]byte("x")))
	w.refused(404, "not_found", "GET /x/"+tokens[1], "")
	w.server.Close() // so that the last request is counted
	got := samples(t, w.api.Metrics.Gatherer())
	for series, want := range map[string]float64{
		`mayfly_blob_bytes_total{direction="in"}`:                          1000,
		`mayfly_blob_bytes_total{direction="out"}`:                         1000,
		`mayfly_transfers_in_flight{direction="in"}`:                       0,
		`mayfly_transfers_in_flight{direction="out"}`:                      0,
		`mayfly_opens_total{outcome="sent"}`:                               1,
		`mayfly_opens_total{outcome="opened"}`:                             1,
		`mayfly_opens_total{outcome="expired"}`:                            0,
		`mayfly_uploads_total{outcome="stored"}`:                           1,
		`mayfly_uploads_total{outcome="size_mismatch"}`:                    1,
		`mayfly_http_requests_total{code="200",route="POST /v1/download"}`: 1,
		`mayfly_http_requests_total{code="410",route="POST /v1/download"}`: 1,
		`mayfly_http_requests_total{code="201",route="POST /v1/blobs"}`:    2,
		`mayfly_http_requests_total{code="422",route="PUT /v1/uploads"}`:   1,
		`mayfly_http_requests_total{code="404",route="none"}`:              1,
		`mayfly_http_request_duration_seconds{route="POST /v1/download"}`:  2,
	} {
		if n, ok := got[series]; !ok || n != want {
			t.Errorf("%s is %v (%v), want %v", series, n, ok, want)
		}
	}
}

// samples are the series of Mayfly with their values; of a histogram its count.
func samples(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			all[f.GetName()+"{"+strings.Join(labels, ",")+"}"] =
				m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

// innermost stands for net/http's own ResponseWriter.
type innermost struct {
	*httptest.ResponseRecorder
	sources   []io.Reader
	deadlines []time.Time
}

func (i *innermost) ReadFrom(r io.Reader) (int64, error) {
	i.sources = append(i.sources, r)
	return io.Copy(i.ResponseRecorder, r)
}

func (i *innermost) SetWriteDeadline(d time.Time) error {
	i.deadlines = append(i.deadlines, d)
	return nil
}

// Nothing between net/http and the store hides io.ReaderFrom or the file: what gets
// through to net/http is a file under a limit, which package net hands to sendfile.
// The chunks are a mebibyte, each with a deadline of its own.
func TestFileReachesNetHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h, err := w.api.Handler()
	if err != nil {
		t.Fatal(err)
	}
	for size, chunks := range map[int]int{0: 0, 1: 1, 64 << 10: 1, chunk: 1, 3*chunk + 1: 4} {
		blob := content(size)
		_, token := w.place(blob)
		inner := &innermost{ResponseRecorder: httptest.NewRecorder()}
		r := httptest.NewRequest("POST", "/v1/download", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		h.ServeHTTP(inner, r)
		if inner.Code != 200 || !bytes.Equal(inner.Body.Bytes(), blob) {
			t.Fatalf("%d bytes: %d", size, inner.Code)
		}
		if len(inner.sources) != chunks || len(inner.deadlines) != max(1, chunks) {
			t.Errorf("%d bytes: %d chunks, %d deadlines, want %d", size, len(inner.sources), len(inner.deadlines), chunks)
		}
		for _, s := range inner.sources {
			limited, ok := s.(*io.LimitedReader)
			if !ok {
				t.Fatalf("net/http gets a %T", s)
			}
			if _, ok := limited.R.(*os.File); !ok {
				t.Fatalf("net/http gets a limited %T", limited.R)
			}
		}
	}
	// Any other answer has a deadline too.
	inner := &innermost{ResponseRecorder: httptest.NewRecorder()}
	h.ServeHTTP(inner, httptest.NewRequest("GET", "/healthz", nil))
	if len(inner.deadlines) != 1 || time.Until(inner.deadlines[0]) > answerTimeout {
		t.Errorf("deadlines: %v", inner.deadlines)
	}
}

func TestErrorLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &Server{Log: slog.New(slog.NewTextHandler(&out, nil))}
	log := s.HTTPServer(nil).ErrorLog
	log.Print("http: TLS handshake error from 192.0.2.7:1234: EOF")
	if out.Len() > 0 {
		t.Errorf("a scanner fills the log: %s", &out)
	}
	log.Print("http2: server: error reading preface from client 192.0.2.7:1234: bogus")
	log.Print("http: panic serving [2001:db8::1]:443: boom")
	log.Print("http: Accept error: too many open files; retrying in 5ms")
	text := out.String()
	if strings.Contains(text, "192.0.2.7") || strings.Contains(text, "2001:db8") {
		t.Errorf("an address is logged: %s", text)
	}
	if !strings.Contains(text, "boom") || !strings.Contains(text, "too many open files") {
		t.Errorf("the reason is lost: %s", text)
	}
}

// A client that leaves while it waits is no failure of the store.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, token := w.place(content(10))
	ctx, leave := context.WithCancel(context.Background())
	w.rows.fail(func(string) error {
		leave()
		return errStalled
	})
	r := w.request("POST /v1/download", token).WithContext(ctx)
	if _, err := w.server.Client().Do(r); err == nil {
		t.Error("an answer")
	}
	w.log.await("code", "client_gone")
	w.rows.fail(nil)
	if p := problemOf(&tickets.BodyError{Err: io.ErrUnexpectedEOF}); p.code != clientGone {
		t.Errorf("%+v", p)
	}
	w.want(200, "POST /v1/download", token)
}
