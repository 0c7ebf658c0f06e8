package client_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"

	"mayfly/blobstore"
	"mayfly/internal/client"
	"mayfly/internal/client/clienttest"
)

func never() backoff.BackOff { return &backoff.StopBackOff{} }

// upload announces and uploads content.
func (s *setting) upload(content []byte, b client.NewBlob) (client.Announced, error) {
	s.Helper()
	b.Size = int64(len(content))
	a, err := s.client.Announce(s.Context(), b)
	if err != nil {
		s.Fatal(err)
	}
	_, err = s.client.Upload(s.Context(), s.of(a, content))
	return a, err
}

// of is the upload of content, with the ticket to ask for what was stored.
func (s *setting) of(a client.Announced, content []byte) client.Upload {
	return client.Upload{
		Grant: a.Grant, Size: int64(len(content)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		Stored: func(ctx context.Context) (client.Stored, error) {
			t, err := s.client.Ticket(ctx, a.Tickets[0].Token)
			if err != nil || t.SHA256 == nil {
				return client.Stored{}, errors.Join(err, errors.New("not stored"))
			}
			return client.Stored{Size: t.Size, SHA256: *t.SHA256, ExpiresAt: t.ExpiresAt}, nil
		},
	}
}

func TestUpload(t *testing.T) {
	for _, size := range []int{0, 1, 65536, 1 << 20} {
		t.Run("", func(t *testing.T) {
			in(t, func(s *setting) {
				want := content(size)
				a, err := s.client.Announce(s.Context(), client.NewBlob{
					Policy: "view-once", Size: int64(size), Recipients: []string{"alice", "bob", "alice"}, ExpiresIn: time.Hour,
				})
				if err != nil {
					s.Fatal(err)
				}
				s.keepsSecrets(a)
				s.keepsSecrets(a.Grant)
				if len(a.Tickets) != 3 || a.Tickets[1].Recipient != "bob" {
					s.Fatalf("%+v", a.Tickets)
				}
				var progress []int64
				u := s.of(a, want)
				u.Progress = func(n int64) { progress = append(progress, n) }
				stored, err := s.client.Upload(s.Context(), u)
				if err != nil {
					s.Fatal(err)
				}
				if stored.Size != int64(size) || stored.SHA256 != sha256.Sum256(want) || time.Until(stored.ExpiresAt) > time.Hour {
					s.Errorf("%+v", stored)
				}
				if !slices.IsSorted(progress) || size > 0 && progress[len(progress)-1] != int64(size) {
					s.Errorf("progress %v", progress)
				}
				s.calls("POST /v1/blobs", put)
				for _, ticket := range a.Tickets {
					s.same(s.opens(ticket.Token), want)
				}
			})
		})
	}
}

func TestUploadAgain(t *testing.T) {
	cut := func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		io.CopyN(io.Discard, r.Body, 100_000)
		panic(http.ErrAbortHandler)
	}
	stall := func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		io.CopyN(io.Discard, r.Body, 100_000)
		<-r.Context().Done()
	}
	slow := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		var body bytes.Buffer
		for range 10 {
			io.CopyN(&body, r.Body, 30_000)
			time.Sleep(50 * time.Second)
		}
		r.Body = io.NopCloser(&body)
		next.ServeHTTP(w, r)
	}
	for name, c := range map[string]struct {
		faults []clienttest.Fault
		tries  int
	}{
		"cut":                 {[]clienttest.Fault{cut, cut}, 3},
		"never arrived":       {[]clienttest.Fault{clienttest.Abort}, 2},
		"stalled":             {[]clienttest.Fault{stall}, 2},
		"stalled at once":     {[]clienttest.Fault{clienttest.Stall}, 2},
		"full":                {[]clienttest.Fault{clienttest.Refuse(507, "insufficient_storage", "5")}, 2},
		"draining":            {[]clienttest.Fault{clienttest.Refuse(503, "unavailable", "5"), clienttest.Refuse(429, "rate_limited", "")}, 3},
		"too slow for it":     {[]clienttest.Fault{clienttest.Refuse(408, "body_timeout", "")}, 2},
		"slow, but it moves":  {[]clienttest.Fault{slow}, 1},
		"the answer was lost": {[]clienttest.Fault{clienttest.LoseAnswer}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(s *setting) {
				s.server.Fail(put, c.faults...)
				want := content(300_000)
				a, err := s.upload(want, client.NewBlob{})
				if err != nil {
					s.Fatal(err)
				}
				s.same(s.opens(a.Tickets[0].Token), want)
				tries := 0
				for _, call := range s.server.Requests() {
					if call == put {
						tries++
					}
				}
				if tries != c.tries {
					s.Errorf("%d tries: %v", tries, s.errs)
				}
			})
		})
	}
}

func TestUploadGivesUp(t *testing.T) {
	in(t, func(s *setting) {
		s.server.Fail(put, slices.Repeat([]clienttest.Fault{clienttest.Abort}, 100)...)
		_, err := s.upload(content(10), client.NewBlob{})
		fails[*client.UnreachableError](s, err)
		if len(s.waits) != 5 {
			s.Errorf("%d waits", len(s.waits))
		}
	})
}

func TestUploadDoesNotWaitForEver(t *testing.T) {
	in(t, func(s *setting) {
		s.server.Fail(put, clienttest.Refuse(503, "unavailable", "3600"))
		_, err := s.upload(content(10), client.NewBlob{})
		if p := fails[*client.Problem](s, err); p.Code != "unavailable" || len(s.waits) != 0 {
			s.Errorf("%#v, waits %v", p, s.waits)
		}
	})
}

