package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"mayfly/internal/client"
	"mayfly/internal/client/clienttest"
)

func TestResume(t *testing.T) {
	want := content(200_000)
	for name, c := range map[string]struct {
		post  clienttest.Fault
		get   []clienttest.Fault
		calls []string
	}{
		"before the first byte":   {clienttest.CutAt(0), nil, []string{post, get + " bytes=0-", ack}},
		"after the first byte":    {clienttest.CutAt(1), nil, []string{post, get + " bytes=1-", ack}},
		"before the last byte":    {clienttest.CutAt(199_999), nil, []string{post, get + " bytes=199999-", ack}},
		"after the last byte":     {clienttest.CutAt(200_000), nil, []string{post, ack}},
		"the answer is lost":      {clienttest.LoseAnswer, nil, []string{post, post, ack}},
		"the call never arrived":  {clienttest.Abort, nil, []string{post, post, ack}},
		"no answer":               {clienttest.Stall, nil, []string{post, post, ack}},
		"stalls":                  {clienttest.StallAt(1000), nil, []string{post, get + " bytes=1000-", ack}},
		"the proxy has no ranges": {clienttest.CutAt(1000), []clienttest.Fault{clienttest.WithoutRange}, []string{post, get + " bytes=1000-", ack}},
		"gateway":                 {clienttest.Plain(502, "bad gateway"), nil, []string{post, post, ack}},
		"slow, but it moves":      {clienttest.Trickle(100, 50*time.Second), nil, []string{post, get + " bytes=100-", ack}},
		"again and again": {
			clienttest.CutAt(1000),
			[]clienttest.Fault{
				clienttest.CutAt(1000), clienttest.Abort, clienttest.Refuse(503, "unavailable", "7"), clienttest.Stall,
				clienttest.StallAt(0), clienttest.CutAt(50_000), clienttest.Refuse(429, "rate_limited", ""),
			},
			[]string{
				post, get + " bytes=1000-", get + " bytes=2000-", get + " bytes=2000-", get + " bytes=2000-", get + " bytes=2000-",
				get + " bytes=2000-", get + " bytes=52000-", get + " bytes=52000-", ack,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(s *setting) {
				token := s.server.Store(want)
				s.server.Fail(post, c.post)
				s.server.Fail(get, c.get...)
				s.same(s.opens(token), want)
				s.calls(c.calls...)
				// Perhaps one more: the acknowledgement may meet the broken connection.
				if len(s.waits) < len(c.calls)-2 {
					s.Errorf("waits %v before %d further calls", s.waits, len(c.calls)-2)
				}
				for _, wait := range s.waits {
					if wait < 250*time.Millisecond {
						s.Errorf("waits %v: a server that breaks each connection must not be called without a pause", s.waits)
					}
				}
			})
		})
	}
}

// While the network is down a spent ticket is worth waiting for.
func TestResumeAfterOutage(t *testing.T) {
	in(t, func(s *setting) {
		want := content(100_000)
		s.server.Fail(post, clienttest.CutAt(5000))
		d, err := s.client.Open(s.Context(), s.server.Store(want))
		if err != nil {
			s.Fatal(err)
		}
		s.net.SetDown(true)
		time.AfterFunc(9*time.Minute, func() { s.net.SetDown(false) })
		got, err := io.ReadAll(d)
		if err != nil {
			s.Fatalf("%v after %d tries", err, len(s.waits))
		}
		s.same(got, want)
	})
}

func TestGiveUp(t *testing.T) {
	for name, c := range map[string]struct {
		faults  []clienttest.Fault
		down    bool
		atLeast time.Duration
	}{
		"down":              {down: true, atLeast: 9 * time.Minute},
		"stalls for ever":   {faults: slices.Repeat([]clienttest.Fault{clienttest.StallAt(0)}, 100), atLeast: 9 * time.Minute},
		"breaks for ever":   {faults: slices.Repeat([]clienttest.Fault{clienttest.CutAt(0)}, 100), atLeast: 8 * time.Minute},
		"wait for an hour":  {faults: []clienttest.Fault{clienttest.Refuse(503, "unavailable", "3600")}},
		"never waits":       {faults: slices.Repeat([]clienttest.Fault{clienttest.Refuse(503, "unavailable", "0")}, 100), atLeast: 8 * time.Minute},
		"waits in the past": {faults: slices.Repeat([]clienttest.Fault{clienttest.Refuse(503, "unavailable", "-1")}, 100), atLeast: 8 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(s *setting) {
				s.server.Fail(post, clienttest.CutAt(5000))
				s.server.Fail(get, c.faults...)
				d, err := s.client.Open(s.Context(), s.server.Store(content(100_000)))
				if err != nil {
					s.Fatal(err)
				}
				s.net.SetDown(c.down)
				begin := time.Now()
				got, err := io.ReadAll(d)
				took := time.Since(begin)
				s.keepsSecrets(err)
				if err == nil || len(got) != 5000 {
					s.Errorf("%d bytes, %v", len(got), err)
				}
				if took < c.atLeast || took > 11*time.Minute || len(s.waits) > 40 {
					s.Errorf("gave up after %v and %d waits", took, len(s.waits))
				}
				if _, again := d.Read(make([]byte, 1)); again != err {
					s.Errorf("then %v", again)
				}
				if err := d.Acknowledge(s.Context()); !errors.Is(err, client.ErrIncomplete) {
					s.Errorf("acknowledged: %v", err)
				}
			})
		})
	}
}

