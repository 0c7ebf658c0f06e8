package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly/blobstore"
)

// overBoth runs a test over HTTP/1.1 and over HTTP/2.
func overBoth(t *testing.T, test func(t *testing.T, proto option)) {
	t.Parallel()
	t.Run("HTTP1", func(t *testing.T) { t.Parallel(); test(t, func(*world) {}) })
	t.Run("HTTP2", func(t *testing.T) { t.Parallel(); test(t, overHTTP2) })
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	l := Limits{}.withDefaults()
	now := time.Unix(1000, 0)
	never := now.Add(24 * time.Hour)
	for _, c := range []struct {
		n    int64
		want time.Duration
	}{
		{0, time.Minute},
		{64 << 10, 68 * time.Second},
		{1 << 20, 188 * time.Second},
		{2 << 30, 188 * time.Second}, // only the next mebibyte counts
	} {
		if got := l.deadline(now, never, c.n).Sub(now); got != c.want {
			t.Errorf("%d bytes: %s, want %s", c.n, got, c.want)
		}
	}
	if got := l.deadline(now, now.Add(time.Second), 1<<20).Sub(now); got != time.Second {
		t.Errorf("the end of the transfer is not kept: %s", got)
	}
}

// A store that gives fewer bytes than it has promised, or breaks off: the client
// must not take what it got for the blob, and can fetch the rest when all is well.
func TestTruncatedStore(t *testing.T) {
	overBoth(t, func(t *testing.T, proto option) {
		blob := content(3 << 20)
		short := filepath.Join(t.TempDir(), "short")
		if err := os.WriteFile(short, blob[:2<<20], 0o600); err != nil {
			t.Fatal(err)
		}
		tiny := filepath.Join(t.TempDir(), "tiny")
		if err := os.WriteFile(tiny, blob[:100], 0o600); err != nil {
			t.Fatal(err)
		}
		openFile := func(path string) func() io.ReadCloser {
			return func() io.ReadCloser {
				f, err := os.Open(path)
				if err != nil {
					t.Error(err)
				}
				return f
			}
		}
		for name, open := range map[string]func() io.ReadCloser{
			"file":   openFile(short),
			"tiny":   openFile(tiny),
			"stream": func() io.ReadCloser { return io.NopCloser(io.MultiReader(bytes.NewReader(blob[:2<<20]))) },
			"broken": func() io.ReadCloser {
				return io.NopCloser(io.MultiReader(bytes.NewReader(blob[:5000]), brokenReader{}))
			},
			"nothing": func() io.ReadCloser { return io.NopCloser(brokenReader{}) },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, proto)
				_, tokens := w.store(blob, "")
				claim := claimKey()
				good := w.svc.Blobs
				w.svc.Blobs = storeOf{good, func(blobstore.Key, int64) io.ReadCloser { return open() }}
				resp, err := w.client.Do(w.request("POST /v1/download", tokens[0], header("Claim-Key", claim)))
				if err == nil {
					var got []byte
					got, err = io.ReadAll(resp.Body)
					resp.Body.Close()
					if !bytes.HasPrefix(blob, got) {
						t.Error("other bytes")
					}
				}
				if err == nil {
					t.Fatal("a truncated body looks complete")
				}
				// Over HTTP/2 a stream that only ends looks complete to who does not count.
				if w.http2 && !strings.Contains(err.Error(), "stream error") {
					t.Errorf("the stream was not reset: %v", err)
				}
				w.log.await("code", "store_failed")
				w.svc.Blobs = good
				if _, got := w.want(206, "GET /v1/download", tokens[0], header("Claim-Key", claim), header("Range", "bytes=100-")); !bytes.Equal(got, blob[100:]) {
					t.Error("other bytes")
				}
			})
		}
	})
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("connection to S3 reset") }

// What cuts a client that makes no progress: the next mebibyte does not come in
// time, or the whole transfer does not end in time.
var impatient = map[string]Limits{
	"Stall":       {Stall: 400 * time.Millisecond, MinRate: 1 << 40},
	"MaxTransfer": {MaxTransfer: 800 * time.Millisecond},
}

func TestSlowReaderIsCut(t *testing.T) {
	overBoth(t, func(t *testing.T, proto option) {
		for name, limits := range impatient {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, proto, withLimits(limits))
				_, token := w.place(make([]byte, 24<<20))
				resp := w.do("POST /v1/download", token)
				w.log.await("code", "too_slow")
				if n, err := io.Copy(io.Discard, resp.Body); err == nil {
					t.Errorf("the body looks complete after %d bytes", n)
				}
			})
		}
	})
}

func TestSlowUploadIsCut(t *testing.T) {
	overBoth(t, func(t *testing.T, proto option) {
		for name, limits := range impatient {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, proto, withLimits(limits))
				blob := content(1000)
				id, grant, _ := w.announce(`{"size":1000}`)
				stalled := func(media string, some []byte) with {
					reader, writer := io.Pipe()
					go writer.Write(some) // and no more
					return sending(media, reader, 1000)
				}
				w.refused(408, "body_timeout", "PUT /v1/uploads", grant, stalled(mediaBytes, blob[:500]))
				w.refused(408, "body_timeout", "POST /v1/blobs", w.key, stalled(mediaBytes, blob[:500]))
				w.refused(408, "body_timeout", "POST /v1/blobs", w.key, stalled(mediaJSON, []byte(`{"size":`)))
				// Nothing is kept, and the same grant may be tried again.
				w.want(200, "PUT /v1/uploads", grant, bytesBody(blob))
				if got := w.status(id).State; got != "stored" {
					t.Errorf("the blob is %s", got)
				}
			})
		}
	})
}