// Only the network's silence is a stall, not the source's.
func TestUploadOfSlowSource(t *testing.T) {
	in(t, func(s *setting) {
		want := content(100_000)
		a, err := s.client.Announce(s.Context(), client.NewBlob{Size: int64(len(want))})
		if err != nil {
			s.Fatal(err)
		}
		u := s.of(a, want)
		u.Open = func() (io.ReadCloser, error) { return io.NopCloser(slowly{bytes.NewReader(want)}), nil }
		if _, err := s.client.Upload(s.Context(), u); err != nil {
			s.Error(err)
		}
		s.calls("POST /v1/blobs", put)
	})
}

// slowly takes an hour for each read.
type slowly struct{ r io.Reader }

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(time.Hour)
	return s.r.Read(p)
}

// A presigned address is a secret as a whole.
func TestPresignedAddress(t *testing.T) {
	in(t, func(s *setting) {
		s.net.SetDown(true)
		grant := client.Grant{Method: "PUT", URL: "http://bucket.test/key?X-Amz-Signature=sesame"}
		_, err := s.client.Upload(s.Context(), client.Upload{Grant: grant, Open: s.of(client.Announced{}, nil).Open})
		fails[*client.UnreachableError](s, err)
		if strings.Contains(err.Error(), "sesame") || !strings.Contains(err.Error(), "bucket.test") {
			s.Error(err)
		}
	})
}

// A source of another length than announced leaves nothing at the server.
func TestUploadOfAnotherLength(t *testing.T) {
	for name, c := range map[string]struct{ announced, size int }{
		"shorter by a byte": {65536, 65535},
		"longer by a byte":  {65536, 65537},
		"empty":             {10, 0},
		"not empty":         {0, 10},
		"much longer":       {100, 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(s *setting) {
				a, err := s.client.Announce(s.Context(), client.NewBlob{Size: int64(c.announced)})
				if err != nil {
					s.Fatal(err)
				}
				u := s.of(a, content(c.size))
				u.Size = int64(c.announced)
				_, err = s.client.Upload(s.Context(), u)
				if !errors.Is(err, client.ErrLength) {
					s.Errorf("got %v", err)
				}
				if _, stored, _ := s.server.Blob(); stored {
					s.Error("it is stored")
				}
				if len(s.waits) != 0 {
					s.Errorf("tried again: %v", s.errs)
				}
			})
		})
	}
}

// Bytes that differ from try to try are told apart by their digest.
func TestUploadOfOtherBytesEachTime(t *testing.T) {
	for name, c := range map[string]struct {
		faults []clienttest.Fault
		want   error
	}{
		"stored at once":                  {nil, nil},
		"stored at the second try":        {[]clienttest.Fault{clienttest.Abort}, nil},
		"stored by a lost answer":         {[]clienttest.Fault{clienttest.LoseAnswer, clienttest.Abort}, nil},
		"damaged on the way":              {[]clienttest.Fault{damage}, client.ErrStoredOther},
		"damaged on the way, answer lost": {[]clienttest.Fault{lost(damage)}, client.ErrStoredOther},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(s *setting) {
				const size = 100_000
				a, err := s.client.Announce(s.Context(), client.NewBlob{Size: size})
				if err != nil {
					s.Fatal(err)
				}
				var sums []blobstore.Digest
				u := s.of(a, nil)
				u.Size = size
				u.Open = func() (io.ReadCloser, error) {
					try := content(size)
					try[0] = byte(len(sums))
					sums = append(sums, sha256.Sum256(try))
					return io.NopCloser(bytes.NewReader(try)), nil
				}
				s.server.Fail(put, c.faults...)
				stored, err := s.client.Upload(s.Context(), u)
				if !errors.Is(err, c.want) || c.want == nil && err != nil {
					s.Fatalf("got %v", err)
				}
				content, _, _ := s.server.Blob()
				if err == nil && (stored.SHA256 != sha256.Sum256(content) || !slices.Contains(sums, stored.SHA256)) {
					s.Errorf("%v of %v", stored, sums)
				}
			})
		})
	}
}

// damage flips a bit of an upload.
func damage(w http.ResponseWriter, r *http.Request, next http.Handler) {
	body, _ := io.ReadAll(r.Body)
	body[1] ^= 1
	r.Body = io.NopCloser(bytes.NewReader(body))
	next.ServeHTTP(w, r)
}

func lost(f clienttest.Fault) clienttest.Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		clienttest.LoseAnswer(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(w, r, next) }))
	}
}

// Somebody else's upload under the same grant is not taken for ours.
func TestUploadAlreadyStored(t *testing.T) {
	in(t, func(s *setting) {
		a, err := s.upload(content(10), client.NewBlob{})
		if err != nil {
			s.Fatal(err)
		}
		_, err = s.client.Upload(s.Context(), s.of(a, slices.Repeat([]byte{1}, 10)))
		s.keepsSecrets(err)
		problem := new(client.Problem)
		if !errors.Is(err, client.ErrStoredOther) && !(errors.As(err, &problem) && problem.Code == "already_stored") {
			s.Errorf("got %v", err)
		}
	})
}

func TestUploadBrokenSource(t *testing.T) {
	in(t, func(s *setting) {
		a, err := s.client.Announce(s.Context(), client.NewBlob{Size: 100})
		if err != nil {
			s.Fatal(err)
		}
		u := s.of(a, nil)
		u.Size = 100
		broken := errors.New("the disk is gone")
		u.Open = func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(content(50)), failing{broken})), nil
		}
		if _, err := s.client.Upload(s.Context(), u); !errors.Is(err, broken) {
			s.Errorf("got %v", err)
		}
		u.Open = func() (io.ReadCloser, error) { return nil, broken }
		if _, err := s.client.Upload(s.Context(), u); !errors.Is(err, broken) {
			s.Errorf("got %v", err)
		}
		s.calls("POST /v1/blobs", put)
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