func TestRetryAfter(t *testing.T) {
	in(t, func(s *setting) {
		date := time.Now().Add(20 * time.Second).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
		s.server.Fail(post, clienttest.Refuse(503, "unavailable", "11"), clienttest.Refuse(429, "rate_limited", date))
		s.opens(s.server.Store(content(10)))
		if len(s.waits) != 2 || s.waits[0] != 11*time.Second || s.waits[1] < 8*time.Second || s.waits[1] > 9*time.Second {
			s.Errorf("waits %v", s.waits)
		}
	})
}

// Wrong bytes never end well, and may be fetched again as long as they are not
// acknowledged.
func TestWrongBytes(t *testing.T) {
	want := content(100_000)
	for name, c := range map[string]struct{ post, get []clienttest.Fault }{
		"flipped":              {[]clienttest.Fault{clienttest.FlipAt(99_999)}, nil},
		"flipped after resume": {[]clienttest.Fault{clienttest.CutAt(10)}, []clienttest.Fault{clienttest.FlipAt(0)}},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(s *setting) {
				token := s.server.Store(want)
				s.server.Fail(post, c.post...)
				s.server.Fail(get, c.get...)
				d, err := s.client.Open(s.Context(), token)
				if err != nil {
					s.Fatal(err)
				}
				if _, err := io.ReadAll(d); !errors.Is(err, client.ErrDigest) || d.Err() != err {
					s.Errorf("got %v, %v", err, d.Err())
				}
				if err := d.Acknowledge(s.Context()); !errors.Is(err, client.ErrIncomplete) {
					s.Errorf("acknowledged: %v", err)
				}
				d.Rewind()
				got, err := io.ReadAll(d)
				if err != nil {
					s.Fatalf("again: %v", err)
				}
				s.same(got, want)
				if err := d.Acknowledge(s.Context()); err != nil {
					s.Error(err)
				}
			})
		})
	}
}

// An answer that is not Mayfly's, or not about the same blob, gives no byte.
func TestWrongAnswers(t *testing.T) {
	none := "sha-256=:" + "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" + ":"
	for name, c := range map[string]struct{ post, get clienttest.Fault }{
		"no ETag":              {post: clienttest.SetHeader("ETag", "")},
		"weak ETag":            {post: clienttest.SetHeader("ETag", `W/"abc"`)},
		"another Repr-Digest":  {post: clienttest.SetHeader("Repr-Digest", none)},
		"no Repr-Digest":       {post: clienttest.SetHeader("Repr-Digest", "")},
		"no length":            {post: clienttest.SetHeader("Content-Length", "")},
		"resumed another ETag": {clienttest.CutAt(10), clienttest.SetHeader("ETag", `"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`)},
		"resumed another blob": {clienttest.CutAt(10), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			etag := clienttest.SetHeader("ETag", `"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`)
			etag(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { clienttest.SetHeader("Repr-Digest", none)(w, r, next) }))
		}},
		"resumed at another byte":  {clienttest.CutAt(10), clienttest.SetHeader("Content-Range", "bytes 11-99999/100000")},
		"resumed of another size":  {clienttest.CutAt(10), clienttest.SetHeader("Content-Range", "bytes 10-99999/100001")},
		"resumed without a digest": {clienttest.CutAt(10), clienttest.SetHeader("Repr-Digest", "")},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(s *setting) {
				token := s.server.Store(content(100_000))
				s.server.Fail(post, c.post)
				if c.get != nil {
					s.server.Fail(get, c.get)
				}
				d, err := s.client.Open(s.Context(), token)
				if err == nil {
					var got []byte
					got, err = io.ReadAll(d)
					if len(got) > 10 {
						s.Errorf("%d bytes", len(got))
					}
				}
				s.keepsSecrets(err)
				if !errors.Is(err, client.ErrAnswer) {
					s.Errorf("got %v", err)
				}
			})
		})
	}
}

// Whoever reads may take its time: only the server's silence is a stall.
func TestSlowReader(t *testing.T) {
	in(t, func(s *setting) {
		want := content(200_000)
		d, err := s.client.Open(s.Context(), s.server.Store(want))
		if err != nil {
			s.Fatal(err)
		}
		time.Sleep(2 * time.Hour) // the bubble's, not ours
		got := make([]byte, len(want))
		for at := 0; at < len(got); at += 50_000 {
			if _, err := io.ReadFull(d, got[at:at+50_000]); err != nil {
				s.Fatal(err)
			}
			time.Sleep(2 * time.Hour)
		}
		s.same(got, want)
		s.calls(post)
	})
}

func TestCancel(t *testing.T) {
	for name, faults := range map[string][]clienttest.Fault{
		"during the open":     {clienttest.Stall},
		"during the transfer": {clienttest.StallAt(10)},
		"during a wait":       {clienttest.LoseAnswer, clienttest.Refuse(503, "unavailable", "300")},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(s *setting) {
				s.server.Fail(post, faults...)
				stop := errors.New("stopped")
				ctx, cancel := context.WithCancelCause(s.Context())
				time.AfterFunc(30*time.Second, func() { cancel(stop) })
				d, err := s.client.Open(ctx, s.server.Store(content(100)))
				if err == nil {
					_, err = io.ReadAll(d)
				} else {
					fails[*client.UncertainError](s, err)
				}
				s.keepsSecrets(err)
				if !errors.Is(err, stop) {
					s.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestAcknowledgeAgain(t *testing.T) {
	in(t, func(s *setting) {
		s.server.Fail(ack, clienttest.LoseAnswer, clienttest.Refuse(503, "unavailable", "1"))
		s.opens(s.server.Store(content(10)))
		s.calls(post, ack, ack, ack)
	})
}