// An unsend cuts a download that waits for its client.
func TestUnsendCutsDownload(t *testing.T) {
	overBoth(t, func(t *testing.T, proto option) {
		w := newWorld(t, proto)
		id, token := w.place(make([]byte, 24<<20))
		resp := w.do("POST /v1/download", token)
		if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		w.want(204, "DELETE /v1/blobs/"+id, w.key)
		w.log.await("code", "unsent")
		if n, err := io.Copy(io.Discard, resp.Body); err == nil {
			t.Errorf("the body looks complete after %d bytes", n)
		}
		w.want(200, "GET /healthz", "")
	})
}

// An unsend ends an upload that is under way: at the next bytes that arrive, or when
// the client stalls.
func TestUnsendCutsUpload(t *testing.T) {
	overBoth(t, func(t *testing.T, proto option) {
		w := newWorld(t, proto, withLimits(Limits{Stall: 300 * time.Millisecond, MinRate: 1 << 40}))
		id, grant, _ := w.announce(`{"size":10000000}`)
		reader, writer := io.Pipe()
		t.Cleanup(func() { reader.Close() })
		begun := make(chan struct{})
		go func() {
			writer.Write(content(1 << 20))
			close(begun)
		}()
		answer := make(chan *http.Response, 1)
		go func() {
			resp, err := w.client.Do(w.request("PUT /v1/uploads", grant, sending(mediaBytes, reader, 10_000_000)))
			if err != nil {
				t.Error(err)
			}
			answer <- resp
		}()
		<-begun
		w.want(204, "DELETE /v1/blobs/"+id, w.key)
		resp := <-answer
		if resp == nil {
			return
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 410 || !bytes.Contains(text, []byte("too_late")) {
			t.Errorf("%d %s", resp.StatusCode, text)
		}
		if got := w.status(id).State; got != "purging" {
			t.Errorf("the blob is %s", got)
		}
	})
}

// Closing a body ends a Read that waits for the client: package tickets closes it
// when a blob is unsent.
func TestBodyClose(t *testing.T) {
	overBoth(t, func(t *testing.T, proto option) {
		w := newWorld(t, proto)
		ended := make(chan error, 1)
		w.server.Config.Handler = receiving(func(b *body) {
			io.ReadFull(b, make([]byte, 5))
			go b.Close()
			_, err := io.ReadFull(b, make([]byte, 5))
			ended <- err
		})
		reader, writer := io.Pipe()
		go writer.Write([]byte("01234"))
		resp, err := w.server.Client().Do(w.request("PUT /", "", sending(mediaBytes, reader, 10)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}

// After its request a body touches the connection no more.
func TestBodyCloseTooLate(t *testing.T) {
	overBoth(t, func(t *testing.T, proto option) {
		w := newWorld(t, proto)
		kept := make(chan *body, 1)
		w.server.Config.Handler = receiving(func(b *body) { kept <- b })
		resp, err := w.server.Client().Do(w.request("PUT /", "", bytesBody([]byte("x"))))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		w.server.Close() // waits for the handler
		(<-kept).Close()
	})
}

// receiving is a handler that has the request's body as ours have it.
func receiving(handle func(*body)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := &endpoints{limits: Limits{}.withDefaults()}
		c := &call{control: http.NewResponseController(w), in: r, started: time.Now()}
		e.receive(c, r)
		defer c.body.release()
		handle(c.body)
	})
}

// A store that is slower than a client may be does not end the request, and the
// connection is good for the next one.
func TestDeadlinesEndWithTheirRequest(t *testing.T) {
	overBoth(t, func(t *testing.T, proto option) {
		const stall = 400 * time.Millisecond
		w := newWorld(t, proto, withLimits(Limits{Stall: stall, MinRate: 1 << 40}))
		think := func(method string) error {
			if method == "Commit" || method == "Spend" {
				<-time.After(stall + stall/2)
			}
			return nil
		}
		blob := content(200_000)
		for range 2 {
			w.rows.fail(think)
			id, tokens := w.store(blob, "")
			if _, got := w.want(200, "POST /v1/download", tokens[0]); !bytes.Equal(got, blob) {
				t.Error("other bytes")
			}
			w.status(id)
		}
	})
}

// A client that sends a large body before it listens gets its answer all the same.
func TestRefusedUploadIsAnswered(t *testing.T) {
	overBoth(t, func(t *testing.T, proto option) {
		w := newWorld(t, proto)
		_, grant, _ := w.announce(`{"size":10}`)
		for _, size := range []int{1000, 200_000, 8 << 20} {
			for range 5 {
				w.refused(413, "too_large", "PUT /v1/uploads", grant, bytesBody(make([]byte, size)))
			}
		}
	})
}

// A body that a call has no use for is read before anything is done: who breaks off
// in it has not spent his ticket.
func TestBodyWhereNoneBelongs(t *testing.T) {
	overBoth(t, func(t *testing.T, proto option) {
		w := newWorld(t, proto, withLimits(Limits{Stall: 400 * time.Millisecond, MinRate: 1 << 40}))
		blob := content(1000)
		_, tokens := w.store(blob, "")
		reader, writer := io.Pipe()
		t.Cleanup(func() { writer.Close() })
		w.refused(408, "body_timeout", "POST /v1/download", tokens[0], sending(mediaJSON, reader, 2))
		w.refused(413, "too_large", "POST /v1/download", tokens[0], bytesBody(make([]byte, maxStray+1)))
		w.refused(413, "too_large", "POST /v1/download", tokens[0], sending(mediaBytes, bytes.NewReader(make([]byte, maxStray+1)), -1))
		if _, got := w.want(200, "POST /v1/download", tokens[0], jsonBody("{}")); !bytes.Equal(got, blob) {
			t.Error("other bytes")
		}
	})
}
